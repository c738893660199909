/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One read, then every whole reply in it. A reply's body lies in the buffer for the time of its
 * call; whatever ends the connection on the way empties the buffer, and with it this round. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/engine_parts.h"
#include "client/wire_status.h"
#include "protocol/frame_batch.h"
#include "protocol/frame_map.h"
#include "protocol/reply.h"

static void nonsense(struct engine *engine, const char *what)
{
    reason_set(&engine->weather, "the server sent nonsense: %s", what);
    engine_break(engine, FARPAGE_PROTOCOL);
}

/* --- is it worth believing ------------------------------------------------------------------ */

static bool length_possible(const struct op_request *request, const struct frame *frame)
{
    if (frame->status == FRAME_PACKED) {
        return frame->body_bytes > FRAME_PACKED_BYTES &&
               frame->body_bytes < FRAME_PACKED_BYTES + request->ok_bytes_max;
    }
    if (frame->status == FRAME_OK) {
        return frame->body_bytes >= request->ok_bytes_min &&
               frame->body_bytes <= request->ok_bytes_max;
    }
    if (frame->status == FRAME_MOVED && request->opcode == FRAME_OPEN)
        return frame->body_bytes <= FRAME_MOVED_BYTES + MOVED_ADDRESS_BYTES_MAX;
    bool sentence = frame->status == FRAME_REFUSED || frame->status == FRAME_BUSY;
    return frame->body_bytes <= (sentence ? request->said_bytes_max : 0);
}

/* One answer to all pages of a frame: they are refused together, or forgotten together. */
static bool is_good(const struct frame *frame)
{
    return frame->status == FRAME_OK || frame->status == FRAME_PACKED;
}

static bool answers_all(const struct flight *flight, const struct frame *frame)
{
    if (flight->batch == 0 || flight->left != flight->batch || frame->slot != 0) return false;
    if (!is_good(frame) && frame->count == flight->batch) return true;
    return flight->opcode == FRAME_INVALIDATE_BATCH && frame->count == 0;
}

static bool about_these(const struct flight *flight, const struct op_request *request,
                        const struct frame *frame)
{
    if (flight->batch == 0) return frame->slot == request->slot && frame->count == request->count;
    if (answers_all(flight, frame)) return true;
    /* Where an entry could not be read, its slot could not either. */
    bool slot = frame->slot == request->slot || (frame->slot == 0 && !is_good(frame));
    return slot && frame->count == flight->left - 1 && flight->opcode != FRAME_INVALIDATE_BATCH;
}

/* Why a reply cannot be the one to that op of the flight; NULL where it can. */
static const char *judge_op(const struct flight *flight, const struct op *op,
                            const struct frame *frame)
{
    const struct op_request *request = &op->request;
    if (!frame_status_known(frame->status)) return "a status that does not exist";
    bool of_hello = frame->status == FRAME_BAD_VERSION || frame->status == FRAME_NO_HELLO;
    if (of_hello && frame->opcode != FRAME_HELLO) return "a status out of place";
    if (frame->status == FRAME_PACKED && !flight->packed) return "a packed page nobody asked for";
    if (!about_these(flight, request, frame)) return "a reply about other slots";
    if (!length_possible(request, frame)) return "a reply of the wrong length";
    return NULL;
}

/* OPEN's is the new number. */
static bool area_fits(const struct engine *engine, const struct op *op, const struct frame *frame)
{
    if (frame->opcode == FRAME_OPEN && frame->status == FRAME_OK) return true;
    return frame->area == (op->request.of_area ? engine->opening->number : 0);
}

static const char *judge(const struct engine *engine, const struct frame *frame,
                         struct flight **flight)
{
    if (frame->status == FRAME_BAD_HEADER) return "it could not read our requests and gave up";
    *flight = flights_of_tag(&engine->flights, frame->tag);
    if (*flight == NULL) return "a reply nobody asked for";
    /* Of a batch, the first pages may be answered while the last are on their way. */
    bool sent = (*flight)->end_bytes <= engine->sent_bytes || (*flight)->batch != 0;
    if (!sent) return "a reply before its request";
    if (frame->opcode != (*flight)->opcode) return "a reply to another request";
    const struct op *op = flight_first(*flight);
    if (!area_fits(engine, op, frame)) return "a reply about another area";
    return judge_op(*flight, op, frame);
}

