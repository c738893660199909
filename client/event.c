/* SPDX-License-Identifier: BSD-3-Clause
 * The calls that never wait. */
#include <limits.h>

#include "base/clock.h"
#include "client/client.h"

static void tell(const struct op_request *request, const struct farpage_answer *answer)
{
    struct farpage_area *area = request->asker;
    if (answer->status != FARPAGE_OK) reason_set(&area->reason, "%s", answer->why);
    request->user(request->context, answer);
}

enum farpage_status farpage_submit(struct farpage_area *area,
                                   const struct farpage_request *request, farpage_done *done,
                                   void *context)
{
    if (area == NULL || request == NULL || done == NULL) return FARPAGE_INVALID;
    struct op_request op;
    bool map = request->kind >= FARPAGE_OP_MAP && request->kind <= FARPAGE_OP_DISCARD;
    enum farpage_status status = map ? map_request(area, request, &op, &area->reason)
                                     : page_request(area, request, &op, &area->reason);
    if (status != FARPAGE_OK) return status;
    if (op.opcode == 0) op.opcode = FRAME_PING; /* nothing to forget: any answer will do */
    if (op.opcode == FRAME_PING) op.slot = op.count = 0, op.of_area = false;
    op.done = tell;
    op.user = done;
    op.context = context;
    op.asker = area;
    status = engine_submit(&area->engine, &op);
    if (status != FARPAGE_OK) area->reason = area->engine.reason;
    return status;
}

int farpage_area_fd(const struct farpage_area *area)
{
    return area->engine.transport.fd;
}

short farpage_area_events(const struct farpage_area *area)
{
    return (short)engine_events(&area->engine);
}

int farpage_area_wait_ms(const struct farpage_area *area)
{
    uint64_t due = engine_due_ns(&area->engine);
    if (due == UINT64_MAX) return -1;
    uint64_t now = clock_monotonic_ns();
    if (due <= now) return 0;
    uint64_t ms = (due - now - 1) / 1000000 + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

void farpage_area_process(struct farpage_area *area, int revents)
{
    engine_process(&area->engine, revents);
    if (!area->closing || area->engine.entered) return;
    farpage_area_close(&area);
}

size_t farpage_area_waiting(const struct farpage_area *area)
{
    return area->engine.waiting;
}
