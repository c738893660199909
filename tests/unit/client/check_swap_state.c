/* SPDX-License-Identifier: BSD-3-Clause
 * What is remembered of a swap that was turned on, and which devices are told apart. */
#include "client/cli/swap/swap_state.h"

#include <string.h>

#include "tests/unit/base/suite.h"

START_TEST(a_state_is_read_as_it_was_written)
{
    struct swap_state state = {.device = {.array = true, .number = 3},
                               .connections = 1,
                               .silence_s = 30,
                               .count = 2,
                               .members = {{0, 42, "nbd://a/x@0f.1"}, {63, 1, "nbd://[::1]/y"}}};
    struct swap_state again;
    char text[MACHINE_TEXT_BYTES];
    swap_state_write(&state, text);
    ck_assert(swap_state_parse(text, &again));
    ck_assert(again.device.array);
    ck_assert_uint_eq(again.device.number, 3);
    ck_assert_uint_eq(again.connections, 1);
    ck_assert_uint_eq(again.silence_s, 30);
    ck_assert_uint_eq(again.count, 2);
    for (unsigned i = 0; i < state.count; i++) {
        ck_assert_uint_eq(again.members[i].number, state.members[i].number);
        ck_assert_uint_eq(again.members[i].pid, state.members[i].pid);
        ck_assert_str_eq(again.members[i].address, state.members[i].address);
    }
}
END_TEST

START_TEST(what_is_no_state_is_refused)
{
    static const char *const texts[] = {
        "",
        "device nbd0\n",
        "device nbd0\nconnections 1\nsilence_s 30\n",
        "device sda\nconnections 1\nsilence_s 30\nmember nbd0 1 nbd://a/x\n",
        "device nbd0\nconnections 1\nsilence_s 30\nmember sda 1 nbd://a/x\n",
        "device nbd64\nconnections 1\nsilence_s 30\nmember nbd64 1 nbd://a/x\n",
        "device nbd0\nconnections 1\nsilence_s 30\nmember nbd64 1 nbd://a/x\n",
        "device nbd0\nconnections 1\nsilence_s 30\nmember nbd0 x nbd://a/x\n",
    };
    struct swap_state state;
    for (size_t i = 0; i < FP_COUNT_OF(texts); i++)
        ck_assert_msg(!swap_state_parse(texts[i], &state), "%s", texts[i]);
}
END_TEST

START_TEST(more_members_than_there_may_be_are_left_out)
{
    struct swap_state state;
    char text[MACHINE_TEXT_BYTES] = "device md0\nconnections 1\nsilence_s 30\n";
    for (unsigned i = 0; i < SWAP_MEMBERS_MAX + 3; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "member nbd%u 1 nbd://a/x\n", i);
    }
    ck_assert(swap_state_parse(text, &state));
    ck_assert_uint_eq(state.count, SWAP_MEMBERS_MAX);
}
END_TEST

START_TEST(names_of_devices_are_told_apart)
{
    static const struct {
        const char *text;
        int number; /* -1: none of ours */
        bool array;
    } rows[] = {
        {"nbd0", 0, false},    {"/dev/nbd63", 63, false}, {"/dev/md7", 7, true},
        {"md0", 0, true},      {"nbd64", -1, false},      {"nbd", -1, false},
        {"nbd01", -1, false},  {"nbd0p1", -1, false},     {"sda", -1, false},
        {"md-1", -1, false},   {"/dev/zram0", -1, false}, {"", -1, false},
    };
    struct swap_device device;
    char path[SWAP_DEVICE_BYTES];
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        bool known = swap_device_parse(rows[i].text, &device);
        ck_assert_msg(known == (rows[i].number >= 0), "%s", rows[i].text);
        if (!known) continue;
        ck_assert_int_eq((int)device.number, rows[i].number);
        ck_assert_int_eq(device.array, rows[i].array);
        swap_device_path(device, path);
        ck_assert_ptr_nonnull(strstr(path, rows[i].text));
    }
}
END_TEST

int main(void)
{
    return suite_run("swap_state", a_state_is_read_as_it_was_written, what_is_no_state_is_refused,
                     more_members_than_there_may_be_are_left_out,
                     names_of_devices_are_told_apart);
}
