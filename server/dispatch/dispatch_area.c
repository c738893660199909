/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Areas on the wire: OPEN and CLOSE. What is asked for is looked at first; then the session opens
 * it among all who have areas open, and its number is what the client uses from there on. */
#include "protocol/frame_batch.h"
#include "protocol/limits.h"
#include "server/dispatch/dispatch_frame.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill.h"
#include "storage/store/store_dictionary.h"

static bool open_sensible(const struct frame_open *open)
{
    if (!frame_area_name_good(open->name) || open->reserved != 0) return false;
    if ((open->flags & ~(uint32_t)FRAME_OPEN_FLAGS) != 0) return false;
    if (open->page_bytes != 0 && !store_page_bytes_possible(open->page_bytes)) return false;
    bool creates = (open->flags & FRAME_OPEN_CREATE) != 0;
    if (creates && (open->flags & FRAME_OPEN_DRAIN) != 0) return false;
    return open->slots <= AREA_SLOTS_MAX && (!creates || open->slots > 0);
}

static uint8_t codec_of(const char *algorithm)
{
    if (strcmp(algorithm, "none") == 0) return FRAME_CODEC_PLAIN;
    bool zstd = strcmp(algorithm, "zstd") == 0;
    return zstd ? FRAME_CODEC_ZSTD : FRAME_CODEC_LZ4; /* lz4hc packs for lz4 */
}

/* lz4's levels go a little further than the field: a hint may be less. */
static int16_t level_of(int level)
{
    return (int16_t)(level > INT16_MAX ? INT16_MAX : level);
}

static enum dispatch reply_opened(const struct context *context, uint32_t number)
{
    const struct opener *opener = session_opener(context->session, number);
    struct area *area = opener->area;
    struct store *store = context->dispatcher->shared->store;
    struct compressor_config current;
    struct store_dictionary dictionary;
    struct frame reply = *context->frame;
    uint8_t body[FRAME_OPENED_BYTES];
    bool transient = area->lifetime == AREA_TRANSIENT;
    compressor_pool_current(store_compressors(store), &current);
    store_dictionary_look(store, area, &dictionary);
    struct frame_opened opened = {.slots = area->slot_count,
                                  .page_bytes = area->page_bytes,
                                  .dictionary_id = dictionary.packs ? dictionary.id : 0,
                                  .generation = area->generation,
                                  .codec = codec_of(current.algorithm),
                                  .level = level_of(current.level),
                                  .flags = opener->flags | (transient ? FRAME_OPEN_TRANSIENT : 0),
                                  .stored = atomic_load(&area->counters.stored)};
    frame_opened_encode(&opened, body);
    reply.area = number;
    return dispatch_reply(context, &reply, slice_of(body, sizeof body));
}

/* Where the area moved to, while it is still known. */
static enum dispatch say_where(const struct context *context, struct slice name)
{
    struct area *area = NULL;
    struct frame reply = *context->frame;
    reply.status = FRAME_MOVED;
    enum fp_status status = store_area_acquire(context->dispatcher->shared->store, name, &area);
    if (status != FP_OK || area_stand(area) != AREA_MOVED) {
        area_release(&area);
        return dispatch_refuse(context, FRAME_LOST);
    }
    const struct area_forward *forward = &area->forward;
    enum dispatch done =
        dispatch_reply(context, &reply, slice_of(forward->bytes, forward->size_bytes));
    area_release(&area);
    return done;
}

static enum dispatch refuse_open(const struct context *context, struct slice name,
                                 enum fp_status status, const char *why)
{
    if (status == FP_BUSY) return dispatch_explain(context, FRAME_BUSY, why);
    if (status == FP_ABSENT) return dispatch_refuse(context, FRAME_NO_AREA);
    if (status == FP_EXISTS) return dispatch_refuse(context, FRAME_BAD_AREA);
    if (status == FP_TOO_BIG) return dispatch_refuse(context, FRAME_LIMIT);
    if (status == FP_NOT_STORED) return DISPATCH_AGAIN;
    if (status == FP_MOVED) return say_where(context, name);
    return dispatch_refuse(context, dispatch_status_of(status));
}

enum dispatch dispatch_open(const struct context *context)
{
    struct frame_open open;
    struct dispatcher *dispatcher = context->dispatcher;
    struct shared *shared = dispatcher->shared;
    struct open_request request = {
        .store = shared->store, .open = &open, .boot_id = shared->boot_id,
        .tenant = dispatcher->scratch->tenant};
    char why[REFUSAL_BYTES_MAX];
    uint32_t number;
    enum fp_status status;
    if (!frame_open_decode(context->body, &open)) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (!open_sensible(&open)) return dispatch_refuse(context, FRAME_BAD_AREA);
    do status = session_open_area(context->session, &shared->openers, &request, &number, why);
    while (store_may_retry(shared->store, dispatcher->scratch, status));
    if (status == FP_NO_MEMORY && store_spill_makes_room(shared->store)) {
        (void)watermarks_hit(store_watermarks(shared->store));
        return DISPATCH_AGAIN; /* as long as pages leave memory */
    }
    if (status != FP_OK) return refuse_open(context, open.name, status, why);
    return reply_opened(context, number);
}

/* count 0 gives the number up, 1 deletes the area first. A number that is lost can be given up. */
enum dispatch dispatch_close(const struct context *context)
{
    struct session *session = context->session;
    struct shared *shared = context->dispatcher->shared;
    uint32_t number = context->frame->area;
    char why[REFUSAL_BYTES_MAX];
    enum fp_status status = FP_OK;
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (context->frame->count > 1) return dispatch_refuse(context, FRAME_BAD_FIELD);
    if (context->frame->count == 1) {
        if (opener_lost(context->opener)) return dispatch_refuse(context, FRAME_LOST);
        status = openers_delete(&shared->openers, shared->store, context->opener, why);
    }
    struct slice name = slice_text(context->opener->area->name);
    if (status != FP_OK) return refuse_open(context, name, status, why);
    session_close_area(session, &shared->openers, shared->store, number);
    return dispatch_refuse(context, FRAME_OK);
}
