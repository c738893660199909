/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What /proc/PID/maps might say, through a file, in reads as they come:
 *   - every mapping that is passed on is whole pages, and not empty;
 *   - a mapping that can be paged is of no file: a line that names one is not taken for it. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/uffd/maps.h"
#include "fuzz.h"

static bool look(void *context, const struct maps_entry *entry)
{
    unsigned *left = context;
    fp_assert(entry->from < entry->to && (entry->from | entry->to) % 4096 == 0);
    fp_assert(entry->kind < MAPS_KINDS);
    return (*left)-- > 0;
}

static void check_line(const uint8_t *bytes, size_t count)
{
    struct maps_entry entry;
    const char *line = (const char *)bytes;
    if (!maps_parse(line, count, &entry) || entry.kind != MAPS_ANONYMOUS) return;
    fp_assert(memchr(line, '/', count) == NULL || memchr(line, '[', count) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static int fd = -1;
    if (fd < 0) fd = memfd_create("maps", MFD_CLOEXEC);
    unsigned left = count > 0 ? bytes[0] : 0;
    check_line(bytes, count);
    fp_assert(fd >= 0 && ftruncate(fd, 0) == 0);
    fp_assert(pwrite(fd, bytes, count, 0) == (ssize_t)count);
    (void)!maps_scan(fd, look, &left);
    return 0;
}
