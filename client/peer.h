/* SPDX-License-Identifier: BSD-3-Clause
 * peer - where the server is, as sockets want it: looked up once, then never changed, so that every
 * connection of a client may read it on any thread. */
#ifndef FARPAGE_CLIENT_PEER_H
#define FARPAGE_CLIENT_PEER_H
#include <sys/socket.h>

#include "base/attrs.h"
#include "client/address.h"
#include "client/include/farpage.h"
#include "client/reason.h"

enum { PEER_ADDRESSES_MAX = 8, PEER_TEXT_BYTES = 128 };

struct peer {
    unsigned count; /* of addresses: 1 or more once it was looked up */
    struct peer_address {
        socklen_t size_bytes;
        struct sockaddr_storage at;
    } addresses[PEER_ADDRESSES_MAX];
    char host[ADDRESS_HOST_BYTES_MAX + 1]; /* as it was given; "" of a unix socket */
    char text[PEER_TEXT_BYTES]; /* "127.0.0.1 port 11211", for sentences */
    /* Where this is not NULL, its sockets are used instead, connected and not blocking: a negative
     * one is a connection that failed. So a test is a server without an address. */
    int (*dial)(void *context);
    void *dial_context;
};

/* FARPAGE_INVALID: `text` is no address. FARPAGE_UNREACHABLE, FARPAGE_NO_MEMORY: looking it up
 * failed. Each with a reason. Blocks: for a host's name, in the system's resolver, as long as that
 * takes; never for numbers or a unix socket. */
enum farpage_status peer_resolve(struct peer *peer, const char *text, struct reason *reason)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* The same without blocking: a host's name is no address. */
enum farpage_status peer_resolve_numbers(struct peer *peer, const char *text,
                                         struct reason *reason) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

#endif
