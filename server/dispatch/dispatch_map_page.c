/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The frames that map pages: map, mread, mwrite, unmap. */
#include "base/arith.h"
#include "protocol/frame_map.h"
#include "server/dispatch/dispatch_frame.h"

_Static_assert((int)FRAME_MAP_RO == (int)MAP_READ && (int)FRAME_MAP_RW == (int)MAP_READ_WRITE &&
                   (int)FRAME_MAP_WO == (int)MAP_OVERWRITE,
               "the wire's modes are the store's");

static enum frame_status status_of(enum maps_answer answer)
{
    switch (answer) {
    case MAPS_DONE:
        return FRAME_OK;
    case MAPS_ABSENT:
        return FRAME_ABSENT;
    case MAPS_BUSY:
        return FRAME_BUSY;
    case MAPS_CORRUPT:
        return FRAME_CORRUPT;
    case MAPS_OUTSIDE:
        return FRAME_RANGE;
    case MAPS_TOO_MANY:
    case MAPS_TOO_MUCH:
    case MAPS_TOO_MUCH_IN_ALL:
    case MAPS_LEASE:
        return FRAME_LIMIT;
    case MAPS_UNKNOWN:
        return FRAME_NO_MAP;
    case MAPS_EXPIRED:
        return FRAME_EXPIRED;
    case MAPS_MODE:
        return FRAME_MAP_MODE;
    case MAPS_CHANGED:
        return FRAME_CHANGED;
    case MAPS_QUOTA:
        return FRAME_QUOTA;
    case MAPS_LOST:
        return FRAME_LOST;
    case MAPS_FROZEN:
        return FRAME_DRAINING;
    case MAPS_MOVED:
        return FRAME_MOVED;
    case MAPS_NO_MEMORY:
    case MAPS_SPILLED:
    default:
        return FRAME_NO_MEMORY;
    }
}

static enum dispatch busy(const struct context *context, struct page_place place)
{
    struct dispatcher *dispatcher = context->dispatcher;
    struct maps_writer_text text;
    if (!maps_register_writer(&dispatcher->shared->maps, place, dispatcher->scratch->now_ms, &text))
        return dispatch_explain(context, FRAME_BUSY, "somebody wrote it until a moment ago");
    return dispatch_explain(context, FRAME_BUSY, text.bytes);
}

enum dispatch dispatch_map_page(const struct context *context)
{
    const struct frame *frame = context->frame;
    struct maps_ask ask = {.mode = (enum map_mode)frame->count,
                           .place = {.area = context->opener->area, .slot = frame->slot}};
    if (!frame_map_decode(context->body, &ask.lease_s))
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (frame->count < FRAME_MAP_RO || frame->count > FRAME_MAP_WO)
        return dispatch_refuse(context, FRAME_MAP_MODE);
    if (ask.mode != MAP_READ && opener_drains(context->opener))
        return dispatch_refuse(context, FRAME_REFUSED);
    if (dispatch_ask(context, frame->slot, PROMOTE_ALWAYS)) return DISPATCH_WAIT;
    struct maps_map *made;
    enum maps_answer answer = maps_make(&context->session->maps, &ask, &made);
    if (answer == MAPS_SPILLED && dispatch_ask(context, frame->slot, PROMOTE_ALWAYS))
        return DISPATCH_WAIT;
    if (answer == MAPS_BUSY) return busy(context, ask.place);
    if (answer != MAPS_DONE) return dispatch_refuse(context, status_of(answer));
    struct frame_mapped mapped = {.id = made->row.id,
                                  .bytes = made->map->size_bytes,
                                  .lease_s = (uint32_t)div_up_u64(made->row.lease_ms, 1000)};
    uint8_t body[FRAME_MAPPED_BYTES];
    frame_mapped_encode(&mapped, body);
    return dispatch_reply(context, frame, slice_of(body, sizeof body));
}

enum dispatch dispatch_mread(const struct context *context)
{
    struct frame_map_range range;
    struct maps_map *found;
    if (!frame_mread_decode(context->body, &range))
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    struct frame reply = *context->frame;
    reply.status = FRAME_OK;
    reply.body_bytes = range.bytes;
    reply.body_crc = 0;
    enum maps_answer answer = maps_find(&context->session->maps, context->frame->slot, &found);
    if (answer == MAPS_DONE)
        answer = maps_look(found, range.offset, range.bytes, &reply.body_crc);
    if (answer != MAPS_DONE) return dispatch_refuse(context, status_of(answer));
    uint8_t header[FRAME_HEADER_BYTES];
    dispatch_write_header(&reply, header);
    output_add(context->output, slice_of(header, sizeof header));
    maps_send(found, range.offset, range.bytes, context->output);
    return DISPATCH_DONE;
}

enum dispatch dispatch_mwrite(const struct context *context)
{
    uint32_t offset;
    struct slice bytes;
    struct maps_map *found;
    if (!frame_mwrite_decode(context->body, &offset, &bytes))
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    enum maps_answer answer = maps_find(&context->session->maps, context->frame->slot, &found);
    if (answer == MAPS_DONE) answer = maps_write(found, offset, bytes);
    return dispatch_refuse(context, status_of(answer));
}

/* The area's, as the session has it open now, entered; NULL: it is not the session's any more. */
static struct opener *enter(const struct session *session, const struct area *area)
{
    for (uint32_t number = 1; number <= SESSION_AREAS_MAX; number++) {
        struct opener *opener = session_opener(session, number);
        if (opener != NULL && opener->area == area && opener_enter(opener)) return opener;
    }
    return NULL;
}

/* As any other store: not into an area that was taken over, deleted or closed. */
static enum frame_status publish(const struct context *context, struct maps_map *map)
{
    struct opener *opener = NULL;
    if (map->map->mode != MAP_READ) {
        opener = enter(context->session, map->map->place.area);
        if (opener == NULL) {
            maps_discard(map);
            return FRAME_LOST;
        }
    }
    enum maps_answer answer = maps_publish(map);
    if (opener != NULL) opener_leave(opener);
    return status_of(answer);
}

enum dispatch dispatch_unmap(const struct context *context)
{
    struct maps_map *found;
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (context->frame->count > FRAME_UNMAP_DISCARD)
        return dispatch_refuse(context, FRAME_BAD_FIELD);
    enum maps_answer answer = maps_find(&context->session->maps, context->frame->slot, &found);
    if (answer != MAPS_DONE) return dispatch_refuse(context, status_of(answer));
    if (context->frame->count == FRAME_UNMAP_PUBLISH)
        return dispatch_refuse(context, publish(context, found));
    maps_discard(found);
    return dispatch_refuse(context, FRAME_OK);
}
