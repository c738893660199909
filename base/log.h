/* SPDX-License-Identifier: BSD-3-Clause
 * log - one event per line, on standard error, in one of three formats.
 *
 *   text    2026-11-21T08:37:22.123Z info  listening address=127.0.0.1:11211
 *   logfmt  ts=2026-11-21T08:37:22.123Z level=info event="listening" address=127.0.0.1:11211
 *   json    {"ts":"2026-11-21T08:37:22.123Z","level":"info","event":"listening","address":"127..."}
 *
 * An event is a constant text and up to LOG_FIELDS_MAX fields. Bytes from outside are safe as a
 * field's value: quotes, control characters and line ends are escaped. Values are cut to
 * LOG_VALUE_BYTES_MAX bytes, lines are at most LOG_LINE_BYTES_MAX.
 *
 * Threads: any (takes RANK_LOG for the write). Blocks: where standard error does. A log that cannot
 * be written loses lines silently: it must not stop the server.
 */
#ifndef FARPAGE_BASE_LOG_H
#define FARPAGE_BASE_LOG_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/lock.h"
#include "base/slice.h"

enum { LOG_FIELDS_MAX = 12, LOG_VALUE_BYTES_MAX = 256, LOG_LINE_BYTES_MAX = 4096 };
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };
enum log_format { LOG_TEXT, LOG_LOGFMT, LOG_JSON, LOG_FORMATS };

struct log {
    struct lock lock;
    int fd;
    _Atomic int level;  /* enum log_level: less urgent events are dropped */
    _Atomic int format; /* enum log_format */
};

struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_NUMBER } kind;
    struct slice text;
    uint64_t number;
};

static inline struct log_field log_text(const char *name, const char *text)
{
    return (struct log_field){name, LOG_FIELD_TEXT, slice_text(text), 0};
}
static inline struct log_field log_bytes(const char *name, struct slice bytes)
{
    return (struct log_field){name, LOG_FIELD_TEXT, bytes, 0};
}
static inline struct log_field log_number(const char *name, uint64_t number)
{
    return (struct log_field){name, LOG_FIELD_NUMBER, {NULL, 0}, number};
}

/* The log borrows fd and never closes it. */
void log_init(struct log *log, int fd, enum log_level level, enum log_format format) FP_NONNULL(1);
void log_fini(struct log *log) FP_NONNULL(1);
void log_configure(struct log *log, enum log_level level, enum log_format format) FP_NONNULL(1);
bool log_wants(const struct log *log, enum log_level level) FP_NONNULL(1);

void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, unsigned field_count) FP_NONNULL(1, 3);

/* log_event(log, LOG_INFO, "listening", log_text("address", text), log_number("fd", 4)) */
#define log_event(log, level, event, ...)                                                          \
    do {                                                                                           \
        const struct log_field log_fields_[] = {__VA_ARGS__};                                      \
        log_write(log, level, event, log_fields_, (unsigned)FP_COUNT_OF(log_fields_));             \
    } while (0)

const char *log_level_name(enum log_level level);
const char *log_format_name(enum log_format format);

#endif
