/* SPDX-License-Identifier: BSD-3-Clause
 * handed - the listening sockets that were opened by whoever started the server: systemd's socket
 * activation (LISTEN_FDS, LISTEN_FDNAMES).
 *
 * A listener whose address is systemd:NAME takes the next socket of that name; any other takes the
 * one that is bound where it would bind itself, so that one configuration serves with the socket
 * unit and without.
 *
 * Threads: the main one, before others start.
 */
#ifndef FARPAGE_SERVER_HANDED_H
#define FARPAGE_SERVER_HANDED_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/status.h"
#include "server/config/config_address.h"

enum { HANDED_MAX = 64, HANDED_REASON_BYTES = 192 };

struct handed_socket {
    int fd; /* -1: taken */
    char name[CONFIG_SOCKET_BYTES];
    struct config_address address; /* where it is bound */
};

struct handed {
    uint32_t count;
    struct handed_socket sockets[HANDED_MAX];
};

/* Collects them, and takes them out of the environment. FP_IO: what was handed over cannot be used,
 * and *reason says why; none is kept. */
enum fp_status handed_collect(struct handed *handed, char reason[HANDED_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1);

/* The socket of that listener, which is the caller's from now on, and *bound, where it is bound; -1
 * where none was handed over for it. */
int handed_take(struct handed *handed, const struct config_address *wanted,
                struct config_address *bound) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* One that nobody took, or NULL. */
const struct handed_socket *handed_left(const struct handed *handed) FP_NONNULL(1);
void handed_close(struct handed *handed) FP_NONNULL(1); /* those that nobody took */

#endif
