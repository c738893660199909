/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "suite.h"

#define TIME "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

/* A log that writes into a pipe, and what came out of it. */
struct scribe {
    struct log log;
    int ends[2];
    char text[4 * LOG_LINE_BYTES_MAX];
};

static void scribe_init(struct scribe *scribe, enum log_level level, enum log_format format)
{
    ck_assert_int_eq(pipe(scribe->ends), 0);
    log_init(&scribe->log, scribe->ends[1], level, format);
}

static const char *scribe_fini(struct scribe *scribe)
{
    close(scribe->ends[1]);
    ssize_t got = read(scribe->ends[0], scribe->text, sizeof scribe->text - 1);
    ck_assert_int_ge(got, 0);
    scribe->text[got] = '\0';
    close(scribe->ends[0]);
    log_fini(&scribe->log);
    return scribe->text;
}

static void expect_match(const char *text, const char *pattern)
{
    regex_t regex;
    ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0, "%s does not match %s", text, pattern);
    regfree(&regex);
}

START_TEST(an_event_is_one_line_in_each_format)
{
    static const char *const patterns[LOG_FORMATS] = {
        "^" TIME " info  listening address=127\\.0\\.0\\.1:11211 fd=4\n$",
        "^ts=" TIME " level=info event=\"listening\" address=127\\.0\\.0\\.1:11211 fd=4\n$",
        "^\\{\"ts\":\"" TIME "\",\"level\":\"info\",\"event\":\"listening\","
        "\"address\":\"127\\.0\\.0\\.1:11211\",\"fd\":4\\}\n$",
    };
    for (int format = 0; format < LOG_FORMATS; format++) {
        struct scribe scribe;
        scribe_init(&scribe, LOG_INFO, (enum log_format)format);
        log_event(&scribe.log, LOG_INFO, "listening", log_text("address", "127.0.0.1:11211"),
                  log_number("fd", 4));
        expect_match(scribe_fini(&scribe), patterns[format]);
    }
}
END_TEST

START_TEST(less_urgent_events_are_dropped)
{
    struct scribe scribe;
    scribe_init(&scribe, LOG_WARN, LOG_TEXT);
    ck_assert(!log_wants(&scribe.log, LOG_INFO) && log_wants(&scribe.log, LOG_ERROR));
    log_event(&scribe.log, LOG_INFO, "dropped", log_number("n", 1));
    log_event(&scribe.log, LOG_ERROR, "kept", log_number("n", 2));
    log_configure(&scribe.log, LOG_DEBUG, LOG_TEXT);
    log_event(&scribe.log, LOG_DEBUG, "heard", log_number("n", 3));
    expect_match(scribe_fini(&scribe), "^" TIME " error kept n=2\n" TIME " debug heard n=3\n$");
}
END_TEST

/* Whatever a client sends must not make a second line, end a quote or be invalid UTF-8. */
START_TEST(bytes_from_outside_are_escaped)
{
    static const char hostile[] = "a\"b\\c\r\nlevel=error\x1b[31m\xff\0=";
    for (int format = 0; format < LOG_FORMATS; format++) {
        struct scribe scribe;
        scribe_init(&scribe, LOG_INFO, (enum log_format)format);
        log_event(&scribe.log, LOG_INFO, "said",
                  log_bytes("what", slice_of(hostile, sizeof hostile - 1)));
        const char *text = scribe_fini(&scribe);
        ck_assert_ptr_nonnull(strstr(
            text, "\"a\\\"b\\\\c\\r\\nlevel=error\\u001b[31m\\u00ff\\u0000=\""));
        ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
    }
}
END_TEST

START_TEST(values_that_need_quotes_get_them)
{
    struct scribe scribe;
    scribe_init(&scribe, LOG_INFO, LOG_LOGFMT);
    log_event(&scribe.log, LOG_INFO, "e", log_text("empty", ""), log_text("blank", "a b"),
              log_text("equal", "a=b"), log_text("plain", "a-b"));
    expect_match(scribe_fini(&scribe), "empty=\"\" blank=\"a b\" equal=\"a=b\" plain=a-b\n$");
}
END_TEST

