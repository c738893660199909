/* SPDX-License-Identifier: BSD-3-Clause
 * transport - bytes to and from one server, through a socket that never blocks.
 *
 *   none --start()--> on its way --finish()--> connected [ --secure()--> --handshake()--> ]
 *        --close()--> none
 *
 * Waiting is the caller's: transport_wait for those who have nothing else to wait for. No call
 * raises SIGPIPE. */
#ifndef FARPAGE_CLIENT_TRANSPORT_H
#define FARPAGE_CLIENT_TRANSPORT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attrs.h"
#include "client/peer.h"
#include "tls/tls.h"

struct transport {
    int fd;          /* -1: none */
    struct tls *tls; /* NULL: in the clear */
};

/* 0: connected. EINPROGRESS: transport_finish says more once the socket can be written to. EAGAIN:
 * a unix listener's queue is full, which poll cannot tell the end of: try again in a moment. Else
 * an errno. Without a socket but for the first two. */
int transport_start(struct transport *transport, const struct peer *peer, unsigned address)
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* 0: connected. EINPROGRESS: not yet. Else an errno, and no socket. */
int transport_finish(struct transport *transport) FP_MUST_CHECK FP_NONNULL(1);
void transport_close(struct transport *transport) FP_NONNULL(1);

/* From here on in TLS, to who has a certificate for `host` ("": for any). False: no memory. */
bool transport_secure(struct transport *transport, const struct tls_context *context,
                      const char *host) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* 0: done. EINPROGRESS: not yet. ECONNRESET: the other side is gone. EPROTO: it is not to be
 * spoken with; transport_reason says why. */
int transport_handshake(struct transport *transport) FP_MUST_CHECK FP_NONNULL(1);
/* Why TLS failed; "" where it did not. Good until the next call. */
const char *transport_reason(const struct transport *transport) FP_NONNULL(1);
/* The next call is due when the socket can be written to, though nothing waits to be sent. */
bool transport_wants_write(const struct transport *transport) FP_NONNULL(1);
/* There is more to receive although the socket may be silent. */
bool transport_has_more(const struct transport *transport) FP_NONNULL(1);

/* How many bytes went; 0 where there is no room now; a negative errno where none will go again. */
ssize_t transport_send(struct transport *transport, const void *bytes, size_t size_bytes)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* How many bytes came (>= 1); -EAGAIN where there are none now; 0 where the other side closed;
 * another negative errno where the connection broke. */
ssize_t transport_receive(struct transport *transport, void *into, size_t room) FP_MUST_CHECK
    FP_NONNULL(1, 2);

/* Until one of `events` (those of poll) is there, or `until_ns` (clock_monotonic_ns) is over. The
 * events that are; 0 at the end of the wait; a negative errno. An fd of -1 only waits. */
int transport_wait(int fd, int events, uint64_t until_ns) FP_MUST_CHECK;

#endif
