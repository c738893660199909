/* SPDX-License-Identifier: BSD-3-Clause
 * A batch keeps `depth` operations under way until none is left: each answer begins the next. */
#include "base/arith.h"
#include "client/client.h"

enum { DEPTH_DEFAULT = 32 };

struct batch {
    struct farpage_area *area;
    struct farpage_op *ops;
    size_t count, next, under_way, depth;
    enum farpage_status failed; /* the first that is no answer of the server's */
};

static bool answered_by_server(enum farpage_status status)
{
    return status != FARPAGE_TIMEOUT && status != FARPAGE_DISCONNECTED &&
           status != FARPAGE_PROTOCOL && status != FARPAGE_LOST && status != FARPAGE_BUSY &&
           status != FARPAGE_UNREACHABLE && status != FARPAGE_NOT_READY;
}

static void fail(struct batch *batch, enum farpage_status status)
{
    if (batch->failed == FARPAGE_OK && !answered_by_server(status)) batch->failed = status;
}

static void fill(struct batch *batch);

static void answered(const struct op_request *request, const struct farpage_answer *answer)
{
    struct batch *batch = request->asker;
    struct farpage_op *op = request->context;
    op->status = answer->status;
    op->latency_ns = answer->latency_ns;
    batch->under_way--;
    if (answer->status != FARPAGE_OK) {
        reason_set(&batch->area->reason, "%s", answer->why);
        fail(batch, answer->status);
    }
    fill(batch);
}

/* Begins the next one, or answers it where it is not worth sending. */
static void begin(struct batch *batch, struct farpage_op *op)
{
    struct farpage_area *area = batch->area;
    struct farpage_request wish = {
        .kind = op->kind, .slot = op->slot, .count = op->count, .page = op->page};
    struct op_request request;
    op->status = page_request(area, &wish, &request, &area->reason);
    if (op->status != FARPAGE_OK || request.opcode == 0) return;
    request.done = answered;
    request.context = op;
    request.asker = batch;
    op->status = engine_submit(&area->engine, &request);
    if (op->status == FARPAGE_OK) {
        batch->under_way++;
        return;
    }
    area->reason = area->engine.reason;
    fail(batch, op->status);
}

static void fill(struct batch *batch)
{
    while (batch->under_way < batch->depth && batch->next < batch->count &&
           batch->failed == FARPAGE_OK) {
        begin(batch, &batch->ops[batch->next++]);
    }
}

enum farpage_status farpage_batch(struct farpage_area *area, struct farpage_op *ops, size_t count,
                                  uint32_t depth)
{
    if (area == NULL || (ops == NULL && count > 0)) return FARPAGE_INVALID;
    if (area->engine.entered) {
        reason_set(&area->reason, "a call that waits makes no sense in a callback");
        return FARPAGE_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        ops[i].status = FARPAGE_DISCONNECTED;
        ops[i].latency_ns = 0;
    }
    struct batch batch = {.area = area, .ops = ops, .count = count};
    batch.depth = depth != 0 ? depth : DEPTH_DEFAULT;
    fill(&batch);
    if (batch.under_way > 0) engine_process(&area->engine, 0);
    while (batch.under_way > 0) engine_step(&area->engine);
    return batch.failed;
}
