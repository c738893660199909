/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The meta commands. Each turns the flags it was sent into one operation of the store, and then
 * goes through them once more, in their order, to answer: whatever is answered is from that
 * operation, so it fits together whatever others do meanwhile.
 *
 * q hides what was to be expected: EN of mg, HD of the others. Errors are never hidden. */
#include <inttypes.h>
#include <stdio.h>

#include "base/arith.h"
#include "base/check.h"
#include "protocol/key_text.h"
#include "protocol/reply.h"
#include "protocol/reply_meta.h"
#include "server/dispatch/dispatch_await.h"
#include "server/dispatch/dispatch_frame.h"
#include "server/dispatch/dispatch_notes.h"
#include "server/dispatch/dispatch_value_in.h"
#include "server/dispatch/dispatch_value_out.h"
#include "storage/store/item/store_meta.h"

/* A request with its key as the store knows it. */
struct meta {
    struct dispatcher *dispatcher;
    struct session *session;
    const struct request *request;
    struct output *output;
    struct slice key;
};

static void count(struct meta *meta, enum worker_counter which)
{
    counter_add(meta->dispatcher->counters, which, 1);
}

static bool asks(const struct meta *meta, char flag)
{
    return request_asks(meta->request, flag);
}

/* The argument of a flag, where it was sent. */
static const int64_t *time_of(const struct meta *meta, char flag, const int64_t *argument)
{
    return asks(meta, flag) ? argument : NULL;
}

static const uint64_t *new_cas_of(const struct meta *meta)
{
    return asks(meta, 'E') ? &meta->request->meta.new_cas : NULL;
}

static struct item_times times_of(const struct meta *meta)
{
    const struct request *request = meta->request;
    return (struct item_times){.touch = time_of(meta, 'T', &request->exptime),
                               .create = time_of(meta, 'N', &request->meta.create_exptime),
                               .touch_created = request->meta.touch_last};
}

/* --- answers ---------------------------------------------------------------------------------- */

/* What all answers may show: the opaque as it was sent, and the key. */
static void show_common(struct slice word, struct slice key, bool binary,
                        struct reply_meta *reply)
{
    if (word.bytes[0] == 'O') reply_meta_word(reply, word);
    if (word.bytes[0] == 'k') reply_meta_key(reply, key, binary);
}

/* A code with those. */
static enum dispatch answer(struct meta *meta, const char *code)
{
    struct slice rest = meta->request->meta.flags, word;
    struct reply_meta reply;
    reply_meta_begin(&reply, code);
    while (request_next_word(&rest, &word))
        show_common(word, meta->key, asks(meta, 'b'), &reply);
    output_add(meta->output, reply_meta_end(&reply));
    return DISPATCH_DONE;
}

static enum dispatch answer_done(struct meta *meta)
{
    return asks(meta, 'q') ? DISPATCH_DONE : answer(meta, "HD");
}

static enum dispatch answer_text(struct meta *meta, const char *text)
{
    output_text(meta->output, text);
    return DISPATCH_DONE;
}

/* --- mg --------------------------------------------------------------------------------------- */

/* As memcached: what touches is no get, but where there is nothing to touch. */
static void count_get(struct meta *meta, bool hit)
{
    bool touched = hit && asks(meta, 'T');
    count(meta, touched ? COUNTER_cmd_touch : COUNTER_cmd_get);
    if (touched) count(meta, COUNTER_touch_hits);
    else count(meta, hit ? COUNTER_get_hits : COUNTER_get_misses);
}

