/* SPDX-License-Identifier: BSD-3-Clause
 * How an area is opened, renewed and closed. */
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "client/client.h"
#include "client/renewal.h"

enum { CLOSE_TIMEOUT_NS = 1000000000 };
#include "protocol/limits.h"

/* The packer has nothing of its own yet: it is copied. */
static struct farpage_area *area_create(struct farpage *client, const struct opening *opening,
                                        const struct packer *packer,
                                        const struct farpage_area_options *options)
{
    struct farpage_area *area = calloc(1, sizeof *area);
    if (area == NULL) return NULL;
    list_init(&area->place);
    area->client = client;
    area->opening = *opening;
    struct engine_options engine = client->options;
    if (options->timeout_ms != 0) engine.timeout_ns = options->timeout_ms * 1000000ull;
    if ((options->flags & FARPAGE_AREA_DRAIN) != 0) engine.reconnect = false;
    if (options->depth != 0) engine.depth = (uint32_t)min_u64(options->depth, FLIGHT_OPS_MAX);
    engine.unuse = options->unuse;
    engine.unuse_context = options->unuse_context;
    area->timeout_ns = engine.timeout_ns;
    area->packer = *packer;
    bool good = engine_init(&area->engine, &engine, &area->opening);
    area->engine.packer = &area->packer;
    if (good) return area;
    area_destroy(area);
    return NULL;
}

void area_destroy(struct farpage_area *area)
{
    engine_fini(&area->engine);
    packer_fini(&area->packer);
    free(area);
}

/* BAD_AREA has several reasons; asking for the area as it is tells them apart. */
static void explain_refusal(struct farpage *client, const struct opening *refused,
                            struct reason *reason)
{
    struct opening any;
    struct farpage_area_options shared = {.flags = FARPAGE_AREA_SHARED};
    struct packer packer = {.wish = FARPAGE_PACK_OFF};
    struct reason unused;
    if (opening_init(&any, refused->name, &shared, &unused) != FARPAGE_OK) return;
    struct farpage_area *area = area_create(client, &any, &packer, &shared);
    if (area == NULL) return;
    enum farpage_status status = engine_open(&area->engine);
    const struct frame_opened *is = &area->opening.is;
    unsigned long long wanted = refused->wish.slots, slots = is->slots;
    if (status == FARPAGE_NO_AREA && wanted != 0) {
        reason_set(reason, "creating area '%s': the server takes none of %llu slots", refused->name,
                   wanted);
    } else if (status == FARPAGE_OK && wanted != 0 && wanted != slots) {
        reason_set(reason, "area '%s' exists with %llu slots, not %llu", refused->name, slots,
                   wanted);
    } else if (status == FARPAGE_OK && refused->wish.page_bytes != 0) {
        reason_set(reason, "area '%s' exists with pages of %lu bytes, not %lu", refused->name,
                   (unsigned long)is->page_bytes, (unsigned long)refused->wish.page_bytes);
    }
    area_destroy(area);
}

static enum farpage_status open_area(struct farpage *client, const char *name,
                                     const struct farpage_area_options *options,
                                     struct farpage_area **area, struct reason *reason)
{
    if (!client->good) {
        reason_set(reason, "the server was never reached");
        return FARPAGE_DISCONNECTED;
    }
    struct opening opening;
    enum farpage_status status = opening_init(&opening, name, options, reason);
    struct packer packer;
    if (status == FARPAGE_OK) {
        status = packer_init(&packer, options->pack, options->pack_level, reason);
    }
    if (status != FARPAGE_OK) return status;
    struct farpage_area *made = area_create(client, &opening, &packer, options);
    if (made == NULL) {
        reason_set(reason, "out of memory for an area");
        return FARPAGE_NO_MEMORY;
    }
    status = engine_open(&made->engine);
    if (status == FARPAGE_OK) {
        *area = made;
        return FARPAGE_OK;
    }
    struct reason what;
    reason_set(&what, "opening area '%s'", opening.name);
    client_explain(reason, &made->engine, status, what.text);
    area_destroy(made);
    if (status == FARPAGE_BAD_AREA) explain_refusal(client, &opening, reason);
    return status;
}

