/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/memory/container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/base/suite.h"

enum { PATH_BYTES = 512 };

/* Writes a file below `root`, with the directories on the way. */
static void put(const char *root, const char *path, const char *text)
{
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)!mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static const struct {
    const char *what;
    const char *files[8]; /* path, text, ... */
    uint64_t bytes;
} rows[] = {
    {"there are no groups", {NULL}, 0},
    {"version 2, within a container",
     {"/proc/self/cgroup", "0::/\n", "/sys/fs/cgroup/memory.max", "536870912\n"}, 536870912},
    {"version 2, no limit",
     {"/proc/self/cgroup", "0::/\n", "/sys/fs/cgroup/memory.max", "max\n"}, 0},
    {"version 2, the service's own, and the slice above has less",
     {"/proc/self/cgroup", "0::/system.slice/farpaged.service\n",
      "/sys/fs/cgroup/system.slice/farpaged.service/memory.max", "4000000000\n",
      "/sys/fs/cgroup/system.slice/memory.max", "3000000000\n",
      "/sys/fs/cgroup/memory.max", "max\n"}, 3000000000},
    {"version 1, seen from within by the path it has outside",
     {"/proc/self/cgroup", "5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"}, 268435456},
    {"version 1, no limit",
     {"/proc/self/cgroup", "4:memory:/a\n",
      "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"}, 0},
    {"version 1, among other controllers",
     {"/proc/self/cgroup", "3:cpu,memory,pids:/a/b\n",
      "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "104857600"}, 104857600},
    {"version 2 beside version 1",
     {"/proc/self/cgroup", "1:cpu:/\n0::/a\n",
      "/sys/fs/cgroup/unified/a/memory.max", "100\n"}, 100},
    {"nonsense",
     {"/proc/self/cgroup", "\n:\nx\n0::\n4:memoryx:/\n9:memory:no slash\n",
      "/sys/fs/cgroup/memory.max", "-5\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes", "12 apples\n"}, 0},
};

START_TEST(the_least_limit_of_all_groups_counts)
{
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        char root[] = "/tmp/check_container.XXXXXX", command[PATH_BYTES];
        ck_assert_ptr_nonnull(mkdtemp(root));
        for (int k = 0; k < 8 && rows[i].files[k] != NULL; k += 2)
            put(root, rows[i].files[k], rows[i].files[k + 1]);
        uint64_t bytes = container_memory_bytes(root);
        ck_assert_msg(bytes == rows[i].bytes, "%s: %llu", rows[i].what,
                      (unsigned long long)bytes);
        snprintf(command, sizeof command, "rm -r %s", root);
        ck_assert_int_eq(system(command), 0);
    }
}
END_TEST

START_TEST(four_fifths_are_taken_where_nobody_says)
{
    const uint64_t mib = 1 << 20, gib = 1 << 30;
    ck_assert_uint_eq(container_usual_memory_bytes(0, 16 * gib, gib), gib);
    ck_assert_uint_eq(container_usual_memory_bytes(500 * mib, 16 * gib, gib), 400 * mib);
    ck_assert_uint_eq(container_usual_memory_bytes(10 * gib, 16 * gib, gib), 8 * gib);
    ck_assert_uint_eq(container_usual_memory_bytes(0, 640 * mib, gib), 512 * mib);
    ck_assert_uint_eq(container_usual_memory_bytes(64 * gib, 5 * gib, gib), 4 * gib);
    ck_assert_uint_eq(container_usual_memory_bytes(0, 0, gib), gib);
    ck_assert_uint_eq(container_usual_memory_bytes(101 * mib, 0, gib), 80 * mib);
    ck_assert_uint_gt(container_machine_bytes(), 16 * mib);
}
END_TEST

int main(void)
{
    return suite_run("container", the_least_limit_of_all_groups_counts,
                     four_fifths_are_taken_where_nobody_says);
}