/* --- whom it answers ------------------------------------------------------------------------ */

/* An invalidation of more slots than one request can count goes on with the next ones, a write of
 * more bytes than go with one with the rest. */
static bool goes_on(struct op *op, const struct reply *reply)
{
    struct op_request *request = &op->request;
    if (request->opcode == FRAME_INVALIDATE) {
        if (request->count == 0 || request->end - request->slot <= request->count) return false;
        request->slot += request->count;
    } else if (request->opcode == FRAME_MWRITE) {
        size_t part = engine_part_bytes(request);
        if (part == request->body.size_bytes) return false;
        request->body = slice_of(request->body.bytes + part, request->body.size_bytes - part);
        request->offset += (uint32_t)part;
        frame_mwrite_encode(request->offset, request->head);
    } else {
        return false;
    }
    op->spent_ns += reply->latency_ns;
    return true;
}

static void answer_good(struct engine *engine, struct op *op, const struct reply *reply)
{
    if (op->held) engine->holds = 0;
    enum farpage_status status = FARPAGE_OK;
    if (op->request.take != NULL) status = op->request.take(&op->request, reply);
    if (status == FARPAGE_PROTOCOL) {
        list_push_front(&engine->queue, &op->place); /* it is answered with the others */
        reason_set(&engine->weather, "the server's answer makes no sense");
        engine_break(engine, FARPAGE_PROTOCOL);
        return;
    }
    if (status == FARPAGE_NO_MEMORY) {
        reason_set(&engine->reason, "out of memory for the server's answer");
    }
    engine_answer(engine, op, status, op->spent_ns + reply->latency_ns);
}

/* Sent again, at once: plain, or without the dictionary that the server has no more. */
static bool again(struct engine *engine, struct op *op, uint16_t wire)
{
    struct packer *packer = engine->packer;
    if (packer == NULL || op->plain || op->request.opcode != FRAME_STORE) return false;
    if (wire == FRAME_NO_DICTIONARY && op->dictionary_id != 0) {
        packer_forget(packer, op->dictionary_id);
        engine->look_again = true;
    } else if (wire == FRAME_BAD_CODEC) {
        op->plain = true;
        packer_stop(packer);
    } else {
        return false;
    }
    list_push_front(&engine->queue, &op->place);
    return true;
}

static void answer_packed(struct engine *engine, struct op *op, const struct reply *reply)
{
    static const char *const whys[] = {
        [PACKER_CORRUPT] = "the page does not match its checksum",
        [PACKER_NO_MEMORY] = "out of memory for the page",
    };
    enum packer_result result = packer_take(engine->packer, reply->body, op->request.page);
    uint64_t latency_ns = op->spent_ns + reply->latency_ns;
    if (result == PACKER_GOOD) {
        engine_answer(engine, op, FARPAGE_OK, latency_ns);
    } else if (result == PACKER_UNKNOWN) { /* the server unpacks it, until we can */
        op->plain = true;
        op->spent_ns = latency_ns;
        list_push_front(&engine->queue, &op->place);
        engine->look_again = true;
    } else if (result == PACKER_NONSENSE) {
        list_push_front(&engine->queue, &op->place);
        nonsense(engine, "a packed page that cannot be one");
    } else {
        reason_set(&engine->reason, "%s", whys[result]);
        engine_answer(engine, op, result == PACKER_CORRUPT ? FARPAGE_CORRUPT : FARPAGE_NO_MEMORY,
                      latency_ns);
    }
}

/* True: the op goes on later, or at another server. */
static bool drained(struct engine *engine, struct op *op, enum farpage_status status)
{
    bool again = op->request.repeatable && op->request.of_area;
    if (again && status == FARPAGE_DRAINING) {
        engine_hold(engine, op);
        return true;
    }
    if (!again || status != FARPAGE_MOVED || !engine->options.reconnect) return false;
    list_push_front(&engine->queue, &op->place);
    reason_set(&engine->weather, "the area is moving"); /* opened again, it says where to */
    engine_break(engine, FARPAGE_DISCONNECTED);
    return true;
}

