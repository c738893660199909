/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

static const char *const level_names[LOG_LEVELS] = {"error", "warn", "info", "debug"};
static const char *const format_names[LOG_FORMATS] = {"text", "logfmt", "json"};

/* A line being written. The last byte is kept for the line end. */
struct line {
    char bytes[LOG_LINE_BYTES_MAX];
    size_t size_bytes;
};

static void put_char(struct line *line, char c)
{
    if (line->size_bytes < sizeof line->bytes - 1) line->bytes[line->size_bytes++] = c;
}

static void put_text(struct line *line, const char *text)
{
    while (*text) put_char(line, *text++);
}

/* JSON's escapes, which logfmt readers take too. Bytes above 0x7e are written as \u00XX: a log must
 * stay valid UTF-8 whatever a client sends. */
static void put_escaped(struct line *line, struct slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = text.bytes[i];
        char escape[8];
        if (c == '"' || c == '\\')
            snprintf(escape, sizeof escape, "\\%c", c);
        else if (c == '\n')
            snprintf(escape, sizeof escape, "\\n");
        else if (c == '\r')
            snprintf(escape, sizeof escape, "\\r");
        else if (c < 0x20 || c > 0x7e)
            snprintf(escape, sizeof escape, "\\u%04x", c);
        else
            snprintf(escape, sizeof escape, "%c", c);
        put_text(line, escape);
    }
}

static bool needs_quotes(struct slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = text.bytes[i];
        if (c <= ' ' || c > 0x7e || c == '"' || c == '\\' || c == '=') return true;
    }
    return text.size_bytes == 0;
}

static void put_value(struct line *line, const struct log_field *field, bool quote_all)
{
    if (field->kind == LOG_FIELD_NUMBER) {
        char number[24];
        snprintf(number, sizeof number, "%" PRIu64, field->number);
        put_text(line, number);
        return;
    }
    bool quote = quote_all || needs_quotes(field->text);
    if (quote) put_char(line, '"');
    put_escaped(line, field->text);
    if (quote) put_char(line, '"');
}

static void put_time(struct line *line)
{
    uint64_t now_ns = clock_unix_ns();
    time_t seconds = (time_t)(now_ns / 1000000000);
    struct tm utc;
    char text[48];
    if (gmtime_r(&seconds, &utc) == NULL) return;
    size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + used, sizeof text - used, ".%03uZ", (unsigned)(now_ns / 1000000 % 1000));
    put_text(line, text);
}

static void put_json(struct line *line, enum log_level level, const char *event)
{
    put_text(line, "{\"ts\":\"");
    put_time(line);
    put_text(line, "\",\"level\":\"");
    put_text(line, level_names[level]);
    put_text(line, "\",\"event\":\"");
    put_text(line, event);
    put_char(line, '"');
}

static void put_logfmt(struct line *line, enum log_level level, const char *event)
{
    put_text(line, "ts=");
    put_time(line);
    put_text(line, " level=");
    put_text(line, level_names[level]);
    put_text(line, " event=\"");
    put_text(line, event);
    put_char(line, '"');
}

static void put_plain(struct line *line, enum log_level level, const char *event)
{
    put_time(line);
    put_char(line, ' ');
    put_text(line, level_names[level]);
    put_text(line, level == LOG_WARN || level == LOG_INFO ? "  " : " ");
    put_text(line, event);
}

/* Longer values are cut to LOG_VALUE_BYTES_MAX; a field for which there is no room is left out, so
 * that what is written is always well formed. */
static void put_fields(struct line *line, bool json, const struct log_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct log_field field = fields[i];
        if (field.text.size_bytes > LOG_VALUE_BYTES_MAX)
            field.text.size_bytes = LOG_VALUE_BYTES_MAX;
        size_t room = strlen(field.name) + 6 * field.text.size_bytes + 32;
        if (line->size_bytes + room > sizeof line->bytes) continue;
        put_text(line, json ? ",\"" : " ");
        put_text(line, field.name);
        put_text(line, json ? "\":" : "=");
        put_value(line, &field, json);
    }
    if (json) put_char(line, '}');
}

void log_init(struct log *log, int fd, enum log_level level, enum log_format format)
{
    lock_init(&log->lock, RANK_LOG);
    log->fd = fd;
    log_configure(log, level, format);
}

void log_fini(struct log *log)
{
    lock_fini(&log->lock);
}

void log_configure(struct log *log, enum log_level level, enum log_format format)
{
    atomic_store(&log->level, (int)level);
    atomic_store(&log->format, (int)format);
}

bool log_wants(const struct log *log, enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed);
}

void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, unsigned field_count)
{
    if (!log_wants(log, level)) return;
    fp_assert(field_count <= LOG_FIELDS_MAX);
    enum log_format format = (enum log_format)atomic_load(&log->format);
    static void (*const begin[LOG_FORMATS])(struct line *, enum log_level, const char *) = {
        put_plain, put_logfmt, put_json};
    struct line line = {.size_bytes = 0};
    begin[format](&line, level, event);
    put_fields(&line, format == LOG_JSON, fields, field_count);
    line.bytes[line.size_bytes++] = '\n';

    lock_take(&log->lock);
    ssize_t written = write(log->fd, line.bytes, line.size_bytes);
    lock_drop(&log->lock);
    (void)written; /* nobody to tell */
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

const char *log_format_name(enum log_format format)
{
    return format_names[format];
}
