/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text commands that concern the server: statistics, version, and what operators ask for. */
#include <inttypes.h>
#include <stdio.h>

#include "protocol/reply.h"
#include "server/dispatch/dispatch.h"
#include "server/operate/operate.h"
#include "server/stats/stats.h"

/* --- stats ------------------------------------------------------------------------------------ */

static void emit_text(void *context, const char *name, const char *value)
{
    struct output *output = context;
    output_text(output, "STAT ");
    output_text(output, name);
    output_text(output, " ");
    output_text(output, value);
    output_text(output, "\r\n");
}

static enum dispatch stats(struct dispatcher *dispatcher, struct session *session,
                           const struct request *request, struct output *output)
{
    struct shared *shared = dispatcher->shared;
    struct slice rest = request->rest, section;
    if (!request_next_word(&rest, &section)) section = slice_of(NULL, 0);
    if (slice_is(section, "cachedump"))
        return dispatch_cachedump(dispatcher, session, rest, output);
    if (slice_is(section, "detail")) return dispatch_detail(dispatcher, rest, output);
    if (slice_is(section, "reset")) {
        stats_reset(shared);
        output_text(output, REPLY_RESET);
        return DISPATCH_DONE;
    }
    if (stats_report(shared, section, emit_text, output))
        output_text(output, REPLY_END);
    else
        output_text(output, REPLY_ERROR);
    return DISPATCH_DONE;
}

/* --- the others ------------------------------------------------------------------------------- */

/* The level is the configuration's business (log.level); the command is answered, as clients want,
 * and changes nothing. */
static enum dispatch verbosity(const struct request *request, struct output *output)
{
    if (!request->noreply) output_text(output, REPLY_OK);
    return DISPATCH_DONE;
}

static enum dispatch flush(struct dispatcher *dispatcher, const struct request *request,
                           struct output *output)
{
    bool allowed = atomic_load(&dispatcher->shared->settings.flush_command) == CONFIG_SWITCH_ON;
    counter_add(dispatcher->counters, COUNTER_cmd_flush, 1);
    if (allowed)
        store_flush(dispatcher->shared->store, dispatcher->scratch,
                    request->has_exptime ? request->exptime : 0);
    if (!request->noreply) output_text(output, allowed ? REPLY_OK : REPLY_NO_FLUSH);
    return DISPATCH_DONE;
}

/* Starts a job and answers at once with its number: `stats compaction` shows how it goes. */
static enum dispatch compact(struct dispatcher *dispatcher, struct output *output)
{
    struct shared *shared = dispatcher->shared;
    char answer[32];
    if (atomic_load(&shared->settings.compaction) == CONFIG_COMPACTION_OFF) {
        output_text(output, REPLY_COMPACTION_OFF);
        return DISPATCH_DONE;
    }
    snprintf(answer, sizeof answer, "OK %" PRIu64 "\r\n", compaction_ask(&shared->compaction));
    output_text(output, answer);
    return DISPATCH_DONE;
}

/* --- what operators tell the server ----------------------------------------------------------- */

/* Lines end with "\n" in the answer and with "\r\n" here. */
static void write_lines(struct slice lines, struct output *output)
{
    const uint8_t *at = lines.bytes, *end = lines.bytes + lines.size_bytes;
    while (at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        output_add(output, slice_of(at, (size_t)(stop - at)));
        output_text(output, "\r\n");
        at = stop + 1;
    }
}

static void write_refusal(enum operate how, const struct answer *answer, struct output *output)
{
    output_text(output, how == OPERATE_WRONG ? "CLIENT_ERROR " : "SERVER_ERROR ");
    output_text(output, answer->refusal);
    output_text(output, "\r\n");
}

static enum dispatch operator_line(struct dispatcher *dispatcher, const struct session *session,
                                   const struct request *request, struct output *output)
{
    struct output lines;
    struct answer answer = {.local = conn_row_is_local(session->row), .lines = &lines};
    if (!output_init(&lines, NULL)) {
        output->broken = true;
        return DISPATCH_DONE;
    }
    enum operate how = operate(dispatcher->shared, slice_text(command_name(request->command)),
                               request->rest, &answer);
    if (how == OPERATE_UNKNOWN)
        output_text(output, REPLY_ERROR);
    else if (how == OPERATE_DONE)
        write_lines(output_contiguous(&lines), output);
    else
        write_refusal(how, &answer, output);
    output->broken |= lines.broken;
    output_fini(&lines);
    return DISPATCH_DONE;
}

enum dispatch dispatch_admin(struct dispatcher *dispatcher, struct session *session,
                             const struct request *request, struct output *output)
{
    if (request->command == COMMAND_STATS) return stats(dispatcher, session, request, output);
    if (request->command == COMMAND_FLUSH_ALL) return flush(dispatcher, request, output);
    if (request->command == COMMAND_VERBOSITY) return verbosity(request, output);
    if (request->command == COMMAND_DEBUG || request->command == COMMAND_DEBUGTIME)
        return dispatch_debug(dispatcher, request, output);
    if (request->command == COMMAND_COMPACT) return compact(dispatcher, output);
    if (request->command == COMMAND_SLABS) return dispatch_slabs(dispatcher, request, output);
    if (request->command == COMMAND_LRU) return dispatch_lru(request, output);
    if (request->command == COMMAND_MEMLIMIT)
        return dispatch_memlimit(dispatcher, request, output);
    if (request->command == COMMAND_LRU_CRAWLER)
        return dispatch_lru_crawler(dispatcher, session, request, output);
    if (request->command == COMMAND_WATCH)
        return dispatch_watch(dispatcher, session, request, output);
    if (request->command == COMMAND_SHUTDOWN)
        return dispatch_shutdown(dispatcher, session, request, output);
    if (request->command == COMMAND_QUIT) return DISPATCH_CLOSE;
    if (request->command != COMMAND_VERSION)
        return operator_line(dispatcher, session, request, output);
    output_text(output, "VERSION " REPLY_VERSION_TEXT "\r\n");
    return DISPATCH_DONE;
}

enum dispatch dispatch_text(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
{
    if (request->command <= COMMAND_TOUCH)
        return dispatch_item(dispatcher, session, request, output);
    if (request->command <= COMMAND_MN) return dispatch_meta(dispatcher, session, request, output);
    if (request->command <= COMMAND_MAPS)
        return dispatch_map(dispatcher, session, request, output);
    return dispatch_admin(dispatcher, session, request, output);
}
