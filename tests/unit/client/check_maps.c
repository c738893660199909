/* SPDX-License-Identifier: BSD-3-Clause
 * Which lines of /proc/PID/maps are memory that can be paged. */
#include "client/uffd/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/base/suite.h"

static const struct {
    const char *line;
    enum maps_kind kind;
    uint64_t from, to;
    const char *rwx;
} good[] = {
    {"559f3a1c4000-559f3a1e5000 rw-p 00000000 00:00 0                          [heap]",
     MAPS_ANONYMOUS, 0x559f3a1c4000, 0x559f3a1e5000, "rw-"},
    {"7f0000000000-7f0000021000 rw-p 00000000 00:00 0 ", MAPS_ANONYMOUS, 0x7f0000000000,
     0x7f0000021000, "rw-"},
    {"7f0000021000-7f0004000000 ---p 00000000 00:00 0 ", MAPS_ANONYMOUS, 0x7f0000021000,
     0x7f0004000000, "---"},
    {"7f1000000000-7f1000001000 rwxp 00000000 00:00 0 ", MAPS_ANONYMOUS, 0x7f1000000000,
     0x7f1000001000, "rwx"},
    {"7f1000000000-7f1000001000 rw-p 00000000 00:00 0      [anon:jemalloc_pages]",
     MAPS_ANONYMOUS, 0x7f1000000000, 0x7f1000001000, "rw-"},
    {"7f1000000000-7f1000001000 rw-p 00000000 00:00 0      [stack:123]", MAPS_ANONYMOUS,
     0x7f1000000000, 0x7f1000001000, "rw-"},
    {"7ffd0000a000-7ffd0002b000 rw-p 00000000 00:00 0      [stack]", MAPS_STACK, 0x7ffd0000a000,
     0x7ffd0002b000, "rw-"},
    {"7ffd00100000-7ffd00104000 r--p 00000000 00:00 0      [vvar]", MAPS_KERNEL, 0x7ffd00100000,
     0x7ffd00104000, "r--"},
    {"7ffd00104000-7ffd00106000 r-xp 00000000 00:00 0      [vdso]", MAPS_KERNEL, 0x7ffd00104000,
     0x7ffd00106000, "r-x"},
    {"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]", MAPS_KERNEL,
     0xffffffffff600000, 0xffffffffff601000, "--x"},
    {"7f2000000000-7f2000001000 rw-p 001d3000 fd:01 1234567    /lib/libc.so.6", MAPS_FILE,
     0x7f2000000000, 0x7f2000001000, "rw-"},
    {"7f2000000000-7f2000001000 rw-p 00000000 fd:01 1234567    /tmp/a [heap]", MAPS_FILE,
     0x7f2000000000, 0x7f2000001000, "rw-"},
    {"7f2000000000-7f2000001000 rw-s 00000000 00:01 4711       /memfd:x (deleted)", MAPS_FILE,
     0x7f2000000000, 0x7f2000001000, "rw-"},
    {"7f2000000000-7f2000001000 rw-s 00000000 00:01 4711       /dev/zero (deleted)", MAPS_SHARED,
     0x7f2000000000, 0x7f2000001000, "rw-"},
    {"7f2000000000-7f2000001000 rw-s 00000000 00:0e 0          anon_inode:[perf]", MAPS_SHARED,
     0x7f2000000000, 0x7f2000001000, "rw-"},
    {"1000-2000 rw-p 00000000 00:00 0 ", MAPS_ANONYMOUS, 0x1000, 0x2000, "rw-"},
};

START_TEST(a_line_says_what_a_mapping_is)
{
    struct maps_entry entry;
    ck_assert_msg(maps_parse(good[_i].line, strlen(good[_i].line), &entry), "%s", good[_i].line);
    ck_assert_uint_eq(entry.kind, good[_i].kind);
    ck_assert_uint_eq(entry.from, good[_i].from);
    ck_assert_uint_eq(entry.to, good[_i].to);
    ck_assert_int_eq(entry.readable, good[_i].rwx[0] == 'r');
    ck_assert_int_eq(entry.writable, good[_i].rwx[1] == 'w');
    ck_assert_int_eq(entry.executable, good[_i].rwx[2] == 'x');
}
END_TEST