/* *ttl: the time left as far as the flags have been gone through. */
static void show_flag(struct slice word, const struct item *item, const struct item_seen *seen,
                      int64_t *ttl, struct reply_meta *reply)
{
    switch (word.bytes[0]) {
    case 'T':
        *ttl = seen->ttls.touched;
        break;
    case 'N':
        if (seen->created) *ttl = seen->ttls.created;
        break;
    case 'c':
        reply_meta_number(reply, 'c', seen->cas);
        break;
    case 'f':
        reply_meta_number(reply, 'f', item->flags);
        break;
    case 'h':
        reply_meta_number(reply, 'h', seen->fetched);
        break;
    case 'l':
        reply_meta_number(reply, 'l', seen->idle_s);
        break;
    case 's':
        reply_meta_number(reply, 's', item->value_bytes);
        break;
    case 't':
        reply_meta_time(reply, *ttl);
        break;
    default:
        show_common(word, item_key(item), item->key_binary, reply);
    }
}

/* Takes the item. */
static void answer_item(struct meta *meta, struct item **taken, const struct item_seen *seen)
{
    const struct item *item = *taken;
    struct slice rest = meta->request->meta.flags, word;
    struct reply_meta reply;
    int64_t ttl = seen->ttls.before;
    bool known = asks(meta, 'C') && seen->cas == meta->request->cas;
    bool with_value = asks(meta, 'v') && !known;
    if (with_value) reply_meta_value(&reply, item->value_bytes);
    else reply_meta_begin(&reply, "HD");
    while (request_next_word(&rest, &word)) show_flag(word, item, seen, &ttl, &reply);
    if (seen->taken) reply_meta_flag(&reply, 'Z');
    if (seen->stale) reply_meta_flag(&reply, 'X');
    if (seen->won) reply_meta_flag(&reply, 'W');
    struct slice line = reply_meta_end(&reply);
    if (with_value) {
        (void)dispatch_value(meta->dispatcher, meta->session, taken, line, meta->output);
        return;
    }
    output_add(meta->output, line);
    store_item_release(meta->dispatcher->shared->store, meta->dispatcher->scratch, taken);
}

static enum dispatch get(struct meta *meta)
{
    const struct request *request = meta->request;
    struct store *store = meta->dispatcher->shared->store;
    struct item_look look = {
        .key = meta->key,
        .key_binary = asks(meta, 'b'),
        .unseen = asks(meta, 'u'),
        .value = asks(meta, 'v'),
        .creates = asks(meta, 'N'),
        .times = times_of(meta),
        .recache = time_of(meta, 'R', &request->meta.recache_exptime),
        .recache_touched = request->meta.recache_last,
        .new_cas = new_cas_of(meta),
    };
    struct item_seen seen;
    if (value_out_is_under_way(meta->session))
        return value_out_more(meta->dispatcher, meta->session, meta->output);
    struct item *item = store_meta_get(store, meta->dispatcher->scratch, &look, &seen);
    if (item != NULL && seen.spilled) {
        enum spill_item spilled = dispatch_ask_item(meta->dispatcher, item);
        store_item_release(store, meta->dispatcher->scratch, &item);
        if (spilled != SPILL_ITEM_NO_MEMORY)
            return spilled == SPILL_ITEM_ASKED ? DISPATCH_WAIT : DISPATCH_AGAIN;
    }
    count_get(meta, item != NULL);
    note_get(meta->dispatcher, meta->key, item != NULL && !seen.created ? item : NULL);
    if (item == NULL) return asks(meta, 'q') ? DISPATCH_DONE : answer(meta, "EN");
    answer_item(meta, &item, &seen);
    return value_out_is_under_way(meta->session) ? DISPATCH_MORE : DISPATCH_DONE;
}

/* What stores may have to be given again, when there is room or the old value was read. */
static bool comes_again(struct meta *meta, enum fp_status status, enum dispatch *again)
{
    *again = DISPATCH_LATER;
    if (status == FP_LATER) *again = dispatch_later(meta->dispatcher);
    if (status == FP_SPILLED) return dispatch_await_key(meta->dispatcher, meta->key, again);
    return status == FP_LATER;
}

/* --- ms --------------------------------------------------------------------------------------- */

