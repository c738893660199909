/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Taking an area's pages away while it is used.
 *
 * Life of a drain: an opener that drains -> asks which rows there are and whether they changed
 *   (STORED), loads them -> freezes the area -> says where its pages are now -> moved
 *   or -> asks the other openers to take them (UNUSE) -> their answers -> the area is empty
 * When it ends before, what it froze serves again (openers.c). */
#include "protocol/frame_drain.h"
#include "server/dispatch/dispatch_frame.h"
#include "storage/area/area_look.h"
#include "storage/store/page/store_area.h"

/* --- which slots hold pages ------------------------------------------------------------------- */

enum dispatch dispatch_stored(const struct context *context)
{
    uint8_t body[FRAME_STORED_BYTES + FRAME_ROWS_MAX * FRAME_ROW_BYTES];
    struct area *area = context->opener->area;
    const struct frame *frame = context->frame;
    struct area_row_look look;
    size_t size_bytes = FRAME_STORED_BYTES;
    uint64_t slot = frame->slot;
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (frame->count == 0 || frame->count > FRAME_ROWS_MAX)
        return dispatch_refuse(context, FRAME_BAD_FIELD);
    if (slot >= area->slot_count) return dispatch_refuse(context, FRAME_RANGE);
    _Static_assert((int)FRAME_ROW_SLOTS == (int)AREA_ROW_SLOTS, "a row is a row");
    for (uint32_t i = 0; i < frame->count && area_look_row(area, &slot, &look); i++) {
        struct frame_row row = {look.first, look.changes, look.used_slots, look.used};
        frame_row_encode(&row, body + size_bytes);
        size_bytes += FRAME_ROW_BYTES;
    }
    frame_stored_encode(slot, body);
    return dispatch_reply(context, frame, slice_of(body, size_bytes));
}

/* --- what is done with the area --------------------------------------------------------------- */

static enum dispatch finish(const struct context *context)
{
    struct frame_moved moved;
    struct area *area = context->opener->area;
    if (!frame_moved_decode(context->body, &moved))
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    struct shared *shared = context->dispatcher->shared;
    if (!store_area_move(shared->store, area, context->body))
        return dispatch_explain(context, FRAME_REFUSED, "the area is not frozen");
    char address[MOVED_ADDRESS_BYTES_MAX + 1] = "";
    memcpy(address, moved.address.bytes, moved.address.size_bytes);
    log_event(shared->log, LOG_INFO, "area moved away", log_text("area", area->name),
              log_text("to", address), log_text("by", context->opener->row->peer));
    return dispatch_refuse(context, FRAME_OK);
}

static enum dispatch freeze(const struct context *context)
{
    struct area *area = context->opener->area;
    /* Frozen already it is by this very opener: there is no other that drains. */
    if (!area_freeze(area) && area_stand(area) != AREA_FROZEN)
        return dispatch_refuse(context, dispatch_status_of(area_reads(area)));
    return dispatch_refuse(context, FRAME_OK);
}

static enum dispatch tell_asked(const struct context *context)
{
    struct openers *openers = &context->dispatcher->shared->openers;
    struct area *area = context->opener->area;
    struct openers_asked sum = openers_asked(openers, area);
    struct frame_asked asked = {.stored = atomic_load(&area->counters.stored),
                                .asked = sum.asked,
                                .willing = sum.willing,
                                .refused = sum.refused};
    uint8_t body[FRAME_ASKED_BYTES];
    frame_asked_encode(&asked, body);
    return dispatch_reply(context, context->frame, slice_of(body, sizeof body));
}

static enum dispatch ask(const struct context *context)
{
    uint64_t seconds = context->frame->slot;
    if (seconds == 0 || seconds > UINT32_MAX) return dispatch_refuse(context, FRAME_BAD_FIELD);
    openers_ask(&context->dispatcher->shared->openers, context->opener->area, (uint32_t)seconds);
    return tell_asked(context);
}

enum dispatch dispatch_drain(const struct context *context)
{
    const struct frame *frame = context->frame;
    if (!opener_drains(context->opener))
        return dispatch_explain(context, FRAME_REFUSED, "the area is not open to drain it");
    if (frame->count == FRAME_DRAIN_FINISH && frame->slot == 0) return finish(context);
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (frame->count == FRAME_DRAIN_ASK) return ask(context);
    if (frame->slot != 0 || frame->count > FRAME_DRAIN_LOOK)
        return dispatch_refuse(context, FRAME_BAD_FIELD);
    if (frame->count == FRAME_DRAIN_LOOK) return tell_asked(context);
    if (frame->count == FRAME_DRAIN_FREEZE) return freeze(context);
    area_thaw(context->opener->area);
    return dispatch_refuse(context, dispatch_status_of(area_reads(context->opener->area)));
}

/* --- notices ---------------------------------------------------------------------------------- */

enum dispatch dispatch_unuse_answer(const struct context *context)
{
    uint32_t answer = context->frame->count;
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (answer > 1) return dispatch_refuse(context, FRAME_BAD_FIELD);
    atomic_store(&context->opener->answer, answer == 0 ? OPENER_WILLING : OPENER_REFUSES);
    return dispatch_refuse(context, FRAME_OK);
}

void dispatch_notices(struct session *session, struct output *output)
{
    atomic_store(&session->row->noticed, false); /* first: what comes now is told the next time */
    for (uint32_t number = 1; number <= SESSION_AREAS_MAX; number++) {
        struct opener *opener = session_opener(session, number);
        if (opener == NULL || opener_lost(opener)) continue;
        uint32_t seconds = atomic_exchange(&opener->ask_seconds, 0);
        if (seconds == 0) continue;
        struct frame notice = {.opcode = FRAME_UNUSE,
                               .slot = atomic_load(&opener->area->counters.stored),
                               .area = number,
                               .count = seconds};
        uint8_t header[FRAME_HEADER_BYTES];
        dispatch_write_header(&notice, header);
        output_add(output, slice_of(header, sizeof header));
    }
}
