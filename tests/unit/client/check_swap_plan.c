/* SPDX-License-Identifier: BSD-3-Clause
 * What is read off the kernel's and the tools' texts, and what is decided on it. */
#include "client/cli/swap/swap_plan.h"

#include <string.h>

#include "client/cli/say/words.h"
#include "client/cli/swap/swap_facts.h"
#include "tests/unit/base/suite.h"

static const char swaps[] = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
                            "/dev/zram0            partition\t1048572\t1000\t100\n"
                            "/dev/nbd0             partition\t8388604\t204800\t10\n"
                            "/swap\\040file         file\t\t4096\t\t96\t\t-2\n";

/* --- facts ------------------------------------------------------------------------------------ */

START_TEST(rows_of_proc_swaps_are_read)
{
    struct swap_row row;
    size_t at = 0, rows = 0;
    while (swap_facts_next(swaps, &at, &row)) rows++;
    ck_assert_uint_eq(rows, 3);
    ck_assert_int_eq(row.priority, -2);
    ck_assert(swap_facts_find(swaps, "/dev/nbd0", &row));
    ck_assert_uint_eq(row.size_kib, 8388604);
    ck_assert_uint_eq(row.used_kib, 204800);
    ck_assert_int_eq(row.priority, 10);
    ck_assert(!swap_facts_find(swaps, "/dev/nbd", &row));
    ck_assert(!swap_facts_find("", "/dev/nbd0", &row));
    ck_assert(!swap_facts_find("/dev/nbd0 partition 12", "/dev/nbd0", &row));
}
END_TEST

START_TEST(meminfo_and_numbers_are_read)
{
    uint64_t number = 0;
    const char meminfo[] = "MemTotal:  157000 kB\nMemAvailable:   35904 kB\n";
    ck_assert_uint_eq(swap_facts_meminfo_kib(meminfo, "MemAvailable"), 35904);
    ck_assert_uint_eq(swap_facts_meminfo_kib(meminfo, "Mem"), 0);
    ck_assert_uint_eq(swap_facts_meminfo_kib("", "MemTotal"), 0);
    ck_assert(swap_facts_number("24576\n", &number) && number == 24576);
    ck_assert(!swap_facts_number("\n", &number) && !swap_facts_number("Y\n", &number));
}
END_TEST

START_TEST(what_a_device_holds_is_told)
{
    static uint8_t bytes[SWAP_CONTENT_BYTES];
    static const size_t page_bytes[] = {4096, 16384, 65536};
    char label[SWAP_LABEL_BYTES];
    memset(bytes, 0, sizeof bytes);
    ck_assert_int_eq(swap_facts_content(bytes, sizeof bytes, label), SWAP_CONTENT_ZEROS);
    ck_assert_int_eq(swap_facts_content(bytes, 0, label), SWAP_CONTENT_ZEROS);
    bytes[(64 << 10) + 64] = 1; /* btrfs, which leaves its first 64 KiB alone */
    ck_assert_int_eq(swap_facts_content(bytes, sizeof bytes, label), SWAP_CONTENT_OTHER);
    for (size_t i = 0; i < FP_COUNT_OF(page_bytes); i++) {
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes + page_bytes[i] - 10, "SWAPSPACE2", 10);
        memcpy(bytes + 1052, "fp-sixteen-bytes", 16);
        ck_assert_int_eq(swap_facts_content(bytes, sizeof bytes, label), SWAP_CONTENT_SWAP);
        ck_assert_str_eq(label, "fp-sixteen-bytes");
        ck_assert_int_eq(swap_facts_content(bytes, page_bytes[i] - 1, label), SWAP_CONTENT_OTHER);
        ck_assert_str_eq(label, "");
    }
}
END_TEST