static void answer_bad(struct engine *engine, struct op *op, const struct reply *reply)
{
    if (again(engine, op, reply->frame.status)) return;
    enum farpage_status status = wire_status(reply->frame.status);
    bool area = op->request.of_area || op->request.connection != 0;
    if (status == FARPAGE_LOST && !area) status = FARPAGE_PROTOCOL;
    bool final = status == FARPAGE_LOST || status == FARPAGE_PROTOCOL;
    if (drained(engine, op, status)) return;
    struct reason *reason = final ? &engine->weather : &engine->reason;
    engine->said = reply->body.size_bytes > 0;
    if (engine->said)
        reason_set_bytes(reason, reply->body);
    else
        reason_set(reason, "%s", wire_status_sentence(reply->frame.status));
    if (!final) {
        engine_answer(engine, op, status, op->spent_ns + reply->latency_ns);
        return;
    }
    list_push_front(&engine->queue, &op->place);
    engine->lost = status == FARPAGE_LOST;
    engine_break(engine, status);
}

/* False: whatever came of it ended the connection, and the flight with it. */
static bool deliver_to(struct engine *engine, struct op *op, const struct reply *reply)
{
    if (op->ghost) {
        engine_drop_op(engine, op);
    } else if (reply->damaged) {
        reason_set(&engine->reason, "the page does not match its checksum");
        engine_answer(engine, op, FARPAGE_CORRUPT, reply->latency_ns);
    } else if (reply->frame.status == FRAME_PACKED) {
        answer_packed(engine, op, reply);
    } else if (reply->frame.status != FRAME_OK) {
        answer_bad(engine, op, reply);
    } else if (goes_on(op, reply)) {
        list_push_front(&engine->queue, &op->place);
    } else {
        answer_good(engine, op, reply);
    }
    return engine->phase == ENGINE_READY;
}

static void deliver(struct engine *engine, struct flight *flight, const struct reply *reply)
{
    uint32_t count = answers_all(flight, &reply->frame) ? flight->batch : 1;
    for (bool good = true; good && count > 0; count--) {
        struct op *op = flight_first(flight);
        flights_land(&engine->flights, flight, op);
        if (op->shake) {
            engine_drop_op(engine, op);
            engine_shaken(engine, reply);
            return;
        }
        engine->failures = 0; /* the server does work */
        good = deliver_to(engine, op, reply);
    }
}

/* --- off the buffer ------------------------------------------------------------------------- */

static bool inbox_grow(struct engine *engine, size_t bytes)
{
    if (bytes <= engine->in_bytes) return true;
    uint8_t *grown = realloc(engine->in, bytes);
    if (grown == NULL) {
        reason_set(&engine->weather, "out of memory for a reply of %zu bytes", bytes);
        engine_break(engine, FARPAGE_NO_MEMORY);
        return false;
    }
    engine->in = grown;
    engine->in_bytes = bytes;
    return true;
}

/* Whether they are the first bytes of the line; a part of it may still be on its way. */
static bool begins(struct slice said, const char *line)
{
    size_t bytes = min_u64(said.size_bytes, strlen(line));
    return memcmp(said.bytes, line, bytes) == 0;
}

static void stranger(struct engine *engine, struct slice said)
{
    char quoted[REASON_QUOTE_BYTES];
    enum farpage_status status = FARPAGE_PROTOCOL;
    if (begins(said, REPLY_STARTING) || begins(said, REPLY_STOPPING)) {
        bool starts = begins(said, REPLY_STARTING);
        reason_set(&engine->weather, "the server is %s", starts ? "starting" : "stopping");
        status = FARPAGE_NOT_READY;
    } else if (begins(said, REPLY_TOO_MANY_CONNECTIONS)) {
        reason_set(&engine->weather, "the server has as many connections as it may have "
                                     "(server.max_connections)");
    } else {
        reason_quote(said, quoted);
        reason_set(&engine->weather, "the server does not speak farpage frames; it said '%s'",
                   quoted);
    }
    engine_break(engine, status);
}