START_TEST(a_long_value_is_cut)
{
    char value[1000];
    memset(value, 'v', sizeof value);
    struct scribe scribe;
    scribe_init(&scribe, LOG_INFO, LOG_JSON);
    log_event(&scribe.log, LOG_INFO, "long", log_bytes("value", slice_of(value, sizeof value)),
              log_number("after", 1));
    const char *text = scribe_fini(&scribe);
    const char *start = strstr(text, "\"value\":\"v");
    ck_assert_ptr_nonnull(start);
    ck_assert_uint_eq(strspn(start + 9, "v"), LOG_VALUE_BYTES_MAX);
    expect_match(text, "v\",\"after\":1\\}\n$");
}
END_TEST

/* Twelve fields of bytes that each become six: the line stays within its limit and whole. */
START_TEST(fields_without_room_are_left_out)
{
    char value[LOG_VALUE_BYTES_MAX];
    memset(value, 0x01, sizeof value);
    struct log_field fields[LOG_FIELDS_MAX];
    for (int i = 0; i < LOG_FIELDS_MAX; i++)
        fields[i] = log_bytes("control", slice_of(value, sizeof value));
    for (int format = 0; format < LOG_FORMATS; format++) {
        struct scribe scribe;
        scribe_init(&scribe, LOG_INFO, (enum log_format)format);
        log_write(&scribe.log, LOG_INFO, "many", fields, LOG_FIELDS_MAX);
        const char *text = scribe_fini(&scribe);
        ck_assert_uint_le(strlen(text), LOG_LINE_BYTES_MAX);
        ck_assert_ptr_nonnull(strstr(text, "control"));
        expect_match(text, format == LOG_JSON ? "\\\\u0001\"\\}\n$" : "\\\\u0001\"\n$");
    }
}
END_TEST

START_TEST(a_log_that_cannot_be_written_is_no_failure)
{
    struct log log;
    log_init(&log, -1, LOG_INFO, LOG_TEXT);
    log_event(&log, LOG_INFO, "nobody listens", log_number("n", 1));
    log_fini(&log);
    ck_assert_str_eq(log_level_name(LOG_WARN), "warn");
    ck_assert_str_eq(log_format_name(LOG_LOGFMT), "logfmt");
}
END_TEST

/* Whatever the reader does, nobody who writes waits for ever; what was lost is counted. */
START_TEST(a_full_pipe_loses_lines_and_says_how_many)
{
    struct scribe scribe;
    char drained[1 << 16];
    scribe_init(&scribe, LOG_DEBUG, LOG_TEXT);
    uint64_t began_ns = clock_monotonic_ns();
    for (int i = 0; i < 10000; i++)
        log_event(&scribe.log, LOG_DEBUG, "flood", log_number("n", (uint64_t)i));
    ck_assert_uint_lt(clock_monotonic_ns() - began_ns, (uint64_t)5 * 1000000000);
    uint64_t lost = atomic_load(&scribe.log.lost);
    ck_assert(lost > 1000 && lost < 10000);
    while (read(scribe.ends[0], drained, sizeof drained) == sizeof drained) {}
    log_event(&scribe.log, LOG_DEBUG, "flood", log_number("n", 10000));
    ck_assert_uint_eq(atomic_load(&scribe.log.lost), lost);
    char pattern[160];
    snprintf(pattern, sizeof pattern,
             "warn  lines of the log were lost, nobody read them: %llu\n.*flood n=10000\n$",
             (unsigned long long)lost);
    expect_match(scribe_fini(&scribe), pattern);
}
END_TEST

