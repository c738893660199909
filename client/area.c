/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "protocol/limits.h"

struct opening {
    uint32_t page_bytes; /* the server's */
    uint64_t slots;      /* asked for; 0: any */
    struct frame_opened opened;
    uint32_t number;
};

static bool take_opened(void *context, const struct answer *answer)
{
    struct opening *opening = context;
    if (!frame_opened_decode(answer->body, &opening->opened)) return false;
    opening->number = answer->frame.area;
    const struct frame_opened *opened = &opening->opened;
    if (opened->page_bytes != opening->page_bytes) return false;
    if (opened->slots == 0 || opened->slots > AREA_SLOTS_MAX) return false;
    return opening->slots == 0 || opening->slots == opened->slots;
}

static enum farpage_status ask_open(struct farpage *client, const char *name,
                                    struct opening *opening)
{
    uint8_t body[FRAME_OPEN_BYTES + AREA_NAME_BYTES_MAX];
    struct frame_open open = {
        .flags = FRAME_OPEN_SHARED | (opening->slots != 0 ? FRAME_OPEN_CREATE : 0),
        .page_bytes = client->server.page_bytes,
        .slots = opening->slots,
        .name = slice_text(name),
    };
    struct reason what;
    reason_set(&what, "opening area '%s'", name);
    struct single single = {
        .call = {.frame = {.opcode = FRAME_OPEN},
                 .body = slice_of(body, frame_open_encode(&open, body)),
                 .ok_bytes_min = FRAME_OPENED_BYTES,
                 .ok_bytes_max = FRAME_OPENED_BYTES},
        .what = what.text,
        .answered = take_opened,
        .context = opening,
    };
    return client_ask(client, &single);
}

/* BAD_AREA has several reasons; asking for the area of any size tells them apart. */
static enum farpage_status explain_refusal(struct farpage *client, const char *name,
                                           const struct opening *refused)
{
    struct opening any = {.page_bytes = refused->page_bytes};
    enum farpage_status status = ask_open(client, name, &any);
    if (client->closed_because != FARPAGE_OK) return status;
    unsigned long long wanted = refused->slots, slots = any.opened.slots;
    if (status == FARPAGE_OK) {
        reason_set(&client->reason, "area '%s' exists with %llu slots, not %llu", name, slots,
                   wanted);
    } else if (status == FARPAGE_NO_AREA) {
        reason_set(&client->reason, "creating area '%s': the server takes none of %llu slots", name,
                   wanted);
    }
    return FARPAGE_BAD_AREA;
}

static struct farpage_area *area_create(struct farpage *client, const char *name,
                                        const struct opening *opening)
{
    struct farpage_area *area = calloc(1, sizeof *area);
    if (area == NULL) return NULL;
    area->name = strdup(name);
    if (area->name == NULL) {
        free(area);
        return NULL;
    }
    area->client = client;
    area->number = opening->number;
    area->slots = opening->opened.slots;
    area->generation = opening->opened.generation;
    area->next = client->areas;
    client->areas = area;
    return area;
}

static enum farpage_status check_name(struct farpage *client, const char *name)
{
    size_t size_bytes = strnlen(name, AREA_NAME_BYTES_MAX + 1);
    if (frame_area_name_good(slice_of(name, size_bytes))) return FARPAGE_OK;
    reason_set(&client->reason,
               "an area's name is 1 to %d letters, digits and . _ - /, and begins with a letter or "
               "a digit",
               AREA_NAME_BYTES_MAX);
    return FARPAGE_BAD_AREA;
}

enum farpage_status farpage_area_open(struct farpage *client, const char *name,
                                      const struct farpage_area_options *options,
                                      struct farpage_area **area)
{
    if (client == NULL || name == NULL || area == NULL) return FARPAGE_INVALID;
    *area = NULL;
    enum farpage_status status = client_check_open(client);
    if (status == FARPAGE_OK) status = check_name(client, name);
    if (status != FARPAGE_OK) return status;
    struct opening opening = {
        .page_bytes = client->server.page_bytes,
        .slots = options != NULL ? options->slots : 0,
    };
    if (opening.slots > AREA_SLOTS_MAX) {
        reason_set(&client->reason, "an area has at most %llu slots", AREA_SLOTS_MAX);
        return FARPAGE_BAD_AREA;
    }
    status = ask_open(client, name, &opening);
    if (status == FARPAGE_BAD_AREA && opening.slots != 0) {
        return explain_refusal(client, name, &opening);
    }
    if (status != FARPAGE_OK) return status;
    *area = area_create(client, name, &opening);
    if (*area != NULL) return FARPAGE_OK;
    reason_set(&client->reason, "out of memory for an area");
    return FARPAGE_NO_MEMORY;
}

uint64_t farpage_area_slots(const struct farpage_area *area)
{
    return area->slots;
}

uint64_t farpage_area_generation(const struct farpage_area *area)
{
    return area->generation;
}

/* --- one page at a time --------------------------------------------------------------------- */

/* A batch of one, whose only answer is the call's own. */
static enum farpage_status run_one(struct farpage_area *area, struct farpage_op *op,
                                   const char *what)
{
    enum farpage_status status = farpage_batch(area, op, 1, 1);
    if (status != FARPAGE_OK || op->status == FARPAGE_OK) return status;
    struct reason because = area->client->reason;
    reason_set(&area->client->reason, "%s slot %llu of area '%s': %.120s", what,
               (unsigned long long)op->slot, area->name, because.text);
    return op->status;
}

enum farpage_status farpage_store(struct farpage_area *area, uint64_t slot, const void *page)
{
    if (area == NULL || page == NULL) return FARPAGE_INVALID;
    struct farpage_op op = {
        .kind = FARPAGE_OP_STORE, .slot = slot, .page = (void *)(uintptr_t)page};
    return run_one(area, &op, "store to");
}

enum farpage_status farpage_load(struct farpage_area *area, uint64_t slot, void *page)
{
    if (area == NULL || page == NULL) return FARPAGE_INVALID;
    struct farpage_op op = {.kind = FARPAGE_OP_LOAD, .slot = slot, .page = page};
    return run_one(area, &op, "load from");
}

enum farpage_status farpage_invalidate(struct farpage_area *area, uint64_t first, uint64_t count)
{
    if (area == NULL) return FARPAGE_INVALID;
    struct farpage_op op = {.kind = FARPAGE_OP_INVALIDATE, .slot = first, .count = count};
    return run_one(area, &op, "invalidate from");
}