START_TEST(a_member_of_an_array_is_told_by_its_name)
{
    static uint8_t bytes[8192];
    static const struct {
        const char *name, *label;
    } rows[] = {{"web1:fp-web1", "fp-web1"}, {"fp-web1", "fp-web1"}, {"", ""},
                {"a:0123456789abcdef", "0123456789abcdef"},
                {"a:0123456789abcdefgh", "0123456789abcdef"},
                {"01234567890123456789012345678901", "0123456789012345"}};
    char label[SWAP_LABEL_BYTES];
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        memset(bytes, 0, sizeof bytes);
        memcpy(bytes + 4096, "\xfc\x4e\x2b\xa9", 4);
        memcpy(bytes + 4096 + 32, rows[i].name, strlen(rows[i].name));
        ck_assert_int_eq(swap_facts_content(bytes, sizeof bytes, label), SWAP_CONTENT_ARRAY);
        ck_assert_str_eq(label, rows[i].label);
    }
    ck_assert_int_eq(swap_facts_content(bytes, 4096 + 63, label), SWAP_CONTENT_OTHER);
}
END_TEST

START_TEST(a_tool_s_reason_is_its_last_error)
{
    static const struct {
        const char *said, *reason;
    } rows[] = {
        {"", ""},
        {"\n\n", ""},
        {"Negotiation: ..\nError: Socket failed: Connection refused\nExiting.\n",
         "Socket failed: Connection refused"},
        {"Error: Unknown error returned by server. Server said: there is no export 'x'\nExiting.",
         "there is no export 'x'"},
        {"modprobe: FATAL: Module nbd not found\r\n", "modprobe: FATAL: Module nbd not found"},
        {"Error: a \033[1m\n", "a ?[1m"},
        {"one\ntwo", "two"},
    };
    char reason[SWAP_LINE_BYTES], long_line[2 * SWAP_LINE_BYTES];
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        swap_facts_reason(rows[i].said, reason);
        ck_assert_str_eq(reason, rows[i].reason);
    }
    memset(long_line, 'x', sizeof long_line - 1);
    long_line[sizeof long_line - 1] = '\0';
    swap_facts_reason(long_line, reason);
    ck_assert_uint_eq(strlen(reason), SWAP_LINE_BYTES - 1);
}
END_TEST

START_TEST(an_export_s_identity_is_found_in_the_list)
{
    static const char list[] = "Negotiation: ..\n"
                               "disk2: this one is disk2@aa.1\n"
                               "disk: mine is disk@bb.9; this one is disk@be0bc66ab82444f9.1\n"
                               "plain\n"
                               "lie: it is lie@zz\n"
                               "two words: this one is two words@0f.3\n";
    char name[64];
    ck_assert(swap_facts_identity(list, "disk", name, sizeof name));
    ck_assert_str_eq(name, "disk@be0bc66ab82444f9.1");
    ck_assert(swap_facts_identity(list, "two words", name, sizeof name));
    ck_assert_str_eq(name, "two words@0f.3");
    ck_assert(!swap_facts_identity(list, "dis", name, sizeof name));
    ck_assert(!swap_facts_identity(list, "plain", name, sizeof name));
    ck_assert(!swap_facts_identity(list, "lie", name, sizeof name));
    ck_assert(!swap_facts_identity(list, "", name, sizeof name));
    ck_assert(!swap_facts_identity(list, "disk", name, 8));
    ck_assert(!swap_facts_identity("x:@1", "x", name, sizeof name));
    ck_assert(!swap_facts_identity("", "disk", name, sizeof name));
}
END_TEST

/* --- words ------------------------------------------------------------------------------------ */

