/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "client/address.h"
#include "client/backoff.h"

enum { TIMEOUT_MS_DEFAULT = 10000 };

void client_explain(struct reason *reason, const struct engine *engine, enum farpage_status status,
                    const char *what)
{
    bool whole = engine->said || status == FARPAGE_DISCONNECTED || status == FARPAGE_TIMEOUT ||
                 status == FARPAGE_UNREACHABLE || status == FARPAGE_PROTOCOL ||
                 status == FARPAGE_INVALID || status == FARPAGE_NOT_READY;
    if (whole)
        *reason = engine->reason;
    else
        reason_set(reason, "%s: %.300s", what, engine->reason.text);
}

static void take_options(struct farpage *client, const struct farpage_options *options)
{
    uint32_t timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    uint32_t backoff_ms =
        options->backoff_ms_max != 0 ? options->backoff_ms_max : BACKOFF_MS_MAX_DEFAULT;
    client->options = (struct engine_options){
        .peer = &client->peer,
        .door = &client->door,
        .timeout_ns = timeout_ms * 1000000ull,
        .backoff_ns_max = backoff_ms * 1000000ull,
        .depth = FLIGHT_OPS_MAX,
        .reconnect = (options->flags & FARPAGE_NO_RECONNECT) == 0,
        .follow = (options->flags & FARPAGE_FOLLOW_MOVES) != 0,
    };
}

static enum farpage_status open_connection(struct farpage *client,
                                           const struct farpage_options *options)
{
    uint32_t known = FARPAGE_NO_RECONNECT | FARPAGE_FOLLOW_MOVES | FARPAGE_TLS;
    if ((options->flags & ~known) != 0) {
        reason_set(&client->reason, "there is no such flag of a client");
        return FARPAGE_INVALID;
    }
    const char *server = options->server != NULL ? options->server : ADDRESS_DEFAULT;
    enum farpage_status status = door_make(&client->door, options, &client->reason);
    if (status != FARPAGE_OK) return status;
    status = peer_resolve(&client->peer, server, &client->reason);
    if (status != FARPAGE_OK) return status;
    status = engine_open(&client->engine);
    if (status != FARPAGE_OK) client->reason = client->engine.reason;
    return status;
}

static void note_server(struct farpage *client)
{
    const struct frame_welcome *welcome = &client->engine.welcome;
    client->server.version = welcome->version;
    client->server.page_bytes = welcome->page_bytes;
    _Static_assert(sizeof client->server.boot_id == FRAME_BOOT_ID_BYTES, "as on the wire");
    memcpy(client->server.boot_id, welcome->boot_id, FRAME_BOOT_ID_BYTES);
}

enum farpage_status farpage_connect(const struct farpage_options *options, struct farpage **client)
{
    if (client == NULL) return FARPAGE_INVALID;
    *client = NULL;
    struct farpage *made = calloc(1, sizeof *made);
    if (made == NULL) return FARPAGE_NO_MEMORY;
    struct farpage_options none = {0};
    if (options == NULL) options = &none;
    list_init(&made->areas);
    take_options(made, options);
    if (!engine_init(&made->engine, &made->options, NULL) ||
        pthread_mutex_init(&made->lock, NULL) != 0) {
        engine_fini(&made->engine);
        free(made);
        return FARPAGE_NO_MEMORY;
    }
    *client = made;
    enum farpage_status status = open_connection(made, options);
    made->good = status == FARPAGE_OK;
    if (made->good) {
        note_server(made);
    } else {
        made->engine.phase = ENGINE_ENDED; /* also where there was nothing to connect to */
        made->engine.ended_because = status;
    }
    return status;
}

void farpage_disconnect(struct farpage **client)
{
    if (client == NULL || *client == NULL) return;
    struct farpage *taken = *client;
    *client = NULL;
    while (!list_empty(&taken->areas)) {
        struct farpage_area *area = LIST_THING(taken->areas.next, struct farpage_area, place);
        farpage_area_close(&area);
    }
    engine_fini(&taken->engine);
    door_close(&taken->door);
    (void)pthread_mutex_destroy(&taken->lock);
    free(taken);
}

const char *farpage_error(const struct farpage *client)
{
    return client != NULL ? client->reason.text : "out of memory";
}

const struct farpage_server_info *farpage_server(const struct farpage *client)
{
    return &client->server;
}

enum farpage_status client_ask(struct farpage *client, struct op_request *request,
                               const char *what, uint64_t *latency_ns)
{
    request->timeout_ns = client->options.timeout_ns;
    enum farpage_status status = engine_call(&client->engine, request, latency_ns);
    if (client->good) note_server(client);
    if (status != FARPAGE_OK) client_explain(&client->reason, &client->engine, status, what);
    return status;
}
