/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/meter.h"

#include <stdlib.h>
#include <time.h>

/* The kernel guesses the share from ticks of up to 10 ms: below this it is noise. */
enum { TELLING_MS = 300 };

static uint64_t own_cpu_ns(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec;
}

bool meter_start(struct meter *meter, pid_t server)
{
    meter->server = server;
    meter->client_start_ns = own_cpu_ns();
    return child_cpu(server, &meter->server_start);
}

bool meter_read(const struct meter *meter, struct meter_reading *reading)
{
    struct child_cpu now;
    if (!child_cpu(meter->server, &now)) return false;
    uint64_t kernel_ms = now.kernel_ms - meter->server_start.kernel_ms;
    uint64_t both_ms = kernel_ms + now.user_ms - meter->server_start.user_ms;
    reading->server_s = (double)(now.total_ns - meter->server_start.total_ns) / 1e9;
    reading->client_s = (double)(own_cpu_ns() - meter->client_start_ns) / 1e9;
    reading->kernel_percent = both_ms < TELLING_MS ? -1 : 100 * (double)kernel_ms / (double)both_ms;
    return true;
}

double meter_load_average(void)
{
    double average = 0;
    return getloadavg(&average, 1) == 1 ? average : 0;
}