START_TEST(words_are_quoted_for_a_shell_and_never_cut)
{
    struct words words;
    char line[WORDS_LINE_BYTES];
    words_init(&words, "a");
    words_add(&words, "%s", "b c");
    words_add(&words, "%s", "");
    words_add(&words, "%s", "d'e");
    words_line(&words, line);
    ck_assert_str_eq(line, "a 'b c' '' 'd'\\''e'");
    ck_assert(!words.overflow);
    ck_assert_ptr_null(words.word[words.count]);
    words_add(&words, "%02000d", 1);
    ck_assert(words.overflow);
    words_init(&words, "a");
    for (unsigned i = 1; i < WORDS_MAX; i++) words_add(&words, "b");
    ck_assert(!words.overflow);
    words_add(&words, "b");
    ck_assert(words.overflow);
    ck_assert_ptr_null(words.word[words.count]);
}
END_TEST

static struct swap_address address_of(const char *text)
{
    struct swap_address address;
    struct complaint complaint;
    ck_assert(swap_address_parse(text, &address, &complaint));
    return address;
}

START_TEST(a_label_is_a_machine_s_own_also_where_names_are_long)
{
    char one[SWAP_LABEL_BYTES], other[SWAP_LABEL_BYTES];
    swap_plan_label("thirteenchars", one);
    ck_assert_str_eq(one, "fp-thirteenchars");
    swap_plan_label("build-machine-1", one);
    swap_plan_label("build-machine-2", other);
    ck_assert_uint_eq(strlen(one), 16);
    ck_assert_int_eq(strncmp(one, "fp-build-ma-", 12), 0);
    ck_assert_str_ne(one, other);
}
END_TEST

START_TEST(commands_are_safe_for_swap)
{
    struct swap_settings settings = {.connections = 2, .silence_s = 30, .priority = 10};
    struct swap_address address = address_of("nbd://h:1/swap/a");
    struct words words;
    char line[WORDS_LINE_BYTES];
    swap_plan_label("web1", settings.label);
    swap_plan_connect(&settings, &address, "/dev/nbd3", &words);
    words_line(&words, line);
    ck_assert_str_eq(line, "nbd-client h 1 /dev/nbd3 -name swap/a -block-size 4096 -connections 2 "
                           "-timeout 30 -swap");
    swap_plan_format(&settings, "/dev/nbd3", &words);
    words_line(&words, line);
    ck_assert_str_eq(line, "mkswap --label fp-web1 /dev/nbd3");
    swap_plan_turn_on(&settings, "/dev/nbd3", true, &words);
    words_line(&words, line);
    ck_assert_str_eq(line, "swapon --priority 10 --discard /dev/nbd3");
    swap_plan_turn_on(&settings, "/dev/nbd3", false, &words);
    words_line(&words, line);
    ck_assert_str_eq(line, "swapon --priority 10 /dev/nbd3");
    address = address_of("nbd+unix:///x?socket=/a b");
    swap_plan_list(&address, &words);
    words_line(&words, line);
    ck_assert_str_eq(line, "nbd-client -l -unix '/a b'");
    struct swap_mirror mirror = {"/dev/md0", {"/dev/nbd0", "/dev/nbd2"}, 2};
    swap_plan_mirror(&settings, &mirror, &words);
    words_line(&words, line);
    ck_assert_str_eq(line, "mdadm --create /dev/md0 --run --name=fp-web1 --level=1 "
                           "--raid-devices=2 --assume-clean --bitmap=internal --metadata=1.2 "
                           "/dev/nbd0 /dev/nbd2");
    mirror.count = 3;
    swap_plan_mirror(&settings, &mirror, &words);
    ck_assert_str_eq(words.word[5], "--level=10");
}
END_TEST

/* --- decisions -------------------------------------------------------------------------------- */