static enum item_mode mode_of(const struct meta *meta)
{
    uint8_t mode = meta->request->meta.mode;
    if (mode == 'E') return ITEM_ADD;
    if (mode == 'A') return ITEM_APPEND;
    if (mode == 'P') return ITEM_PREPEND;
    if (asks(meta, 'C')) return ITEM_CAS; /* also of R: what has a cas is there */
    return mode == 'R' ? ITEM_REPLACE : ITEM_SET;
}

/* memcached shows a cas of 0 where nothing was stored, and the length that was sent. */
static enum dispatch answer_stored(struct meta *meta, const char *code,
                                   const struct item_stored *stored)
{
    struct slice rest = meta->request->meta.flags, word;
    struct reply_meta reply;
    reply_meta_begin(&reply, code);
    while (request_next_word(&rest, &word)) {
        if (word.bytes[0] == 'c') reply_meta_number(&reply, 'c', stored->cas);
        else if (word.bytes[0] == 's') reply_meta_number(&reply, 's', stored->value_bytes);
        else show_common(word, meta->key, asks(meta, 'b'), &reply);
    }
    output_add(meta->output, reply_meta_end(&reply));
    return DISPATCH_DONE;
}

static const char *const mode_names[] = {
    [ITEM_SET] = "set",       [ITEM_ADD] = "add",         [ITEM_REPLACE] = "replace",
    [ITEM_APPEND] = "append", [ITEM_PREPEND] = "prepend", [ITEM_CAS] = "cas"};

static void count_cas(struct meta *meta, enum item_mode mode, enum fp_status status)
{
    if (mode != ITEM_CAS) return;
    if (status == FP_OK) count(meta, COUNTER_cas_hits);
    if (status == FP_ABSENT) count(meta, COUNTER_cas_misses);
    if (status == FP_EXISTS) count(meta, COUNTER_cas_badval);
}

static struct item_put put_of(const struct meta *meta)
{
    const struct request *request = meta->request;
    bool joins = request->meta.mode == 'A' || request->meta.mode == 'P';
    bool creates = joins && asks(meta, 'N');
    return (struct item_put){
        .mode = mode_of(meta),
        .key = meta->key,
        .key_binary = asks(meta, 'b'),
        .value = request->value,
        .flags = request->flags,
        .exptime = creates ? request->meta.create_exptime : request->exptime,
        .cas = request->cas,
        .may_be_stale = asks(meta, 'I'),
        .creates = creates,
        /* 0 is none here, unlike elsewhere. */
        .new_cas = request->meta.new_cas != 0 ? &request->meta.new_cas : NULL,
    };
}

static enum fp_status put_value(struct meta *meta, struct item_put *put)
{
    struct session *session = meta->session;
    put->whole = value_in_whole(session);
    put->join = &session->join;
    enum fp_status decided = value_in_decided(session);
    if (decided != FP_OK) return decided;
    return store_item_put(meta->dispatcher->shared->store, meta->dispatcher->scratch, put,
                          setting(&meta->dispatcher->shared->settings.item_bytes_max));
}

static enum dispatch set(struct meta *meta)
{
    const struct request *request = meta->request;
    size_t value_bytes = max_u64(request->value_bytes, request->value.size_bytes);
    struct item_stored stored = {.value_bytes = (uint32_t)value_bytes};
    struct item_put put = put_of(meta);
    put.stored = &stored;
    bool begins = meta->session->join == NULL;
    enum dispatch again;
    dispatch_may_wait(meta->dispatcher, true);
    enum fp_status status = put_value(meta, &put);
    dispatch_may_wait(meta->dispatcher, false);
    if (comes_again(meta, status, &again)) return again;
    if (begins) count(meta, COUNTER_cmd_set);
    if (meta->session->join != NULL) return DISPATCH_MORE;
    count_cas(meta, put.mode, status);
    note_store(meta->dispatcher, &(struct note_store){.key = meta->key,
                                                      .command = mode_names[put.mode],
                                                      .status = status,
                                                      .value_bytes = value_bytes});
    if (status == FP_OK && asks(meta, 'q')) return DISPATCH_DONE;
    if (status == FP_OK) return answer_stored(meta, "HD", &stored);
    if (status == FP_ABSENT) return answer_stored(meta, "NF", &stored);
    if (status == FP_EXISTS) return answer_stored(meta, "EX", &stored);
    if (status == FP_NOT_STORED) return answer_stored(meta, "NS", &stored);
    if (status == FP_CORRUPT) return answer_text(meta, REPLY_CORRUPT);
    if (status == FP_TOO_BIG) { /* with what it was to be appended to */
        count(meta, COUNTER_store_too_large);
        return answer_stored(meta, "NS", &stored);
    }
    count(meta, COUNTER_store_no_memory);
    dispatch_forget(meta->dispatcher, request);
    return answer_text(meta, status == FP_QUOTA ? REPLY_OVER_QUOTA : REPLY_OUT_OF_MEMORY);
}

