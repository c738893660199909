/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text commands that concern items. Each answers as memcached does; what a command counts is
 * next to what it answers. */
#include "base/arith.h"
#include "base/check.h"
#include "protocol/reply.h"
#include "server/dispatch/dispatch_await.h"
#include "server/dispatch/dispatch_frame.h"
#include "server/dispatch/dispatch_notes.h"
#include "server/dispatch/dispatch_value_in.h"
#include "server/dispatch/dispatch_value_out.h"

static void count(struct dispatcher *dispatcher, enum worker_counter which)
{
    counter_add(dispatcher->counters, which, 1);
}

static void answer(const struct request *request, struct output *output, const char *text)
{
    if (!request->noreply) output_text(output, text);
}

/* --- get, gets, gat, gats -------------------------------------------------------------------- */

static bool write_value(struct dispatcher *dispatcher, struct session *session,
                        struct item **item, bool with_cas, struct output *output)
{
    char line[REPLY_VALUE_LINE_BYTES_MAX];
    uint64_t cas = item_cas(*item);
    size_t line_bytes = reply_value_line(line, item_key(*item), (*item)->flags,
                                         (*item)->value_bytes, with_cas ? &cas : NULL);
    return dispatch_value(dispatcher, session, item, slice_of(line, line_bytes), output);
}

enum got { GOT, GOT_NOTHING_MORE, GOT_SPILLED };

static enum got get_one(struct dispatcher *dispatcher, struct session *session,
                        const struct request *request, struct slice key, struct output *output)
{
    bool touches = request->command == COMMAND_GAT || request->command == COMMAND_GATS;
    bool with_cas = request->command == COMMAND_GETS || request->command == COMMAND_GATS;
    struct item *item = store_item_acquire(dispatcher->shared->store, dispatcher->scratch, key,
                                           touches ? &request->exptime : NULL);
    enum spill_item spilled =
        item != NULL ? dispatch_ask_item(dispatcher, item) : SPILL_ITEM_READY;
    if (spilled != SPILL_ITEM_READY)
        store_item_release(dispatcher->shared->store, dispatcher->scratch, &item);
    if (spilled == SPILL_ITEM_ASKED) return GOT_SPILLED;
    count(dispatcher, touches ? COUNTER_cmd_touch : COUNTER_cmd_get);
    if (touches) count(dispatcher, item != NULL ? COUNTER_touch_hits : COUNTER_touch_misses);
    else count(dispatcher, item != NULL ? COUNTER_get_hits : COUNTER_get_misses);
    note_get(dispatcher, key, item);
    bool good = item == NULL || write_value(dispatcher, session, &item, with_cas, output);
    return good ? GOT : GOT_NOTHING_MORE;
}

/* session->resume counts the keys that were answered already, or of whose long value the rest is
 * under way. */
static enum dispatch get_many(struct dispatcher *dispatcher, struct session *session,
                              const struct request *request, struct output *output)
{
    uint64_t limit = setting(&dispatcher->shared->settings.output_buffer_max_bytes);
    struct slice more = request->more_keys, key = request->key;
    uint64_t skipped = 0;
    enum got got = GOT;
    if (value_out_is_under_way(session)) {
        enum dispatch next = value_out_more(dispatcher, session, output);
        if (next != DISPATCH_DONE) return next;
    }
    do {
        if (skipped++ < session->resume) continue;
        if (output_pending(output) >= limit) return DISPATCH_AGAIN;
        got = get_one(dispatcher, session, request, key, output);
        if (got == GOT_SPILLED) { /* those behind it come with it */
            while (request_next_key(&more, &key)) dispatch_ask_ahead(dispatcher, key);
            return DISPATCH_WAIT;
        }
        session->resume++;
        if (value_out_is_under_way(session)) return DISPATCH_MORE;
    } while (got == GOT && request_next_key(&more, &key));
    session->resume = 0;
    if (got == GOT) output_text(output, REPLY_END);
    return DISPATCH_DONE;
}

/* --- set and its kin ------------------------------------------------------------------------- */

