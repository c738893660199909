/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Requests are composed into one buffer, with a copy of what goes with them: the checksum is of the
 * very bytes that are sent, whoever writes to the page meanwhile, and a request that is late can be
 * answered, and its page given back, while half of it is on the wire.
 *
 * What waits in the queue together and is of a kind goes in one frame, so a batch is as large as
 * the other side lets it become. */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/crc32c.h"
#include "client/engine_parts.h"
#include "protocol/frame_batch.h"

size_t engine_part_bytes(const struct op_request *request)
{
    return min_u64(request->body.size_bytes, FRAME_BODY_BYTES_MAX - request->head_bytes);
}

static size_t frame_bytes(const struct op *op)
{
    return FRAME_HEADER_BYTES + op->request.head_bytes + engine_part_bytes(&op->request);
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
        .body_bytes = (uint32_t)(request->head_bytes + engine_part_bytes(request)),
    };
}

/* Seals what was composed at the end of the buffer: a frame and its body. */
static void seal(struct engine *engine, struct flight *flight, const struct frame *frame,
                 uint64_t now_ns)
{
    frame_encode(frame, engine->out + engine->out_end);
    engine->out_end += FRAME_HEADER_BYTES + frame->body_bytes;
    engine->composed_bytes += FRAME_HEADER_BYTES + frame->body_bytes;
    flight->sent_ns = now_ns;
    flight->end_bytes = engine->composed_bytes;
}

void engine_compose(struct engine *engine, struct op *op, uint64_t now_ns)
{
    struct flight *flight = flights_begin(&engine->flights, op->request.opcode);
    struct frame frame = frame_of(engine, op, flight->tag);
    flights_board(&engine->flights, flight, op);
    op->request.count = frame.count;
    uint8_t *body = engine->out + engine->out_end + FRAME_HEADER_BYTES;
    size_t head_bytes = op->request.head_bytes, part = frame.body_bytes - head_bytes;
    if (head_bytes > 0) memcpy(body, op->request.head, head_bytes);
    if (part > 0) memcpy(body + head_bytes, op->request.body.bytes, part);
    frame.body_crc = crc32c(body, frame.body_bytes);
    seal(engine, flight, &frame, now_ns);
}

/* --- many pages in one frame ---------------------------------------------------------------- */

static bool may_be_packed(const struct engine *engine, const struct op *op)
{
    bool page = op->request.opcode == FRAME_STORE || op->request.opcode == FRAME_LOAD;
    return page && !op->plain && engine->packer != NULL && engine->packer->codecs != 0;
}

/* The opcode by which several such requests go in one frame; 0: they do not. */
static uint8_t batch_opcode(const struct op *op)
{
    const struct op_request *request = &op->request;
    if (request->opcode == FRAME_STORE) return FRAME_STORE_BATCH;
    if (request->opcode == FRAME_LOAD) return FRAME_LOAD_BATCH;
    bool one = request->opcode == FRAME_INVALIDATE && request->end - request->slot == 1;
    return one ? FRAME_INVALIDATE_BATCH : 0;
}

static struct op *first_queued(const struct engine *engine)
{
    return LIST_THING(engine->queue.next, struct op, place);
}

/* Of how many requests the next frame consists. */
static uint32_t batch_count(const struct engine *engine)
{
    uint32_t count = 0, most = engine->options.depth - engine->flights.ops;
    uint8_t opcode = batch_opcode(first_queued(engine));
    bool packed = may_be_packed(engine, first_queued(engine));
    size_t room = ENGINE_OUTBOX_BYTES - engine->out_end - FRAME_HEADER_BYTES - FRAME_SLOTS_BYTES;
    if (most > FRAME_BATCH_MAX) most = FRAME_BATCH_MAX;
    const struct list *at = engine->queue.next;
    while (opcode != 0 && count < most && at != &engine->queue) {
        const struct op *op = LIST_THING(at, struct op, place);
        size_t need = FRAME_ENTRY_BYTES + op->request.body.size_bytes;
        if (batch_opcode(op) != opcode || need > room) break;
        if (may_be_packed(engine, op) != packed) break;
        room -= need;
        count++;
        at = at->next;
    }
    return count;
}

static size_t put_entry(struct engine *engine, struct op *op, uint8_t *at)
{
    const struct op_request *request = &op->request;
    op->dictionary_id = 0;
    if (may_be_packed(engine, op)) {
        return packer_put(engine->packer, request->slot, request->body.bytes, at,
                          &op->dictionary_id);
    }
    uint8_t *page = at + FRAME_ENTRY_BYTES;
    memcpy(page, request->body.bytes, request->body.size_bytes);
    struct frame_entry entry = {
        .slot = request->slot,
        .page_crc = crc32c(page, request->body.size_bytes),
        .size_bytes = (uint32_t)request->body.size_bytes,
    };
    frame_entry_encode(&entry, page, at);
    return FRAME_ENTRY_BYTES + entry.size_bytes;
}

static void compose_batch(struct engine *engine, uint32_t count, uint64_t now_ns)
{
    uint64_t slots[FRAME_BATCH_MAX];
    struct flight *flight =
        flights_begin(&engine->flights, batch_opcode(first_queued(engine)));
    struct frame frame = {
        .magic = FRAME_MAGIC_REQUEST,
        .opcode = flight->opcode,
        .tag = flight->tag,
        .area = engine->opening->number,
        .count = count,
    };
    uint8_t *body = engine->out + engine->out_end + FRAME_HEADER_BYTES, *at = body;
    flight->batch = count;
    flight->packed = may_be_packed(engine, first_queued(engine));
    for (uint32_t i = 0; i < count; i++) {
        struct op *op = first_queued(engine);
        flights_board(&engine->flights, flight, op);
        slots[i] = op->request.slot;
        if (frame.opcode == FRAME_STORE_BATCH) at += put_entry(engine, op, at);
    }
    if (frame.opcode != FRAME_STORE_BATCH) {
        at += frame_slots_encode(flight->packed ? FRAME_LOAD_PACKED : 0, slots, count, at);
        frame.body_crc = crc32c(body, (size_t)(at - body));
    }
    frame.body_bytes = (uint32_t)(at - body);
    seal(engine, flight, &frame, now_ns);
}

/* --- the buffer ----------------------------------------------------------------------------- */

bool engine_may_compose(const struct engine *engine)
{
    return engine->phase == ENGINE_READY && !list_empty(&engine->queue) &&
           engine->flights.ops < engine->options.depth;
}

static bool fits(const struct engine *engine)
{
    size_t need = frame_bytes(first_queued(engine)) + FRAME_ENTRY_BYTES + FRAME_SLOTS_BYTES;
    return ENGINE_OUTBOX_BYTES - engine->out_end >= need;
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
    engine_keep_up(engine, now_ns);
    while (engine_may_compose(engine)) {
        if (!fits(engine)) close_ranks(engine);
        if (!fits(engine)) return;
        uint32_t count = batch_count(engine);
        if (count > 1 || may_be_packed(engine, first_queued(engine)))
            compose_batch(engine, count, now_ns);
        else
            engine_compose(engine, first_queued(engine), now_ns);
    }
}

void engine_send(struct engine *engine, uint64_t now_ns)
{
    while (engine->phase > ENGINE_ENTERING && engine->phase < ENGINE_ENDED && !engine->mute) {
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
        engine->wire_out_bytes += (size_t)sent;
    }
}
