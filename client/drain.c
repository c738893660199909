/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "client/client.h"
#include "protocol/frame_drain.h"

/* One request of an area that is drained: awaited, never repeated. */
static enum farpage_status ask(struct farpage_area *area, struct op_request *request,
                               const char *what)
{
    struct engine *engine = &area->engine;
    request->of_area = true;
    request->timeout_ns = area->timeout_ns;
    request->said_bytes_max = REFUSAL_BYTES_MAX;
    engine->said = false;
    enum farpage_status status = engine_call(engine, request, NULL);
    if (status == FARPAGE_OK) return status;
    struct reason prefix;
    reason_set(&prefix, "%s area '%s'", what, area->opening.name);
    client_explain(&area->reason, engine, status, prefix.text);
    return status;
}

/* --- rows ------------------------------------------------------------------------------------ */

struct rows {
    uint64_t *slot, slots;
    void (*each)(void *context, const struct farpage_row *row);
    void *context;
};

/* A row that an area of that size can have, and not before the one before it. */
static bool row_possible(const struct frame_row *row, uint64_t from, uint64_t slots)
{
    if (row->first + FRAME_ROW_SLOTS <= from || row->first >= slots) return false;
    for (uint32_t i = 0; i < FRAME_ROW_SLOTS; i++)
        if (frame_row_has(row, i) && row->first + i >= slots) return false;
    return true;
}

static enum farpage_status take_rows(const struct op_request *request, const struct reply *reply)
{
    const struct rows *rows = request->taker;
    struct frame_row row;
    uint64_t next, from = *rows->slot;
    uint32_t count;
    if (!frame_stored_decode(reply->body, &next, &count)) return FARPAGE_PROTOCOL;
    if (next <= *rows->slot || next > rows->slots) return FARPAGE_PROTOCOL;
    const uint8_t *at = reply->body.bytes + FRAME_STORED_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        bool good = frame_row_decode(at + (size_t)i * FRAME_ROW_BYTES, &row);
        if (!good || !row_possible(&row, from, rows->slots)) return FARPAGE_PROTOCOL;
        struct farpage_row told = {row.first, row.changes, row.used_slots, row.used};
        rows->each(rows->context, &told);
        from = row.first + FRAME_ROW_SLOTS;
    }
    *rows->slot = next;
    return FARPAGE_OK;
}

enum farpage_status farpage_area_rows(struct farpage_area *area, uint64_t *slot,
                                      void (*each)(void *context, const struct farpage_row *row),
                                      void *context)
{
    if (area == NULL || slot == NULL || each == NULL) return FARPAGE_INVALID;
    struct rows rows = {slot, area->opening.is.slots, each, context};
    if (*slot >= rows.slots) return FARPAGE_RANGE;
    struct op_request request = {
        .opcode = FRAME_STORED,
        .slot = *slot,
        .count = FRAME_ROWS_MAX,
        .ok_bytes_min = FRAME_STORED_BYTES,
        .ok_bytes_max = FRAME_STORED_BYTES + FRAME_ROWS_MAX * FRAME_ROW_BYTES,
        .take = take_rows,
        .taker = &rows,
    };
    return ask(area, &request, "looking at");
}

/* --- from frozen to moved -------------------------------------------------------------------- */

enum farpage_status farpage_area_freeze(struct farpage_area *area)
{
    if (area == NULL) return FARPAGE_INVALID;
    struct op_request request = {.opcode = FRAME_DRAIN, .count = FRAME_DRAIN_FREEZE};
    return ask(area, &request, "freezing");
}

enum farpage_status farpage_area_thaw(struct farpage_area *area)
{
    if (area == NULL) return FARPAGE_INVALID;
    struct op_request request = {.opcode = FRAME_DRAIN, .count = FRAME_DRAIN_SERVE};
    return ask(area, &request, "thawing");
}

enum farpage_status farpage_area_finish(struct farpage_area *area,
                                        const struct farpage_moved *moved)
{
    if (area == NULL || moved == NULL || moved->address == NULL) return FARPAGE_INVALID;
    uint8_t body[FRAME_MOVED_BYTES + MOVED_ADDRESS_BYTES_MAX];
    struct frame_moved wire = {.generation = moved->generation}, read;
    size_t size_bytes = strnlen(moved->address, MOVED_ADDRESS_BYTES_MAX + 1);
    memcpy(wire.boot_id, moved->boot_id, sizeof wire.boot_id);
    wire.address = slice_of(moved->address, size_bytes);
    bool fits = size_bytes > 0 && size_bytes <= MOVED_ADDRESS_BYTES_MAX;
    size_t bytes = fits ? frame_moved_encode(&wire, body) : 0;
    if (!fits || !frame_moved_decode(slice_of(body, bytes), &read)) {
        reason_set(&area->reason, "an address is 1 to %d printable bytes without blanks",
                   MOVED_ADDRESS_BYTES_MAX);
        return FARPAGE_INVALID;
    }
    struct op_request request = {
        .opcode = FRAME_DRAIN, .count = FRAME_DRAIN_FINISH, .body = slice_of(body, bytes)};
    return ask(area, &request, "moving");
}

/* --- asking its owners ----------------------------------------------------------------------- */

static enum farpage_status take_asked(const struct op_request *request, const struct reply *reply)
{
    struct farpage_asked *asked = request->taker;
    struct frame_asked wire;
    if (!frame_asked_decode(reply->body, &wire)) return FARPAGE_PROTOCOL;
    *asked = (struct farpage_asked){.stored_pages = wire.stored,
                                    .sessions = wire.asked,
                                    .willing = wire.willing,
                                    .refused = wire.refused};
    return FARPAGE_OK;
}

static enum farpage_status ask_owners(struct farpage_area *area, enum frame_drain what,
                                      uint32_t seconds, struct farpage_asked *asked)
{
    if (area == NULL || asked == NULL) return FARPAGE_INVALID;
    struct op_request request = {
        .opcode = FRAME_DRAIN,
        .slot = seconds,
        .count = what,
        .ok_bytes_min = FRAME_ASKED_BYTES,
        .ok_bytes_max = FRAME_ASKED_BYTES,
        .take = take_asked,
        .taker = asked,
    };
    return ask(area, &request, "asking for");
}

enum farpage_status farpage_area_ask(struct farpage_area *area, uint32_t seconds,
                                     struct farpage_asked *asked)
{
    return ask_owners(area, FRAME_DRAIN_ASK, seconds, asked);
}

enum farpage_status farpage_area_asked(struct farpage_area *area, struct farpage_asked *asked)
{
    return ask_owners(area, FRAME_DRAIN_LOOK, 0, asked);
}
