/* SPDX-License-Identifier: BSD-3-Clause
 * Pages that are mapped: their requests, and one at a time. */
#include <string.h>

#include "client/client.h"
#include "protocol/frame_map.h"

static enum farpage_status take_mapped(const struct op_request *request, const struct reply *reply)
{
    struct frame_mapped mapped;
    struct farpage_map *map = request->taker;
    const struct farpage_area *area = request->asker;
    if (!frame_mapped_decode(reply->body, &mapped) || mapped.id == 0) return FARPAGE_PROTOCOL;
    if (mapped.bytes != area->opening.is.page_bytes) return FARPAGE_PROTOCOL;
    *map = (struct farpage_map){
        .slot = request->slot,
        .id = mapped.id,
        .connection = area->engine.connections,
        .bytes = mapped.bytes,
        .lease_seconds = mapped.lease_s,
    };
    return FARPAGE_OK;
}

static enum farpage_status take_bytes(const struct op_request *request, const struct reply *reply)
{
    memcpy(request->page, reply->body.bytes, reply->body.size_bytes);
    return FARPAGE_OK;
}

static enum farpage_status invalid(struct reason *reason, const char *why)
{
    reason_set(reason, "%s", why);
    return FARPAGE_INVALID;
}

static enum farpage_status make(const struct farpage_area *area,
                                const struct farpage_request *wish, struct op_request *request,
                                struct reason *reason)
{
    if (wish->mode < FARPAGE_MAP_RO || wish->mode > FARPAGE_MAP_WO) {
        return invalid(reason, "there is no such mode of a map");
    }
    if (wish->slot >= area->opening.is.slots) {
        reason_set(reason, "the area ends after slot %llu",
                   (unsigned long long)(area->opening.is.slots - 1));
        return FARPAGE_RANGE;
    }
    request->opcode = FRAME_MAP;
    request->of_area = true;
    request->slot = wish->slot;
    request->count = wish->mode;
    frame_map_encode(wish->lease_seconds, request->head);
    request->head_bytes = FRAME_MAP_BYTES;
    request->ok_bytes_min = request->ok_bytes_max = FRAME_MAPPED_BYTES;
    request->said_bytes_max = REFUSAL_BYTES_MAX;
    request->take = take_mapped;
    request->taker = wish->map;
    return FARPAGE_OK;
}

/* Reads or writes some bytes. */
static enum farpage_status touch(const struct farpage_request *wish, struct op_request *request,
                                 struct reason *reason)
{
    if (wish->page == NULL || wish->bytes == 0) return invalid(reason, "there are no bytes");
    const struct farpage_map *map = wish->map;
    if (wish->offset >= map->bytes || wish->bytes > map->bytes - wish->offset) {
        reason_set(reason, "the map ends after %lu bytes", (unsigned long)map->bytes);
        return FARPAGE_RANGE;
    }
    request->offset = wish->offset;
    request->head_bytes = FRAME_MAP_RANGE_BYTES;
    if (wish->kind == FARPAGE_OP_MAP_WRITE) {
        request->opcode = FRAME_MWRITE;
        frame_mwrite_encode(wish->offset, request->head);
        request->body = slice_of(wish->page, wish->bytes);
        return FARPAGE_OK;
    }
    struct frame_map_range range = {wish->offset, wish->bytes};
    request->opcode = FRAME_MREAD;
    frame_mread_encode(&range, request->head);
    request->ok_bytes_min = request->ok_bytes_max = wish->bytes;
    request->page = wish->page;
    request->take = take_bytes;
    return FARPAGE_OK;
}

enum farpage_status map_request(struct farpage_area *area, const struct farpage_request *wish,
                                struct op_request *request, struct reason *reason)
{
    *request = (struct op_request){
        .timeout_ns =
            wish->timeout_ms != 0 ? wish->timeout_ms * 1000000ull : area->timeout_ns,
        .asker = area,
    };
    if (wish->map == NULL) return invalid(reason, "it has no map");
    if (wish->kind == FARPAGE_OP_MAP) return make(area, wish, request, reason);
    if (wish->map->connection == 0) {
        reason_set(reason, "it is not mapped");
        return FARPAGE_NO_MAP;
    }
    request->slot = wish->map->id;
    request->connection = wish->map->connection;
    if (wish->kind == FARPAGE_OP_MAP_READ || wish->kind == FARPAGE_OP_MAP_WRITE) {
        return touch(wish, request, reason);
    }
    request->opcode = FRAME_UNMAP;
    request->count =
        wish->kind == FARPAGE_OP_DISCARD ? FRAME_UNMAP_DISCARD : FRAME_UNMAP_PUBLISH;
    return FARPAGE_OK;
}

/* --- one at a time -------------------------------------------------------------------------- */

static enum farpage_status run_one(struct farpage_area *area, const struct farpage_request *wish,
                                   const char *what)
{
    if (area == NULL || wish->map == NULL) return FARPAGE_INVALID;
    struct op_request request;
    struct engine *engine = &area->engine;
    engine->said = false;
    enum farpage_status status = map_request(area, wish, &request, &engine->reason);
    if (status == FARPAGE_OK) status = engine_call(engine, &request, NULL);
    if (status == FARPAGE_OK) return FARPAGE_OK;
    uint64_t slot = wish->kind == FARPAGE_OP_MAP ? wish->slot : wish->map->slot;
    struct reason prefix;
    reason_set(&prefix, "%s slot %llu of area '%s'", what, (unsigned long long)slot,
               area->opening.name);
    client_explain(&area->reason, engine, status, prefix.text);
    return status;
}

enum farpage_status farpage_map_page(struct farpage_area *area, uint64_t slot,
                                     enum farpage_map_mode mode, uint32_t lease_seconds,
                                     struct farpage_map *map)
{
    struct farpage_request wish = {.kind = FARPAGE_OP_MAP,
                                   .slot = slot,
                                   .mode = mode,
                                   .lease_seconds = lease_seconds,
                                   .map = map};
    return run_one(area, &wish, "map");
}

enum farpage_status farpage_map_read(struct farpage_area *area, struct farpage_map *map,
                                     uint32_t offset, uint32_t bytes, void *into)
{
    struct farpage_request wish = {.kind = FARPAGE_OP_MAP_READ,
                                   .map = map,
                                   .offset = offset,
                                   .bytes = bytes,
                                   .page = into};
    return run_one(area, &wish, "read the map of");
}

enum farpage_status farpage_map_write(struct farpage_area *area, struct farpage_map *map,
                                      uint32_t offset, uint32_t bytes, const void *from)
{
    struct farpage_request wish = {.kind = FARPAGE_OP_MAP_WRITE,
                                   .map = map,
                                   .offset = offset,
                                   .bytes = bytes,
                                   .page = (void *)(uintptr_t)from};
    return run_one(area, &wish, "write the map of");
}

enum farpage_status farpage_map_publish(struct farpage_area *area, struct farpage_map *map)
{
    return run_one(area, &(struct farpage_request){.kind = FARPAGE_OP_UNMAP, .map = map},
                   "publish the map of");
}

enum farpage_status farpage_map_discard(struct farpage_area *area, struct farpage_map *map)
{
    return run_one(area, &(struct farpage_request){.kind = FARPAGE_OP_DISCARD, .map = map},
                   "discard the map of");
}
