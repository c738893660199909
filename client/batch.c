/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An invalidation of more slots than one request can count becomes several, one after the other in
 * the same seat; the operation is answered when the last is. */
#include <string.h>

#include "base/arith.h"
#include "client/client.h"

enum { DEPTH_DEFAULT = 32 };

struct batch {
    struct farpage_area *area;
    struct farpage_op *ops;
    size_t count, next;
};

/* Why an operation is not sent at all; FARPAGE_OK where it is. */
static enum farpage_status check_op(const struct farpage_area *area, const struct farpage_op *op,
                                    struct reason *reason)
{
    bool known = op->kind == FARPAGE_OP_STORE || op->kind == FARPAGE_OP_LOAD ||
                 op->kind == FARPAGE_OP_INVALIDATE;
    bool ranged = op->kind == FARPAGE_OP_INVALIDATE;
    if (!known || (!ranged && op->page == NULL)) {
        reason_set(reason, known ? "it has no page" : "there is no such kind of operation");
        return FARPAGE_INVALID;
    }
    uint64_t end;
    if (add_u64(op->slot, ranged ? op->count : 1, &end) && end <= area->slots) return FARPAGE_OK;
    reason_set(reason, "the area ends after slot %llu", (unsigned long long)(area->slots - 1));
    return FARPAGE_RANGE;
}

/* As many of the slots up to `end` as one request can name; its count 0 means up to the last. */
static uint32_t count_on_wire(const struct farpage_area *area, uint64_t slot, uint64_t end)
{
    if (end - slot <= UINT32_MAX) return (uint32_t)(end - slot);
    return end == area->slots ? 0 : UINT32_MAX;
}

static void make_call(const struct farpage_area *area, struct farpage_op *op, struct call *call)
{
    uint32_t page_bytes = area->client->server.page_bytes;
    call->context = op;
    call->frame.slot = op->slot;
    call->frame.area = area->number;
    switch (op->kind) {
    case FARPAGE_OP_STORE:
        call->frame.opcode = FRAME_STORE;
        call->frame.count = 1;
        call->body = slice_of(op->page, page_bytes);
        break;
    case FARPAGE_OP_LOAD:
        call->frame.opcode = FRAME_LOAD;
        call->frame.count = 1;
        call->ok_bytes_min = call->ok_bytes_max = page_bytes;
        break;
    case FARPAGE_OP_INVALIDATE:
        call->frame.opcode = FRAME_INVALIDATE;
        call->frame.count = count_on_wire(area, op->slot, op->slot + op->count);
        break;
    }
}

static bool batch_next(void *context, struct call *call)
{
    struct batch *batch = context;
    while (batch->next < batch->count) {
        struct farpage_op *op = &batch->ops[batch->next++];
        op->status = check_op(batch->area, op, &batch->area->client->reason);
        if (op->status != FARPAGE_OK) continue;
        if (op->kind == FARPAGE_OP_INVALIDATE && op->count == 0) continue;
        op->status = FARPAGE_DISCONNECTED; /* until it is answered */
        make_call(batch->area, op, call);
        return true;
    }
    return false;
}

/* Turns the call into the next part of a long invalidation; false where there is none. */
static bool advance(const struct farpage_area *area, const struct farpage_op *op, struct call *call)
{
    if (op->kind != FARPAGE_OP_INVALIDATE || call->frame.count == 0) return false;
    uint64_t end = op->slot + op->count;
    uint64_t next = call->frame.slot + call->frame.count;
    if (next >= end) return false;
    call->frame.slot = next;
    call->frame.count = count_on_wire(area, next, end);
    return true;
}

static bool batch_answered(void *context, struct call *call, const struct answer *answer)
{
    struct batch *batch = context;
    struct farpage_op *op = call->context;
    struct reason *reason = &batch->area->client->reason;
    op->latency_ns += answer->latency_ns;
    if (answer->damaged) {
        op->status = FARPAGE_CORRUPT;
        reason_set(reason, "the page does not match its checksum");
        return false;
    }
    if (answer->frame.status == FRAME_OK && advance(batch->area, op, call)) return true;
    op->status = client_status_of_wire(answer->frame.status);
    if (op->status != FARPAGE_OK) {
        reason_set(reason, "%s", client_sentence_of_wire(answer->frame.status));
    } else if (op->kind == FARPAGE_OP_LOAD) {
        memcpy(op->page, answer->body.bytes, answer->body.size_bytes);
    }
    return false;
}

enum farpage_status farpage_batch(struct farpage_area *area, struct farpage_op *ops, size_t count,
                                  uint32_t depth)
{
    if (area == NULL || (ops == NULL && count > 0)) return FARPAGE_INVALID;
    struct farpage *client = area->client;
    for (size_t i = 0; i < count; i++) {
        ops[i].status = FARPAGE_DISCONNECTED;
        ops[i].latency_ns = 0;
    }
    enum farpage_status status = client_check_open(client);
    if (status != FARPAGE_OK || count == 0) return status;
    struct batch batch = {.area = area, .ops = ops, .count = count};
    struct asker asker = {batch_next, batch_answered, &batch};
    if (depth == 0) depth = DEPTH_DEFAULT;
    struct exchange_limits limits = {
        .depth = (uint32_t)min_u64(depth, min_u64(count, EXCHANGE_DEPTH_MAX)),
        .timeout_ns = client->timeout_ns,
    };
    status = exchange_run(&client->exchange, &client->transport, &asker, limits, &client->reason);
    return status == FARPAGE_OK ? FARPAGE_OK : client_fail(client, status);
}
