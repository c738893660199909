/* SPDX-License-Identifier: BSD-3-Clause
 * log - one event per line, on standard error, in one of three formats.
 *
 *   text    2026-11-21T08:37:22.123Z info  listening address=127.0.0.1:11211
 *   logfmt  ts=2026-11-21T08:37:22.123Z level=info event="listening" address=127.0.0.1:11211
 *   json    {"ts":"2026-11-21T08:37:22.123Z","level":"info","event":"listening","address":"127..."}
 *
 *   journal <6>listening address=127.0.0.1:11211      text, where standard error is the journal,
 *                                                     which knows the time and shows the level
 *
 * An event is a constant text and up to LOG_FIELDS_MAX fields. Bytes from outside are safe as a
 * field's value: quotes, control characters and line ends are escaped. Values are cut to
 * LOG_VALUE_BYTES_MAX bytes, lines are at most LOG_LINE_BYTES_MAX.
 *
 * An event that comes more often than LOG_SAME_MAX times in LOG_SAME_SECONDS is held back, and
 * counted: "slow request ... 41 more like this in 10 s"; but not those of LOG_DEBUG.
 *
 * Threads: any (takes RANK_LOG for the write). Blocks: once for LOG_PATIENCE_MS where whoever reads
 * a pipe or a terminal does not; then lines are lost, and counted, until there is room again. A log
 * that cannot be written must not stop the server.
 */
#ifndef FARPAGE_BASE_LOG_H
#define FARPAGE_BASE_LOG_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/lock.h"
#include "base/slice.h"

enum {
    LOG_FIELDS_MAX = 12,
    LOG_VALUE_BYTES_MAX = 256,
    LOG_LINE_BYTES_MAX = 4096, /* a pipe takes so much in one go */
    LOG_SAME_MAX = 50,
    LOG_SAME_SECONDS = 10,
    LOG_EVENTS_WATCHED = 32, /* of those that come often */
    LOG_PATIENCE_MS = 50,
};
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };
enum log_format { LOG_TEXT, LOG_LOGFMT, LOG_JSON, LOG_FORMATS };

struct log_same { /* an event in its stretch of time; under the log's lock */
    const char *event; /* NULL: a free place */
    enum log_level level;
    uint64_t since_ns, lines; /* monotonic; that wanted to be written in it */
};

struct log {
    struct lock lock;
    int fd;
    enum { LOG_TO_FILE, LOG_TO_PIPE, LOG_TO_SOCKET } kind;
    bool journal; /* standard error is the journal */
    bool stalled; /* the last line found no room; under the lock, as the next two */
    uint64_t untold; /* lines lost of which nothing is said yet */
    struct log_same same[LOG_EVENTS_WATCHED];
    _Atomic int level;  /* enum log_level: less urgent events are dropped */
    _Atomic int format; /* enum log_format */
    _Atomic uint64_t lost, held_back; /* since the start: no room; too many like them */
    _Atomic bool holding; /* some are held back and not counted out yet */
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
/* JOURNAL_STREAM of the environment (NULL: it is not there) says whether fd is the journal. */
void log_find_journal(struct log *log, const char *journal_stream) FP_NONNULL(1);
/* Says how many were held back whose stretch of time is over; cheap where none are. */
void log_tell_held(struct log *log) FP_NONNULL(1);

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
