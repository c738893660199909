/* SPDX-License-Identifier: BSD-3-Clause
 * region SERVER - 32 MiB of memory of which 4 MiB are here: written, summed up, and summed up once
 * more after what is needed next was asked for. */
#include <farpage.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 32 << 20, LOCAL_BYTES = 4 << 20, NUMBERS = BYTES / sizeof(unsigned) };

static void said(void *context, const struct farpage_region_notice *notice)
{
    (void)context;
    fprintf(stderr, "region: %s\n", notice->text);
}

static unsigned long sum_of(const unsigned *numbers)
{
    unsigned long sum = 0;
    for (unsigned i = 0; i < NUMBERS; i++) sum += numbers[i];
    return sum;
}

static int use(struct farpage_region *region)
{
    unsigned *numbers = farpage_region_memory(region);
    for (unsigned i = 0; i < NUMBERS; i++) numbers[i] = i / 7;
    unsigned long first = sum_of(numbers);
    if (farpage_region_will_need(region, numbers, LOCAL_BYTES / 4) != FARPAGE_OK) return 1;
    unsigned long second = sum_of(numbers);
    struct farpage_region_figures figures;
    if (farpage_region_figures(region, &figures) != FARPAGE_OK) return 1;
    printf("sums %lu and %lu; %lu KiB here, %lu KiB on the server, %lu loads\n", first, second,
           (unsigned long)figures.resident_bytes / 1024, (unsigned long)figures.remote_bytes / 1024,
           (unsigned long)figures.loads);
    return first == second && figures.resident_bytes_peak <= LOCAL_BYTES ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct farpage *client;
    struct farpage_region *region = NULL;
    struct farpage_options options = {.server = argc > 1 ? argv[1] : NULL};
    struct farpage_region_options wish = {
        .bytes = BYTES, .local_bytes = LOCAL_BYTES, .notice = said};
    int result = 1;
    enum farpage_status status = farpage_connect(&options, &client);
    if (status == FARPAGE_OK) status = farpage_region_create(client, &wish, &region);
    if (status == FARPAGE_OK)
        result = use(region);
    else
        fprintf(stderr, "region: %s\n", farpage_error(client));
    farpage_region_destroy(&region);
    farpage_disconnect(&client);
    return status == FARPAGE_REFUSED ? 77 : result; /* 77: the kernel does not let us */
}
