/* SPDX-License-Identifier: BSD-3-Clause
 *
 * memcached's knobs: `slabs`, `lru`, `cache_memlimit` and `shutdown`. What it can be told about its
 * slabs and queues is read as it reads it and answered as it answers; what we have nothing like
 * changes nothing. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/number.h"
#include "protocol/reply.h"
#include "server/dispatch/dispatch.h"
#include "server/memory/memory_limit.h"

enum { LRU_PERCENT_MAX = 80, NUMBER_CHARS_MAX = 31, AUTOMOVE_LEVEL_MAX = 2 };

static bool next_u32(struct slice *rest, uint64_t *value)
{
    struct slice word;
    return request_next_word(rest, &word) && number_wire_u64(word, value) && *value <= UINT32_MAX;
}

static bool next_real(struct slice *rest, double *value)
{
    struct slice word;
    char text[NUMBER_CHARS_MAX + 1], *end;
    if (!request_next_word(rest, &word) || word.size_bytes > NUMBER_CHARS_MAX) return false;
    memcpy(text, word.bytes, word.size_bytes);
    text[word.size_bytes] = '\0';
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value == *value;
}

static enum dispatch done(struct output *output, const char *answer)
{
    output_text(output, answer);
    return DISPATCH_DONE;
}

/* --- slabs ------------------------------------------------------------------------------------ */

/* The levels are the nearest thing to our compaction: 0 leaves it to `compact`. */
static const char *automove_level(struct shared *shared, struct slice word)
{
    uint64_t level;
    if (!number_wire_u64(word, &level)) return REPLY_BAD_LINE;
    if (level > AUTOMOVE_LEVEL_MAX) return REPLY_ERROR;
    _Atomic uint32_t *compaction = &shared->settings.compaction;
    if (atomic_load(compaction) == CONFIG_COMPACTION_OFF) return REPLY_COMPACTION_OFF;
    atomic_store(compaction, level == 0 ? CONFIG_COMPACTION_MANUAL : CONFIG_COMPACTION_AUTO);
    return REPLY_OK;
}

static const char *automove(struct shared *shared, struct slice rest)
{
    struct slice word;
    double ratio;
    uint64_t window;
    if (!request_next_word(&rest, &word)) return REPLY_ERROR;
    if (slice_is(word, "ratio") || slice_is(word, "freeratio"))
        return next_real(&rest, &ratio) ? REPLY_OK : REPLY_ERROR;
    if (slice_is(word, "window")) return next_u32(&rest, &window) ? REPLY_OK : REPLY_BAD_LINE;
    return automove_level(shared, word);
}

static bool has_two_words(struct slice rest)
{
    struct slice word;
    return request_next_word(&rest, &word) && request_next_word(&rest, &word) &&
           !request_next_word(&rest, &word);
}

enum dispatch dispatch_slabs(struct dispatcher *dispatcher, const struct request *request,
                             struct output *output)
{
    struct slice rest = request->rest, word;
    if (!request_next_word(&rest, &word)) return done(output, REPLY_ERROR);
    if (slice_is(word, "automove")) return done(output, automove(dispatcher->shared, rest));
    if (slice_is(word, "reassign") && has_two_words(rest))
        return done(output, "CLIENT_ERROR slab reassignment disabled\r\n");
    return done(output, REPLY_ERROR);
}

/* --- lru -------------------------------------------------------------------------------------- */

static const char *tune(struct slice rest)
{
    uint64_t hot, warm;
    double hot_factor, warm_factor;
    if (!next_u32(&rest, &hot) || !next_u32(&rest, &warm) || !next_real(&rest, &hot_factor) ||
        !next_real(&rest, &warm_factor))
        return REPLY_ERROR;
    if (hot + warm > LRU_PERCENT_MAX) return "ERROR hot and warm pcts must not exceed 80\r\n";
    if (hot_factor <= 0 || warm_factor <= 0)
        return "ERROR hot/warm age factors must be greater than 0\r\n";
    return REPLY_OK;
}

static const char *lru(struct slice rest)
{
    struct slice what, word;
    int64_t ttl;
    if (!request_next_word(&rest, &what)) return REPLY_ERROR;
    if (slice_is(what, "tune")) return tune(rest);
    if (!request_next_word(&rest, &word)) return REPLY_ERROR;
    bool mode = slice_is(word, "flat") || slice_is(word, "segmented");
    if (slice_is(what, "mode")) return mode ? REPLY_OK : REPLY_ERROR;
    bool good = slice_is(what, "temp_ttl") && number_wire_i64(word, &ttl) && ttl >= INT32_MIN &&
                ttl <= INT32_MAX;
    return good ? REPLY_OK : REPLY_ERROR;
}

enum dispatch dispatch_lru(const struct request *request, struct output *output)
{
    return done(output, lru(request->rest));
}

/* --- cache_memlimit --------------------------------------------------------------------------- */

enum { MEMLIMIT_LEAST_MB = 8, MEMLIMIT_MOST_MB = 1000000000 };

static const char *memlimit(struct shared *shared, struct slice rest)
{
    struct slice word;
    uint64_t mb;
    if (!request_next_word(&rest, &word) || !number_wire_u64(word, &mb) || mb > UINT32_MAX)
        return REPLY_ERROR;
    if (mb < MEMLIMIT_LEAST_MB) return REPLY_MEMLIMIT_TOO_SMALL;
    if (mb > MEMLIMIT_MOST_MB) return REPLY_MEMLIMIT_BYTES;
    const char *refusal =
        memory_limit_refusal(shared, mb << 20, setting(&shared->settings.item_bytes_max));
    if (refusal != NULL) {
        log_event(shared->log, LOG_WARN, "cache_memlimit refused", log_number("mb", mb),
                  log_text("reason", refusal));
        return REPLY_MEMLIMIT_REFUSED;
    }
    memory_limit_set(shared, mb << 20, "cache_memlimit");
    return REPLY_OK;
}

enum dispatch dispatch_memlimit(struct dispatcher *dispatcher, const struct request *request,
                                struct output *output)
{
    const char *answer = memlimit(dispatcher->shared, request->rest);
    if (!request->noreply) output_text(output, answer);
    return DISPATCH_DONE;
}

/* --- shutdown --------------------------------------------------------------------------------- */

/* Both ways are the graceful one: SIGTERM's. The connection ends with no answer, as memcached's. */
enum dispatch dispatch_shutdown(struct dispatcher *dispatcher, const struct session *session,
                                const struct request *request, struct output *output)
{
    struct shared *shared = dispatcher->shared;
    if (atomic_load(&shared->settings.shutdown_command) != CONFIG_SWITCH_ON)
        return done(output, "SERVER_ERROR: shutdown not enabled\r\n");
    if (request->rest.size_bytes > 0 && !slice_is(request->rest, "graceful"))
        return done(output, "CLIENT_ERROR invalid shutdown mode\r\n");
    log_event(shared->log, LOG_INFO, "a client asks for the stop",
              log_text("peer", session->row->peer));
    if (kill(getpid(), SIGTERM) == 0) return DISPATCH_CLOSE;
    return done(output, "SERVER_ERROR the system refuses the signal\r\n");
}