enum farpage_status farpage_area_open(struct farpage *client, const char *name,
                                      const struct farpage_area_options *options,
                                      struct farpage_area **area)
{
    if (client == NULL || name == NULL || area == NULL) return FARPAGE_INVALID;
    *area = NULL;
    struct farpage_area_options none = {0};
    if (options == NULL) options = &none;
    struct reason reason;
    reason_set(&reason, "%s", "");
    enum farpage_status status = open_area(client, name, options, area, &reason);
    if (status == FARPAGE_OK) {
        (void)pthread_mutex_lock(&client->lock);
        list_push_back(&client->areas, &(*area)->place);
        (void)pthread_mutex_unlock(&client->lock);
    } else if (options->why == NULL) {
        client->reason = reason;
    } else if (options->why_bytes > 0) {
        size_t bytes = min_u64(strlen(reason.text), options->why_bytes - 1);
        memcpy(options->why, reason.text, bytes);
        options->why[bytes] = '\0';
    }
    return status;
}

/* The server ends an area's use with the connection, but not before it noticed; who opens it again
 * at once must not be told that it is busy. */
static void give_up(struct farpage_area *area)
{
    struct engine *engine = &area->engine;
    uint32_t flags = area->opening.wish.flags & (FRAME_OPEN_SHARED | FRAME_OPEN_TRANSIENT);
    if (flags == FRAME_OPEN_SHARED || area->deleted || engine->phase != ENGINE_READY) return;
    struct op_request request = {
        .opcode = FRAME_CLOSE,
        .of_area = true,
        .said_bytes_max = REFUSAL_BYTES_MAX,
        .timeout_ns = min_u64(area->timeout_ns, CLOSE_TIMEOUT_NS),
    };
    engine->options.reconnect = false;
    enum farpage_status told = engine_call(engine, &request, NULL);
    (void)told; /* where it does not know, it will notice */
}

void farpage_area_close(struct farpage_area **area)
{
    if (area == NULL || *area == NULL) return;
    struct farpage_area *taken = *area;
    *area = NULL;
    if (taken->engine.entered) { /* farpage_area_process does it */
        taken->closing = true;
        return;
    }
    (void)pthread_mutex_lock(&taken->client->lock);
    list_remove(&taken->place);
    (void)pthread_mutex_unlock(&taken->client->lock);
    engine_abandon(&taken->engine);
    give_up(taken);
    area_destroy(taken);
}

enum farpage_status farpage_area_delete(struct farpage_area **area)
{
    if (area == NULL || *area == NULL) return FARPAGE_INVALID;
    struct engine *engine = &(*area)->engine;
    struct op_request request = {.opcode = FRAME_CLOSE,
                                 .count = 1,
                                 .of_area = true,
                                 .said_bytes_max = REFUSAL_BYTES_MAX,
                                 .timeout_ns = (*area)->timeout_ns};
    engine->said = false;
    enum farpage_status status = engine_call(engine, &request, NULL);
    if (status == FARPAGE_OK) {
        (*area)->deleted = true;
        farpage_area_close(area);
        return FARPAGE_OK;
    }
    struct reason what;
    reason_set(&what, "deleting area '%s'", (*area)->opening.name);
    client_explain(&(*area)->reason, engine, status, what.text);
    return status;
}

enum farpage_status farpage_area_renew(struct farpage_area *area)
{
    if (area == NULL) return FARPAGE_INVALID;
    enum farpage_status status = engine_renew(&area->engine);
    if (status == FARPAGE_OK) return FARPAGE_OK;
    struct reason what;
    reason_set(&what, "opening area '%s' anew", area->opening.name);
    client_explain(&area->reason, &area->engine, status, what.text);
    return status;
}

void area_renew_begin(struct farpage_area *area)
{
    engine_renew_begin(&area->engine);
}

void farpage_area_info(const struct farpage_area *area, struct farpage_area_info *info)
{
    const struct frame_opened *is = &area->opening.is;
    *info = (struct farpage_area_info){
        .slots = is->slots,
        .generation = is->generation,
        .stored_pages = is->stored,
        .connections = area->engine.connections,
        .sent_bytes = area->engine.wire_out_bytes,
        .received_bytes = area->engine.wire_in_bytes,
        .page_bytes = is->page_bytes,
        .dictionary_id = is->dictionary_id,
    };
    memcpy(info->boot_id, area->opening.boot_id, sizeof info->boot_id);
}

uint64_t farpage_area_slots(const struct farpage_area *area)
{
    return area->opening.is.slots;
}

uint32_t farpage_area_page_bytes(const struct farpage_area *area)
{
    return area->opening.is.page_bytes;
}

uint64_t farpage_area_generation(const struct farpage_area *area)
{
    return area->opening.is.generation;
}

const char *farpage_area_moved_to(const struct farpage_area *area)
{
    const char *address = area->opening.moved_to;
    return area->engine.moved ? address : NULL;
}

const char *farpage_area_error(const struct farpage_area *area)
{
    return area != NULL ? area->reason.text : "out of memory";
}