START_TEST(nobody_else_s_bytes_are_overwritten)
{
    struct complaint complaint = {{0}};
    ck_assert(swap_plan_may_format(SWAP_CONTENT_ZEROS, "", "fp-a", &complaint));
    ck_assert(swap_plan_may_format(SWAP_CONTENT_SWAP, "fp-a", "fp-a", &complaint));
    ck_assert(!swap_plan_may_format(SWAP_CONTENT_SWAP, "", "fp-a", &complaint));
    ck_assert_ptr_nonnull(strstr(complaint.text, "without a label"));
    ck_assert(!swap_plan_may_format(SWAP_CONTENT_ARRAY, "", "fp-a", &complaint));
    ck_assert(!swap_plan_may_format(SWAP_CONTENT_SWAP, "fp-b", "fp-a", &complaint));
    ck_assert_ptr_nonnull(strstr(complaint.text, "the swap of another machine, 'fp-b'"));
    ck_assert(swap_plan_may_format(SWAP_CONTENT_ARRAY, "fp-a", "fp-a", &complaint));
    ck_assert(!swap_plan_may_format(SWAP_CONTENT_ARRAY, "fp-b", "fp-a", &complaint));
    ck_assert(!swap_plan_may_format(SWAP_CONTENT_OTHER, "", "fp-a", &complaint));
    ck_assert_ptr_nonnull(strstr(complaint.text, "--force overwrites it"));
}
END_TEST

START_TEST(what_is_swapped_out_must_fit_before_it_comes_back)
{
    struct complaint complaint = {{0}};
    /* 204800 KiB are out; the others have 1047572 + 4000 left. */
    ck_assert(swap_plan_fits(swaps, "MemAvailable: 1 kB\n", "/dev/nbd0", &complaint));
    const char alone[] = "F T S U P\n/dev/nbd0 partition 1000 900 10\n";
    ck_assert(swap_plan_fits(alone, "MemAvailable: 900 kB\n", "/dev/nbd0", &complaint));
    ck_assert(!swap_plan_fits(alone, "MemAvailable: 899 kB\n", "/dev/nbd0", &complaint));
    ck_assert_ptr_nonnull(strstr(complaint.text, "--force"));
    ck_assert(swap_plan_fits(alone, "", "/dev/nbd1", &complaint));
}
END_TEST

START_TEST(each_danger_is_warned_of)
{
    struct swap_warnings warnings;
    struct swap_health health = {.min_free_kib = SWAP_MIN_FREE_KIB, .silence_s = 30};
    swap_plan_warn(&health, &warnings);
    ck_assert_uint_eq(warnings.count, 0);
    health = (struct swap_health){0}; /* nothing is known */
    swap_plan_warn(&health, &warnings);
    ck_assert_uint_eq(warnings.count, 0);
    health = (struct swap_health){SWAP_MIN_FREE_KIB - 1, true, true, 1, true, 29, 2};
    swap_plan_warn(&health, &warnings);
    ck_assert_uint_eq(warnings.count, SWAP_WARNINGS_MAX);
    ck_assert_ptr_nonnull(strstr(warnings.lines[0].text, "vm.min_free_kbytes is 24575"));
    ck_assert_ptr_nonnull(strstr(warnings.lines[1].text, "after 29 s"));
    ck_assert_ptr_nonnull(strstr(warnings.lines[2].text, "1 of a mirror's servers"));
    ck_assert_ptr_nonnull(strstr(warnings.lines[3].text, "exports of one server"));
    ck_assert_ptr_nonnull(strstr(warnings.lines[4].text, "zswap"));
    ck_assert_ptr_nonnull(strstr(warnings.lines[5].text, "page-cluster"));
}
END_TEST

int main(void)
{
    return suite_run("swap_plan", rows_of_proc_swaps_are_read, meminfo_and_numbers_are_read,
                     what_a_device_holds_is_told, a_member_of_an_array_is_told_by_its_name,
                     a_tool_s_reason_is_its_last_error,
                     an_export_s_identity_is_found_in_the_list,
                     words_are_quoted_for_a_shell_and_never_cut, commands_are_safe_for_swap,
                     a_label_is_a_machine_s_own_also_where_names_are_long,
                     nobody_else_s_bytes_are_overwritten,
                     what_is_swapped_out_must_fit_before_it_comes_back, each_danger_is_warned_of);
}