START_TEST(a_full_socket_loses_lines_too)
{
    struct log log;
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    log_init(&log, ends[1], LOG_DEBUG, LOG_TEXT);
    for (int i = 0; i < 20000; i++)
        log_event(&log, LOG_DEBUG, "flood", log_number("n", (uint64_t)i));
    ck_assert_uint_gt(atomic_load(&log.lost), 0);
    log_fini(&log);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(what_comes_too_often_is_held_back_and_counted)
{
    static const char *const more[LOG_FORMATS] = {
        "warn  again \\.\\.\\. 41 more like this in 10 s\n$",
        "level=warn event=\"again\" more=41 seconds=10\n$",
        "\"level\":\"warn\",\"event\":\"again\",\"more\":41,\"seconds\":10\\}\n$",
    };
    for (int format = 0; format < LOG_FORMATS; format++) {
        struct scribe scribe;
        scribe_init(&scribe, LOG_DEBUG, (enum log_format)format);
        for (int i = 0; i < LOG_SAME_MAX + 41; i++)
            log_event(&scribe.log, LOG_WARN, "again", log_number("n", (uint64_t)i));
        log_event(&scribe.log, LOG_INFO, "another", log_number("n", 1));
        for (int i = 0; i < LOG_SAME_MAX + 5; i++)
            log_event(&scribe.log, LOG_DEBUG, "detail", log_number("n", (uint64_t)i));
        ck_assert_uint_eq(atomic_load(&scribe.log.held_back), 41);
        log_tell_held(&scribe.log); /* its time is not over */
        for (int i = 0; i < LOG_EVENTS_WATCHED; i++) scribe.log.same[i].since_ns -= 11000000000;
        log_tell_held(&scribe.log);
        log_tell_held(&scribe.log);
        const char *text = scribe_fini(&scribe);
        expect_match(text, more[format]);
        unsigned lines = 0;
        for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
        ck_assert_uint_eq(lines, LOG_SAME_MAX + 1 + LOG_SAME_MAX + 5 + 1);
    }
}
END_TEST

/* A hundred kinds of events, and those of which lines are held back are not forgotten. */
START_TEST(many_kinds_of_events_do_not_end_the_counting)
{
    static char names[100][8];
    struct scribe scribe;
    scribe_init(&scribe, LOG_INFO, LOG_TEXT);
    for (int i = 0; i < LOG_SAME_MAX + 3; i++)
        log_event(&scribe.log, LOG_WARN, "often", log_number("n", 1));
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "e%d", i);
        log_event(&scribe.log, LOG_WARN, names[i], log_number("n", 1));
    }
    log_event(&scribe.log, LOG_WARN, "often", log_number("n", 1));
    ck_assert_uint_eq(atomic_load(&scribe.log.held_back), 4);
    log_fini(&scribe.log); /* the last word */
    lock_init(&scribe.log.lock, RANK_LOG);
    expect_match(scribe_fini(&scribe), "often \\.\\.\\. 4 more like this in 10 s\n$");
}
END_TEST

START_TEST(the_journal_has_priorities)
{
    static const char *const patterns[LOG_FORMATS] = {
        "^<4>trouble n=1\n<7>detail n=2\n$",
        "^<4>ts=" TIME " level=warn event=\"trouble\" n=1\n<7>ts=",
        "^<4>\\{\"ts\":\"" TIME "\",\"level\":\"warn\"",
    };
    for (int format = 0; format < LOG_FORMATS; format++) {
        struct scribe scribe;
        struct stat about;
        char stream[64];
        scribe_init(&scribe, LOG_DEBUG, (enum log_format)format);
        log_find_journal(&scribe.log, NULL);
        log_find_journal(&scribe.log, "1:2");
        ck_assert(!scribe.log.journal);
        ck_assert_int_eq(fstat(scribe.ends[1], &about), 0);
        snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)about.st_dev,
                 (uintmax_t)about.st_ino);
        log_find_journal(&scribe.log, stream);
        log_event(&scribe.log, LOG_WARN, "trouble", log_number("n", 1));
        log_event(&scribe.log, LOG_DEBUG, "detail", log_number("n", 2));
        expect_match(scribe_fini(&scribe), patterns[format]);
    }
}
END_TEST

int main(void)
{
    return suite_run("log", an_event_is_one_line_in_each_format, less_urgent_events_are_dropped,
                     bytes_from_outside_are_escaped, values_that_need_quotes_get_them,
                     a_long_value_is_cut, fields_without_room_are_left_out,
                     a_log_that_cannot_be_written_is_no_failure,
                     a_full_pipe_loses_lines_and_says_how_many, a_full_socket_loses_lines_too,
                     what_comes_too_often_is_held_back_and_counted,
                     many_kinds_of_events_do_not_end_the_counting, the_journal_has_priorities);
}