static const char *const bad[] = {
    "", "x", "1000", "1000-", "1000-2000", "1000-2000 ", "1000-2000 rw-p",
    "2000-1000 rw-p 00000000 00:00 0 ", "1000-1000 rw-p 00000000 00:00 0 ",
    "1000-2001 rw-p 00000000 00:00 0 ", "1000-2000 rwzp 00000000 00:00 0 ",
    "1000-2000 rw-q 00000000 00:00 0 ", "1000-2000 rw-p 00000000 00:00 ",
    "1000-2000 rw-p 00000000 00:00 0", "1000-2000 rw-p 00000000 00:00 a ",
    "1000-2000 rw-p 00000000 0000 0 ", "-2000 rw-p 00000000 00:00 0 ",
    "11111111111111000-22222222222222000 rw-p 00000000 00:00 0 ",
};

START_TEST(what_no_kernel_writes_is_refused)
{
    struct maps_entry entry;
    ck_assert_msg(!maps_parse(bad[_i], strlen(bad[_i]), &entry), "%s", bad[_i]);
}
END_TEST

START_TEST(a_line_cut_anywhere_reads_nothing_behind_its_end)
{
    const char *line = good[0].line;
    for (size_t bytes = 0; bytes <= strlen(line); bytes++) {
        char *copy = malloc(bytes + 1); /* its end is the heap's: a sanitizer watches it */
        memcpy(copy, line, bytes);
        struct maps_entry entry;
        (void)!maps_parse(copy, bytes, &entry);
        free(copy);
    }
}
END_TEST

/* --- of a process ----------------------------------------------------------------------------- */

struct seen {
    uint64_t address, before;
    unsigned entries;
    enum maps_kind kind;
    bool found, stop;
};

static bool look(void *context, const struct maps_entry *entry)
{
    struct seen *seen = context;
    ck_assert_uint_le(seen->before, entry->from);
    seen->before = entry->to;
    seen->entries++;
    if (entry->from <= seen->address && seen->address < entry->to) {
        seen->found = true;
        seen->kind = entry->kind;
    }
    return !seen->stop;
}

START_TEST(our_own_mappings_are_found_by_address)
{
    enum { MAPPINGS = 600 }; /* more lines than fit into one read */
    void *parts[MAPPINGS];
    for (int i = 0; i < MAPPINGS; i++) { /* kept apart by what may be done with them */
        parts[i] = mmap(NULL, 4096, i % 2 == 0 ? PROT_READ | PROT_WRITE : PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(parts[i], MAP_FAILED);
    }
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    struct seen heap = {.address = (uint64_t)(uintptr_t)parts[MAPPINGS / 2]};
    ck_assert_int_eq(maps_scan(fd, look, &heap), 0);
    ck_assert(heap.found);
    ck_assert_uint_eq(heap.kind, MAPS_ANONYMOUS);
    ck_assert_uint_ge(heap.entries, MAPPINGS);
    int local;
    struct seen stack = {.address = (uint64_t)(uintptr_t)&local};
    ck_assert_int_eq(maps_scan(fd, look, &stack), 0); /* once more, from the beginning */
    ck_assert(stack.found);
#if !defined(__SANITIZE_ADDRESS__)
    ck_assert_uint_eq(stack.kind, MAPS_STACK);
#endif
    struct seen first = {.stop = true};
    ck_assert_int_eq(maps_scan(fd, look, &first), 0);
    ck_assert_uint_eq(first.entries, 1);
    close(fd);
    for (int i = 0; i < MAPPINGS; i++) munmap(parts[i], 4096);
}
END_TEST

START_TEST(a_process_that_has_ended_is_told_so)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* its maps are as empty as that */
    ck_assert_int_eq(maps_scan(fd, look, &(struct seen){0}), ESRCH);
    close(fd);
}
END_TEST

int main(void)
{
    int failed = suite_run_each("maps", FP_COUNT_OF(good), a_line_says_what_a_mapping_is);
    failed |= suite_run_each("maps", FP_COUNT_OF(bad), what_no_kernel_writes_is_refused);
    return failed | suite_run("maps", a_line_cut_anywhere_reads_nothing_behind_its_end,
                              our_own_mappings_are_found_by_address,
                              a_process_that_has_ended_is_told_so);
}
