/* SPDX-License-Identifier: BSD-3-Clause
 * transport - bytes to and from one server, through a socket that never blocks by itself.
 *
 * Waiting is done in transport_wait alone, for both directions at once and up to a deadline, so
 * that two sides with full buffers cannot wait for each other. Deadlines are clock_monotonic_ns.
 * No call raises SIGPIPE.
 */
#ifndef FARPAGE_CLIENT_TRANSPORT_H
#define FARPAGE_CLIENT_TRANSPORT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/attrs.h"
#include "client/address.h"
#include "client/include/farpage.h"
#include "client/reason.h"

struct transport {
    int fd; /* -1: none */
};

/* FARPAGE_OK, or FARPAGE_UNREACHABLE or FARPAGE_NO_MEMORY with a reason and no fd. A host name is
 * looked up by the system's resolver, which has timeouts of its own and does not see `deadline`. */
enum farpage_status transport_connect(struct transport *transport, const struct address *address,
                                      uint64_t deadline_ns, struct reason *reason) FP_MUST_CHECK
    FP_NONNULL(1, 2, 4);
void transport_close(struct transport *transport) FP_NONNULL(1);

/* How many bytes went; 0 where there is no room now; a negative errno where none will go again. */
ssize_t transport_send(struct transport *transport, struct iovec *parts,
                       size_t part_count) FP_MUST_CHECK FP_NONNULL(1, 2);

/* How many bytes came (>= 1); -EAGAIN where there are none now; 0 where the other side closed;
 * another negative errno where the connection broke. */
ssize_t transport_receive(struct transport *transport, void *into, size_t room) FP_MUST_CHECK
    FP_NONNULL(1, 2);

/* Until bytes can be received, or sent where that is asked, or the deadline is over: POLLIN and
 * POLLOUT as they are, 0 at the deadline, a negative errno where waiting failed. */
int transport_wait(struct transport *transport, bool also_send, uint64_t deadline_ns) FP_MUST_CHECK
    FP_NONNULL(1);

#endif
