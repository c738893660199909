/* SPDX-License-Identifier: BSD-3-Clause
 * client - what the files behind farpage.h share.
 *
 * A client is a peer, the door to it, a connection for its own calls, and a list of areas, each
 * with a connection and an engine of its own. Peer, door and options never change once
 * farpage_connect returned, so that areas read them on any thread; the list has a lock, which
 * nothing waits under.
 */
#ifndef FARPAGE_CLIENT_CLIENT_H
#define FARPAGE_CLIENT_CLIENT_H
#include <pthread.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/engine.h"
#include "client/include/farpage.h"
#include "client/list.h"
#include "client/opening.h"
#include "client/reason.h"

struct farpage_area {
    struct farpage *client;
    struct list place; /* among the client's areas */
    struct opening opening;
    struct packer packer;
    struct engine engine;
    struct reason reason; /* why the last failed operation failed */
    uint64_t timeout_ns;
    bool deleted;
    bool closing; /* from within a callback: when that one has returned */
};

struct farpage {
    struct peer peer;
    struct door door;
    struct engine_options options; /* of its connections */
    bool good;                     /* the first connection was made */
    struct engine engine;
    struct farpage_server_info server;
    uint64_t pings;
    struct reason reason; /* why the last failed call failed */
    pthread_mutex_t lock;
    struct list areas; /* struct farpage_area, by place; under the lock */
};

/* The sentence for a failed call: `what` it was ("opening area 'swap'"), and why, unless that says
 * it all. */
void client_explain(struct reason *reason, const struct engine *engine, enum farpage_status status,
                    const char *what) FP_NONNULL(1, 2, 4);

/* One request on the client's own connection, awaited; on failure the reason is set. Any done and
 * context are replaced. */
enum farpage_status client_ask(struct farpage *client, struct op_request *request,
                               const char *what, uint64_t *latency_ns) FP_MUST_CHECK
    FP_NONNULL(1, 2, 3);

/* Takes a request's part of a page operation; FARPAGE_INVALID or FARPAGE_RANGE, with a reason: it
 * is not worth sending. Of an invalidation of nothing the opcode is 0: it is done. */
enum farpage_status page_request(const struct farpage_area *area,
                                 const struct farpage_request *wish, struct op_request *request,
                                 struct reason *reason) FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* The same for an operation on a map; FARPAGE_NO_MAP: it was never mapped. */
enum farpage_status map_request(struct farpage_area *area, const struct farpage_request *wish,
                                struct op_request *request, struct reason *reason)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* Frees an area that is in no list any more. */
void area_destroy(struct farpage_area *area) FP_NONNULL(1);

#endif