/* The header of the next reply, and the flight it belongs to, once it is worth believing. */
static bool next_header(struct engine *engine, struct frame *frame, struct flight **flight)
{
    const uint8_t *at = engine->in + engine->in_start;
    size_t there = engine->in_end - engine->in_start;
    if (there == 0) return false;
    if (at[0] != FRAME_MAGIC_REPLY) {
        stranger(engine, slice_of(at, there));
        return false;
    }
    if (there < FRAME_HEADER_BYTES) return false;
    const char *fault = "a broken header";
    if (frame_decode(at, FRAME_MAGIC_REPLY, frame)) fault = judge(engine, frame, flight);
    if (fault != NULL) nonsense(engine, fault);
    return fault == NULL;
}

/* True where what comes next was said unasked, and taken. */
static bool take_notice(struct engine *engine)
{
    struct frame frame;
    const uint8_t *at = engine->in + engine->in_start;
    if (engine->in_end - engine->in_start < FRAME_HEADER_BYTES) return false;
    if (!frame_decode(at, FRAME_MAGIC_REPLY, &frame)) return false;
    if (frame.opcode != FRAME_UNUSE || frame.tag != 0) return false;
    engine->in_start += FRAME_HEADER_BYTES;
    if (engine_unuse(engine, &frame)) return true;
    nonsense(engine, "a notice that makes no sense");
    return false;
}

/* True where it took a whole one. */
static bool take_reply(struct engine *engine, uint64_t now_ns)
{
    if (take_notice(engine)) return true;
    struct frame frame;
    struct flight *flight = NULL;
    if (!next_header(engine, &frame, &flight)) return false;
    size_t whole = FRAME_HEADER_BYTES + (size_t)frame.body_bytes;
    if (!inbox_grow(engine, whole)) return false;
    if (engine->in_end - engine->in_start < whole) return false;
    struct reply reply = {.frame = frame, .latency_ns = now_ns - flight->sent_ns};
    reply.body =
        slice_of(engine->in + engine->in_start + FRAME_HEADER_BYTES, frame.body_bytes);
    reply.damaged = !frame_body_good(&frame, reply.body);
    bool page = frame.opcode == FRAME_LOAD || frame.opcode == FRAME_LOAD_BATCH ||
                frame.opcode == FRAME_MREAD;
    if (reply.damaged && !page) {
        nonsense(engine, "a reply whose checksum does not match");
        return false;
    }
    engine->in_start += whole;
    deliver(engine, flight, &reply);
    return true;
}

static void take_replies(struct engine *engine)
{
    uint64_t now = clock_monotonic_ns();
    engine->heard_ns = now;
    while (take_reply(engine, now)) {
    }
    size_t left = engine->in_end - engine->in_start;
    if (engine->in_start > 0 && left > 0) {
        memmove(engine->in, engine->in + engine->in_start, left);
    }
    engine->in_start = 0;
    engine->in_end = left;
}

void engine_receive(struct engine *engine)
{
    size_t room = engine->in_bytes - engine->in_end;
    ssize_t got = transport_receive(&engine->transport, engine->in + engine->in_end, room);
    if (got == -EAGAIN) return;
    if (got > 0) {
        engine->in_end += (size_t)got;
        engine->wire_in_bytes += (size_t)got;
        take_replies(engine);
        return;
    }
    const char *why = transport_reason(&engine->transport);
    bool unheard = engine->phase == ENGINE_GREETING && engine->in_end == engine->in_start;
    bool tls = engine->transport.tls != NULL;
    if (unheard && tls && (got == 0 || strstr(why, "reset") != NULL))
        reason_set(&engine->weather, "the server closed the connection; does it want a "
                                     "certificate?");
    else if (unheard && !tls && (got == 0 || got == -ECONNRESET))
        reason_set(&engine->weather, "the server closed the connection; does it want TLS?");
    else if (got == 0)
        reason_set(&engine->weather, "the server closed the connection");
    else if (why[0] != '\0')
        reason_set(&engine->weather, "the server ended TLS: %.300s", why);
    else
        reason_set_errno(&engine->weather, (int)-got, "the connection broke");
    engine_break(engine, FARPAGE_DISCONNECTED);
}
