/* SPDX-License-Identifier: BSD-3-Clause
 * client - what the files behind farpage.h share about one connection.
 *
 * The life of a connection: farpage_connect makes it (1) connecting, then by the hello (2) open;
 * client_fail makes it (3) closed, for good: the socket is gone and `closed_because` has the status
 * that every later call answers. farpage_disconnect frees it from any of the three.
 */
#ifndef FARPAGE_CLIENT_CLIENT_H
#define FARPAGE_CLIENT_CLIENT_H
#include <stdint.h>

#include "base/attrs.h"
#include "client/exchange.h"
#include "client/include/farpage.h"
#include "client/reason.h"
#include "client/transport.h"

struct farpage_area {
    struct farpage *client;
    struct farpage_area *next; /* the client's other areas */
    uint32_t number;           /* the server's, on this connection */
    uint64_t slots;
    uint64_t generation;
    char *name;
};

struct farpage {
    struct transport transport;
    struct exchange exchange;
    struct farpage_server_info server;
    struct farpage_area *areas; /* owned */
    uint64_t timeout_ns;
    uint64_t pings;
    enum farpage_status closed_because; /* FARPAGE_OK while open */
    struct reason reason;               /* why the last failed call failed */
};

/* Closes the connection because of `status`, whose reason the caller has set; returns it. */
enum farpage_status client_fail(struct farpage *client, enum farpage_status status) FP_NONNULL(1);

/* FARPAGE_OK where the connection is open; else FARPAGE_DISCONNECTED, with a reason. */
enum farpage_status client_check_open(struct farpage *client) FP_MUST_CHECK FP_NONNULL(1);

/* What the client answers for a status of the wire. */
enum farpage_status client_status_of_wire(uint16_t wire);

/* A sentence for a status of the wire, for `reason`. */
const char *client_sentence_of_wire(uint16_t wire);

/* One request, awaited. FARPAGE_OK only where the reply is FRAME_OK; `answered` (may be NULL) gets
 * its body then. Sets the reason otherwise: `what` begins it, "opening area 'swap'". */
struct single {
    struct call call;
    const char *what;
    bool (*answered)(void *context, const struct answer *answer); /* false: nonsense */
    void *context;
};
enum farpage_status client_ask(struct farpage *client, const struct single *single) FP_MUST_CHECK
    FP_NONNULL(1, 2);

#endif