/* --- md --------------------------------------------------------------------------------------- */

static enum dispatch end(struct meta *meta)
{
    const struct request *request = meta->request;
    struct item_end wish = {
        .key = meta->key,
        .key_binary = asks(meta, 'b'),
        .cas = asks(meta, 'C') ? &request->cas : NULL,
        .invalidates = asks(meta, 'I'),
        .empties = asks(meta, 'x'),
        .flags = request->flags,
        .exptime = time_of(meta, 'T', &request->exptime),
        .new_cas = new_cas_of(meta),
    };
    struct note_delete note = {.key = meta->key, .command = "md"};
    note_delete_begins(meta->dispatcher, &note);
    enum fp_status status =
        store_meta_end(meta->dispatcher->shared->store, meta->dispatcher->scratch, &wish);
    if (status == FP_QUOTA) return answer_text(meta, REPLY_OVER_QUOTA);
    if (status == FP_NO_MEMORY) return answer_text(meta, REPLY_OUT_OF_MEMORY);
    if (status != FP_OK) count(meta, COUNTER_delete_misses);
    else if (!wish.invalidates) count(meta, COUNTER_delete_hits);
    if (status == FP_OK && !wish.invalidates && !wish.empties)
        note_deleted(meta->dispatcher, &note);
    if (status == FP_ABSENT) return answer(meta, "NF");
    return status == FP_EXISTS ? answer(meta, "EX") : answer_done(meta);
}

/* --- ma --------------------------------------------------------------------------------------- */

static enum dispatch answer_counted(struct meta *meta, const struct item_counted *counted)
{
    struct slice rest = meta->request->meta.flags, word;
    struct reply_meta reply;
    int64_t ttl = counted->ttls.before;
    char number[REPLY_NUMBER_LINE_BYTES_MAX];
    size_t number_bytes = reply_number_line(number, counted->number);
    if (asks(meta, 'v')) reply_meta_value(&reply, number_bytes - 2);
    else reply_meta_begin(&reply, "HD");
    while (request_next_word(&rest, &word)) {
        uint8_t flag = word.bytes[0];
        if (flag == 'T') ttl = counted->ttls.touched;
        if (flag == 'N' && counted->created) ttl = counted->ttls.created;
        if (flag == 'c') reply_meta_number(&reply, 'c', counted->cas);
        if (flag == 't') reply_meta_time(&reply, ttl);
        show_common(word, meta->key, asks(meta, 'b'), &reply);
    }
    output_add(meta->output, reply_meta_end(&reply));
    if (asks(meta, 'v')) output_add(meta->output, slice_of(number, number_bytes));
    return DISPATCH_DONE;
}

