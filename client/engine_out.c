/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Requests are composed into one buffer, with a copy of what goes with them: the checksum is of the
 * very bytes that are sent, whoever writes to the page meanwhile, and a request that is late can be
 * answered, and its page given back, while half of it is on the wire. */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/crc32c.h"
#include "client/engine_parts.h"

static size_t frame_bytes(const struct op *op)
{
    return FRAME_HEADER_BYTES + op->request.body.size_bytes;
}

/* As many of the slots that are left as one request can name; its count 0 means up to the last. */
static uint32_t count_of(const struct engine *engine, const struct op_request *request)
{
    if (request->opcode != FRAME_INVALIDATE) return request->count;
    uint64_t left = request->end - request->slot;
    if (left <= UINT32_MAX) return (uint32_t)left;
    bool last = engine->opening != NULL && request->end == engine->opening->is.slots;
    return last ? 0 : UINT32_MAX;
}

static struct frame frame_of(const struct engine *engine, const struct op *op, uint32_t tag)
{
    const struct op_request *request = &op->request;
    return (struct frame){
        .magic = FRAME_MAGIC_REQUEST,
        .opcode = request->opcode,
        .tag = tag,
        .slot = request->slot,
        .area = request->of_area ? engine->opening->number : 0,
        .count = count_of(engine, request),
        .body_bytes = (uint32_t)request->body.size_bytes,
    };
}

void engine_compose(struct engine *engine, struct op *op, uint64_t now_ns)
{
    struct flight *flight = flights_begin(&engine->flights, op->request.opcode);
    struct frame frame = frame_of(engine, op, flight->tag);
    flights_board(&engine->flights, flight, op);
    op->request.count = frame.count;
    uint8_t *at = engine->out + engine->out_end;
    uint8_t *body = at + FRAME_HEADER_BYTES;
    if (frame.body_bytes > 0) memcpy(body, op->request.body.bytes, frame.body_bytes);
    frame.body_crc = crc32c(body, frame.body_bytes);
    frame_encode(&frame, at);
    engine->out_end += FRAME_HEADER_BYTES + frame.body_bytes;
    engine->composed_bytes += FRAME_HEADER_BYTES + frame.body_bytes;
    flight->sent_ns = now_ns;
    flight->end_bytes = engine->composed_bytes;
}

bool engine_may_compose(const struct engine *engine)
{
    return engine->phase == ENGINE_READY && !list_empty(&engine->queue) &&
           engine->flights.ops < engine->options.depth;
}

static bool fits(const struct engine *engine)
{
    const struct op *op = LIST_THING(engine->queue.next, struct op, place);
    return ENGINE_OUTBOX_BYTES - engine->out_end >= frame_bytes(op);
}

/* What is not sent moves to the front, for more to come behind it. */
static void close_ranks(struct engine *engine)
{
    size_t left = engine->out_end - engine->out_start;
    if (engine->out_start == 0) return;
    if (left > 0) memmove(engine->out, engine->out + engine->out_start, left);
    engine->out_start = 0;
    engine->out_end = left;
}

static void fill(struct engine *engine, uint64_t now_ns)
{
    if (engine->out_start == engine->out_end) engine->out_start = engine->out_end = 0;
    while (engine_may_compose(engine)) {
        if (!fits(engine)) close_ranks(engine);
        if (!fits(engine)) return;
        engine_compose(engine, LIST_THING(engine->queue.next, struct op, place), now_ns);
    }
}

void engine_send(struct engine *engine, uint64_t now_ns)
{
    while (engine->phase > ENGINE_CONNECTING && engine->phase < ENGINE_ENDED && !engine->mute) {
        fill(engine, now_ns);
        size_t left = engine->out_end - engine->out_start;
        if (left == 0) return;
        ssize_t sent = transport_send(&engine->transport, engine->out + engine->out_start, left);
        if (sent == 0) return;
        if (sent < 0) {
            engine->mute = true;
            return;
        }
        engine->out_start += (size_t)sent;
        engine->sent_bytes += (size_t)sent;
    }
}
