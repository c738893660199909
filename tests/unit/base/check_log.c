/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

int main(void)
{
    return suite_run("log", an_event_is_one_line_in_each_format, less_urgent_events_are_dropped,
                     bytes_from_outside_are_escaped, values_that_need_quotes_get_them,
                     a_long_value_is_cut, fields_without_room_are_left_out,
                     a_log_that_cannot_be_written_is_no_failure);
}
