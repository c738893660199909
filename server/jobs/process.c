/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/jobs/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NICE_LEVEL = 10 }; /* a tenth of an ordinary thread's share; 19 would starve it */

uint64_t process_resident_bytes(void)
{
    uint64_t total, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%" SCNu64 " %" SCNu64, &total, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

bool process_flushes_io(void)
{
    return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
}

/* On Linux a priority is a thread's. Where it is refused, the duty still holds. */
void process_thread_give_way(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE_LEVEL);
}