static enum dispatch change_number(struct meta *meta)
{
    const struct request *request = meta->request;
    bool down = request->meta.mode == 'D' || request->meta.mode == '-';
    struct item_delta change = {
        .key = meta->key,
        .key_binary = asks(meta, 'b'),
        .delta = request->delta,
        .down = down,
        .creates = asks(meta, 'N'),
        .initial = request->meta.initial,
        .cas = request->cas,
        .new_cas = new_cas_of(meta),
        .times = times_of(meta),
    };
    struct item_counted counted;
    enum dispatch again;
    dispatch_may_wait(meta->dispatcher, true);
    enum fp_status status = store_item_delta(meta->dispatcher->shared->store,
                                             meta->dispatcher->scratch, &change, &counted);
    dispatch_may_wait(meta->dispatcher, false);
    if (comes_again(meta, status, &again)) return again;
    if (status == FP_OK) {
        if (!counted.created) count(meta, down ? COUNTER_decr_hits : COUNTER_incr_hits);
        return asks(meta, 'q') ? DISPATCH_DONE : answer_counted(meta, &counted);
    }
    if (status == FP_ABSENT) {
        count(meta, down ? COUNTER_decr_misses : COUNTER_incr_misses);
        return answer(meta, "NF");
    }
    if (status == FP_EXISTS) return answer(meta, "EX");
    if (status == FP_NOT_A_NUMBER) return answer_text(meta, REPLY_NOT_A_NUMBER);
    if (status == FP_QUOTA) return answer_text(meta, REPLY_OVER_QUOTA);
    return answer_text(meta, status == FP_CORRUPT ? REPLY_CORRUPT : REPLY_OUT_OF_MEMORY);
}

/* --- me --------------------------------------------------------------------------------------- */

static void write_details(struct meta *meta, const struct item_details *details)
{
    char text[256];
    char base64[KEY_BASE64_BYTES_MAX];
    struct slice key = meta->key;
    if (details->key_binary) key = slice_of(base64, key_base64(meta->key, base64));
    int size = snprintf(text, sizeof text,
                        " exp=%" PRId64 " la=%" PRIu64 " cas=%" PRIu64
                        " fetch=%s cls=%u size=%" PRIu64 " csize=%" PRIu64
                        " codec=%s pinned=%" PRIu32 "\r\n",
                        details->ttl_s, details->idle_s, details->cas,
                        details->fetched ? "yes" : "no", details->class_number,
                        details->size_bytes, details->packed_bytes, details->codec,
                        details->maps);
    fp_assert(size > 0 && (size_t)size < sizeof text);
    output_text(meta->output, "ME ");
    output_add(meta->output, key);
    output_add(meta->output, slice_of(text, (size_t)size));
}

static enum dispatch describe(struct meta *meta)
{
    struct item_details details;
    count(meta, COUNTER_cmd_meta);
    enum fp_status status = store_meta_describe(
        meta->dispatcher->shared->store, meta->dispatcher->scratch, meta->key, &details);
    if (status != FP_OK) return answer_text(meta, REPLY_META_ABSENT);
    write_details(meta, &details);
    return DISPATCH_DONE;
}

/* ---------------------------------------------------------------------------------------------- */

enum fp_status dispatch_meta_look_ahead(struct dispatcher *dispatcher,
                                        const struct request *request)
{
    uint8_t room[KEY_BYTES_MAX];
    struct meta meta = {
        .dispatcher = dispatcher, .request = request, .key = request_key(request, room)};
    struct item_put put = put_of(&meta);
    return store_item_look_ahead(dispatcher->shared->store, dispatcher->scratch, &put);
}

enum dispatch dispatch_meta(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
{
    struct meta meta = {.dispatcher = dispatcher,
                        .session = session,
                        .request = request,
                        .output = output};
    uint8_t room[KEY_BYTES_MAX];
    if (request->command == COMMAND_MN) return answer_text(&meta, REPLY_META_NOTHING);
    meta.key = request_key(request, room);
    if (request->command == COMMAND_MG) return get(&meta);
    if (request->command == COMMAND_MS) return set(&meta);
    if (request->command == COMMAND_MD) return end(&meta);
    if (request->command == COMMAND_MA) return change_number(&meta);
    fp_assert(request->command == COMMAND_ME);
    return describe(&meta);
}