static enum item_mode mode_of(enum command command)
{
    if (command == COMMAND_ADD) return ITEM_ADD;
    if (command == COMMAND_REPLACE) return ITEM_REPLACE;
    if (command == COMMAND_APPEND) return ITEM_APPEND;
    if (command == COMMAND_PREPEND) return ITEM_PREPEND;
    return command == COMMAND_CAS ? ITEM_CAS : ITEM_SET;
}

void dispatch_forget(struct dispatcher *dispatcher, const struct request *request)
{
    uint8_t room[KEY_BYTES_MAX];
    enum fp_status status = store_item_delete(dispatcher->shared->store, dispatcher->scratch,
                                              request_key(request, room));
    (void)status; /* not there is as good */
}

static const char *put_answer(struct dispatcher *dispatcher, const struct request *request,
                              enum fp_status status)
{
    bool cas = request->command == COMMAND_CAS;
    if (status == FP_OK) {
        if (cas) count(dispatcher, COUNTER_cas_hits);
        return REPLY_STORED;
    }
    if (status == FP_ABSENT) {
        count(dispatcher, COUNTER_cas_misses);
        return REPLY_NOT_FOUND;
    }
    if (status == FP_EXISTS) {
        count(dispatcher, COUNTER_cas_badval);
        return REPLY_EXISTS;
    }
    if (status == FP_TOO_BIG) {
        count(dispatcher, COUNTER_store_too_large);
        return REPLY_NOT_STORED; /* as memcached: what is too large by itself was refused before */
    }
    if (status == FP_NOT_STORED) return REPLY_NOT_STORED;
    if (status == FP_CORRUPT) return REPLY_CORRUPT;
    count(dispatcher, COUNTER_store_no_memory);
    /* As memcached: better no value than one the client believes it has replaced. */
    if (request->command == COMMAND_SET) dispatch_forget(dispatcher, request);
    return status == FP_QUOTA ? REPLY_OVER_QUOTA : REPLY_OUT_OF_MEMORY;
}

static enum dispatch put(struct dispatcher *dispatcher, struct session *session,
                         const struct request *request, struct output *output)
{
    struct item_put args = {.mode = mode_of(request->command),
                            .key = request->key,
                            .value = request->value,
                            .flags = request->flags,
                            .exptime = request->exptime,
                            .cas = request->cas,
                            .whole = value_in_whole(session),
                            .join = &session->join};
    bool begins = session->join == NULL;
    enum dispatch again;
    enum fp_status status = value_in_decided(session);
    dispatch_may_wait(dispatcher, true);
    if (status == FP_OK)
        status = store_item_put(dispatcher->shared->store, dispatcher->scratch, &args,
                                setting(&dispatcher->shared->settings.item_bytes_max));
    dispatch_may_wait(dispatcher, false);
    if (status == FP_LATER) return dispatch_later(dispatcher);
    if (status == FP_SPILLED && dispatch_await_key(dispatcher, request->key, &again)) return again;
    if (begins) count(dispatcher, COUNTER_cmd_set);
    if (session->join != NULL) return DISPATCH_MORE;
    note_store(dispatcher, &(struct note_store){.key = request->key,
                                                .command = command_name(request->command),
                                                .status = status,
                                                .value_bytes = max_u64(request->value_bytes,
                                                                       request->value.size_bytes)});
    answer(request, output, put_answer(dispatcher, request, status));
    return DISPATCH_DONE;
}

/* --- delete, incr, decr, touch --------------------------------------------------------------- */

static enum dispatch delete_item(struct dispatcher *dispatcher, const struct request *request,
                                 struct output *output)
{
    struct note_delete note = {.key = request->key, .command = "delete"};
    note_delete_begins(dispatcher, &note);
    enum fp_status status =
        store_item_delete(dispatcher->shared->store, dispatcher->scratch, request->key);
    if (status == FP_OK) note_deleted(dispatcher, &note);
    count(dispatcher, status == FP_OK ? COUNTER_delete_hits : COUNTER_delete_misses);
    answer(request, output, status == FP_OK ? REPLY_DELETED : REPLY_NOT_FOUND);
    return DISPATCH_DONE;
}

