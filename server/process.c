/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

uint64_t process_resident_bytes(void)
{
    uint64_t total, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%" SCNu64 " %" SCNu64, &total, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
