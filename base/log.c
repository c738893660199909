/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
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

/* The journal's own priorities, and in text no time and level beside its own. */
static void begin_line(const struct log *log, struct line *line, enum log_format format,
                       enum log_level level, const char *event)
{
    static const char priorities[LOG_LEVELS] = {'3', '4', '6', '7'};
    static void (*const begin[LOG_FORMATS])(struct line *, enum log_level, const char *) = {
        put_plain, put_logfmt, put_json};
    if (log->journal) {
        const char prefix[] = {'<', priorities[level], '>', '\0'};
        put_text(line, prefix);
    }
    if (log->journal && format == LOG_TEXT) put_text(line, event);
    else begin[format](line, level, event);
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
}

/* --- where it goes ---------------------------------------------------------------------------- */

_Static_assert((int)LOG_LINE_BYTES_MAX <= PIPE_BUF, "a line goes into a pipe whole or not at all");

/* Whether a write would find room, which is waited for unless it was in vain just now. */
static bool has_room(struct log *log)
{
    struct pollfd room = {.fd = log->fd, .events = POLLOUT};
    int ready;
    do ready = poll(&room, 1, log->stalled ? 0 : LOG_PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    return ready != 0; /* an error is the write's to find */
}

/* False where there is no room. Another program may have filled the pipe since has_room: so the
 * write must not wait either, where the system can do that. */
static bool write_bytes(struct log *log, const char *bytes, size_t size_bytes)
{
    struct iovec all = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size_bytes};
    ssize_t written = -1;
    if (!has_room(log)) return false;
    if (log->kind == LOG_TO_SOCKET) {
        written = send(log->fd, bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        if (log->kind == LOG_TO_PIPE) written = pwritev2(log->fd, &all, 1, -1, RWF_NOWAIT);
        if (written < 0 && (log->kind == LOG_TO_FILE || errno == EOPNOTSUPP))
            written = write(log->fd, bytes, size_bytes);
    }
    return written >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void end_line(struct line *line, enum log_format format)
{
    if (format == LOG_JSON) put_char(line, '}');
    line->bytes[line->size_bytes++] = '\n';
}

/* A line that says how many there were, of what: " ... 41 more like this in 10 s". */
static void tell_number(struct log *log, enum log_level level, const char *event,
                        const struct log_field fields[2], const char *sentence)
{
    enum log_format format = (enum log_format)atomic_load(&log->format);
    struct line line = {.size_bytes = 0};
    begin_line(log, &line, format, level, event);
    if (format == LOG_TEXT) put_text(&line, sentence);
    else put_fields(&line, format == LOG_JSON, fields, 2);
    end_line(&line, format);
    (void)!write_bytes(log, line.bytes, line.size_bytes);
}

static void tell_lost_locked(struct log *log)
{
    char sentence[64];
    struct log_field fields[2] = {log_number("lost", log->untold),
                                  log_number("lost_in_all", atomic_load(&log->lost))};
    snprintf(sentence, sizeof sentence, ": %" PRIu64, log->untold);
    log->untold = 0;
    tell_number(log, LOG_WARN, "lines of the log were lost, nobody read them", fields, sentence);
}

static void send_locked(struct log *log, const struct line *line)
{
    if (log->untold > 0 && has_room(log)) {
        log->stalled = false;
        tell_lost_locked(log);
    }
    bool sent = write_bytes(log, line->bytes, line->size_bytes);
    log->stalled = !sent;
    if (sent) return;
    log->untold++;
    atomic_fetch_add(&log->lost, 1);
}

/* --- too many of one kind --------------------------------------------------------------------- */

#define SAME_NS ((uint64_t)LOG_SAME_SECONDS * 1000000000)

static void tell_same_locked(struct log *log, struct log_same *same)
{
    char sentence[64];
    uint64_t more = same->lines > LOG_SAME_MAX ? same->lines - LOG_SAME_MAX : 0;
    struct log_field fields[2] = {log_number("more", more),
                                  log_number("seconds", LOG_SAME_SECONDS)};
    snprintf(sentence, sizeof sentence, " ... %" PRIu64 " more like this in %d s", more,
             (int)LOG_SAME_SECONDS);
    if (more > 0) tell_number(log, same->level, same->event, fields, sentence);
    same->event = NULL;
}

static void tell_held_locked(struct log *log, uint64_t now_ns)
{
    bool holding = false;
    for (int i = 0; i < LOG_EVENTS_WATCHED; i++) {
        struct log_same *same = &log->same[i];
        if (same->event == NULL) continue;
        if (now_ns - same->since_ns >= SAME_NS) tell_same_locked(log, same);
        else holding |= same->lines > LOG_SAME_MAX;
    }
    atomic_store(&log->holding, holding);
}

void log_tell_held(struct log *log)
{
    if (!atomic_load_explicit(&log->holding, memory_order_relaxed)) return;
    lock_take(&log->lock);
    tell_held_locked(log, clock_monotonic_ns());
    lock_drop(&log->lock);
}

/* Its place, or a free one, or that of the oldest of which none was held back; NULL. */
static struct log_same *place_of(struct log *log, const char *event)
{
    struct log_same *found = NULL;
    for (int i = 0; i < LOG_EVENTS_WATCHED; i++) {
        struct log_same *same = &log->same[i];
        if (same->event == event) return same;
        bool better = found == NULL || (found->event != NULL && same->since_ns < found->since_ns);
        if (same->lines > LOG_SAME_MAX && same->event != NULL) continue;
        if (same->event == NULL ? found == NULL || found->event != NULL : better) found = same;
    }
    return found;
}

/* False: it is held back. */
static bool may_pass_locked(struct log *log, enum log_level level, const char *event)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (level == LOG_DEBUG) return true;
    if (atomic_load(&log->holding)) tell_held_locked(log, now_ns);
    struct log_same *same = place_of(log, event);
    if (same == NULL) return true;
    if (same->event != event || now_ns - same->since_ns >= SAME_NS)
        *same = (struct log_same){event, level, now_ns, 0};
    if (++same->lines <= LOG_SAME_MAX) return true;
    atomic_store(&log->holding, true);
    atomic_fetch_add(&log->held_back, 1);
    return false;
}

/* --- the log ---------------------------------------------------------------------------------- */

void log_init(struct log *log, int fd, enum log_level level, enum log_format format)
{
    struct stat about;
    *log = (struct log){.fd = fd};
    lock_init(&log->lock, RANK_LOG);
    if (fstat(fd, &about) == 0) {
        if (S_ISFIFO(about.st_mode)) log->kind = LOG_TO_PIPE;
        if (S_ISSOCK(about.st_mode)) log->kind = LOG_TO_SOCKET;
    }
    log_configure(log, level, format);
}

void log_fini(struct log *log)
{
    for (int i = 0; i < LOG_EVENTS_WATCHED; i++)
        if (log->same[i].event != NULL) tell_same_locked(log, &log->same[i]);
    lock_fini(&log->lock);
}

void log_find_journal(struct log *log, const char *journal_stream)
{
    struct stat about;
    char here[48];
    if (journal_stream == NULL || fstat(log->fd, &about) != 0) return;
    snprintf(here, sizeof here, "%ju:%ju", (uintmax_t)about.st_dev, (uintmax_t)about.st_ino);
    log->journal = strcmp(here, journal_stream) == 0;
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
    struct line line = {.size_bytes = 0};
    begin_line(log, &line, format, level, event);
    put_fields(&line, format == LOG_JSON, fields, field_count);
    end_line(&line, format);
    lock_take(&log->lock);
    if (may_pass_locked(log, level, event)) send_locked(log, &line);
    lock_drop(&log->lock);
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

const char *log_format_name(enum log_format format)
{
    return format_names[format];
}
