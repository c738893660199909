/* SPDX-License-Identifier: BSD-3-Clause
 * Pages in and out: what a request for pages looks like, and one at a time. */
#include <string.h>

#include "base/arith.h"
#include "client/client.h"

static enum farpage_status take_page(const struct op_request *request, const struct reply *reply)
{
    memcpy(request->page, reply->body.bytes, reply->body.size_bytes);
    return FARPAGE_OK;
}

static enum farpage_status check(const struct farpage_area *area,
                                 const struct farpage_request *wish, struct reason *reason)
{
    bool ranged = wish->kind == FARPAGE_OP_INVALIDATE;
    bool known = wish->kind == FARPAGE_OP_STORE || wish->kind == FARPAGE_OP_LOAD || ranged;
    if (!known || (!ranged && wish->page == NULL)) {
        reason_set(reason, known ? "it has no page" : "there is no such kind of operation");
        return FARPAGE_INVALID;
    }
    uint64_t end, slots = area->opening.is.slots;
    if (add_u64(wish->slot, ranged ? wish->count : 1, &end) && end <= slots) return FARPAGE_OK;
    reason_set(reason, "the area ends after slot %llu", (unsigned long long)(slots - 1));
    return FARPAGE_RANGE;
}

enum farpage_status page_request(const struct farpage_area *area,
                                 const struct farpage_request *wish, struct op_request *request,
                                 struct reason *reason)
{
    enum farpage_status status = check(area, wish, reason);
    if (status != FARPAGE_OK) return status;
    uint32_t page_bytes = area->opening.is.page_bytes;
    *request = (struct op_request){
        .slot = wish->slot,
        .count = 1,
        .of_area = true,
        .repeatable = true,
        .timeout_ns =
            wish->timeout_ms != 0 ? wish->timeout_ms * 1000000ull : area->timeout_ns,
    };
    switch (wish->kind) {
    case FARPAGE_OP_STORE:
        request->opcode = FRAME_STORE;
        request->body = slice_of(wish->page, page_bytes);
        break;
    case FARPAGE_OP_LOAD:
        request->opcode = FRAME_LOAD;
        request->ok_bytes_min = request->ok_bytes_max = page_bytes;
        request->page = wish->page;
        request->take = take_page;
        break;
    case FARPAGE_OP_INVALIDATE:
        if (wish->count > 0) request->opcode = FRAME_INVALIDATE;
        request->end = wish->slot + wish->count;
        break;
    case FARPAGE_OP_MAP: /* check() refused these */
    case FARPAGE_OP_MAP_READ:
    case FARPAGE_OP_MAP_WRITE:
    case FARPAGE_OP_UNMAP:
    case FARPAGE_OP_DISCARD:
        break;
    }
    return FARPAGE_OK;
}

/* --- one at a time -------------------------------------------------------------------------- */

static enum farpage_status run_one(struct farpage_area *area, const struct farpage_request *wish,
                                   const char *what)
{
    struct op_request request;
    struct engine *engine = &area->engine;
    engine->said = false;
    enum farpage_status status = page_request(area, wish, &request, &engine->reason);
    bool nothing = status == FARPAGE_OK && request.opcode == 0;
    if (status == FARPAGE_OK && !nothing) status = engine_call(engine, &request, NULL);
    if (status == FARPAGE_OK) return FARPAGE_OK;
    struct reason prefix;
    reason_set(&prefix, "%s slot %llu of area '%s'", what, (unsigned long long)wish->slot,
               area->opening.name);
    client_explain(&area->reason, engine, status, prefix.text);
    return status;
}

enum farpage_status farpage_store(struct farpage_area *area, uint64_t slot, const void *page)
{
    if (area == NULL || page == NULL) return FARPAGE_INVALID;
    struct farpage_request wish = {
        .kind = FARPAGE_OP_STORE, .slot = slot, .page = (void *)(uintptr_t)page};
    return run_one(area, &wish, "store to");
}

enum farpage_status farpage_load(struct farpage_area *area, uint64_t slot, void *page)
{
    if (area == NULL || page == NULL) return FARPAGE_INVALID;
    struct farpage_request wish = {.kind = FARPAGE_OP_LOAD, .slot = slot, .page = page};
    return run_one(area, &wish, "load from");
}

enum farpage_status farpage_invalidate(struct farpage_area *area, uint64_t first, uint64_t count)
{
    if (area == NULL) return FARPAGE_INVALID;
    struct farpage_request wish = {.kind = FARPAGE_OP_INVALIDATE, .slot = first, .count = count};
    return run_one(area, &wish, "invalidate from");
}