static enum dispatch change_number(struct dispatcher *dispatcher, const struct request *request,
                                   struct output *output)
{
    bool down = request->command == COMMAND_DECR;
    struct item_delta change = {.key = request->key, .delta = request->delta, .down = down};
    char line[REPLY_NUMBER_LINE_BYTES_MAX];
    struct item_counted counted;
    enum dispatch again;
    dispatch_may_wait(dispatcher, true);
    enum fp_status status =
        store_item_delta(dispatcher->shared->store, dispatcher->scratch, &change, &counted);
    dispatch_may_wait(dispatcher, false);
    if (status == FP_LATER) return dispatch_later(dispatcher);
    if (status == FP_SPILLED && dispatch_await_key(dispatcher, request->key, &again)) return again;
    switch (status) {
    case FP_OK:
        count(dispatcher, down ? COUNTER_decr_hits : COUNTER_incr_hits);
        if (!request->noreply)
            output_add(output, slice_of(line, reply_number_line(line, counted.number)));
        break;
    case FP_ABSENT:
        count(dispatcher, down ? COUNTER_decr_misses : COUNTER_incr_misses);
        answer(request, output, REPLY_NOT_FOUND);
        break;
    case FP_NOT_A_NUMBER:
        answer(request, output, REPLY_NOT_A_NUMBER);
        break;
    case FP_CORRUPT:
        answer(request, output, REPLY_CORRUPT);
        break;
    case FP_QUOTA:
        answer(request, output, REPLY_OVER_QUOTA);
        break;
    case FP_NO_MEMORY:
    case FP_TOO_BIG:
    case FP_EXISTS:
    case FP_NOT_STORED:
    case FP_RANGE:
    case FP_INVALID:
    case FP_BUSY:
    case FP_LOST:
    case FP_FROZEN:
    case FP_MOVED:
    case FP_SPILLED:
    case FP_LATER:
    case FP_IO:
    default:
        answer(request, output, REPLY_OUT_OF_MEMORY);
    }
    return DISPATCH_DONE;
}

static enum dispatch touch(struct dispatcher *dispatcher, const struct request *request,
                           struct output *output)
{
    struct store *store = dispatcher->shared->store;
    struct item *item = store_item_acquire(store, dispatcher->scratch, request->key,
                                           &request->exptime);
    bool found = item != NULL;
    if (found) store_item_release(store, dispatcher->scratch, &item);
    count(dispatcher, COUNTER_cmd_touch);
    count(dispatcher, found ? COUNTER_touch_hits : COUNTER_touch_misses);
    answer(request, output, found ? REPLY_TOUCHED : REPLY_NOT_FOUND);
    return DISPATCH_DONE;
}

/* --------------------------------------------------------------------------------------------- */

enum fp_status dispatch_look_ahead(struct dispatcher *dispatcher, const struct request *request)
{
    struct item_put put = {.key = request->key, .cas = request->cas};
    if (request->command == COMMAND_MS) return dispatch_meta_look_ahead(dispatcher, request);
    if (request->command < COMMAND_SET || request->command > COMMAND_CAS) return FP_OK;
    put.mode = mode_of(request->command);
    return store_item_look_ahead(dispatcher->shared->store, dispatcher->scratch, &put);
}

void dispatch_refusal(struct dispatcher *dispatcher, const struct request *request)
{
    bool classic = request->command >= COMMAND_SET && request->command <= COMMAND_CAS;
    if (request->too_large) count(dispatcher, COUNTER_store_too_large);
    if (request->too_large && classic)
        note_store(dispatcher, &(struct note_store){.key = request->key,
                                                    .command = command_name(request->command),
                                                    .status = FP_TOO_BIG});
    if (request->drop_old) dispatch_forget(dispatcher, request);
}

void dispatch_no_memory(struct dispatcher *dispatcher, const struct request *request)
{
    count(dispatcher, COUNTER_store_no_memory);
    if (request->drop_old) dispatch_forget(dispatcher, request);
}

enum dispatch dispatch_item(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
{
    if (request->command <= COMMAND_GATS)
        return get_many(dispatcher, session, request, output);
    if (request->command <= COMMAND_CAS) return put(dispatcher, session, request, output);
    if (request->command == COMMAND_DELETE) return delete_item(dispatcher, request, output);
    if (request->command == COMMAND_TOUCH) return touch(dispatcher, request, output);
    fp_assert(request->command == COMMAND_INCR || request->command == COMMAND_DECR);
    return change_number(dispatcher, request, output);
}
