/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/transport.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static int dial(struct transport *transport, const struct peer *peer)
{
    transport->fd = peer->dial(peer->dial_context);
    return transport->fd >= 0 ? 0 : ECONNREFUSED;
}

int transport_start(struct transport *transport, const struct peer *peer, unsigned address)
{
    *transport = (struct transport){.fd = -1};
    if (peer->dial != NULL) return dial(transport, peer);
    const struct peer_address *to = &peer->addresses[address];
    int fd = socket(to->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno == EAGAIN ? ENOBUFS : errno;
    int error = 0;
    if (connect(fd, (const struct sockaddr *)&to->at, to->size_bytes) != 0) error = errno;
    if (error == EINTR) error = EINPROGRESS; /* it goes on by itself */
    if (error == EAGAIN && to->at.ss_family != AF_UNIX) error = EADDRNOTAVAIL; /* no port left */
    if (error != 0 && error != EINPROGRESS) {
        close(fd);
        return error;
    }
    int on = 1; /* without it small requests wait for acknowledgements; slow, but not wrong */
    if (to->at.ss_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    transport->fd = fd;
    return error;
}

int transport_finish(struct transport *transport)
{
    struct pollfd entry = {.fd = transport->fd, .events = POLLOUT};
    if (poll(&entry, 1, 0) <= 0) return EINPROGRESS;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(transport->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) transport_close(transport);
    return error;
}

void transport_close(struct transport *transport)
{
    tls_close(&transport->tls);
    if (transport->fd >= 0) close(transport->fd);
    transport->fd = -1;
}

bool transport_secure(struct transport *transport, const struct tls_context *context,
                      const char *host)
{
    transport->tls = tls_open(context, transport->fd);
    return transport->tls != NULL &&
           (host[0] == '\0' || tls_expect_host(transport->tls, host) == FP_OK);
}

int transport_handshake(struct transport *transport)
{
    switch (tls_handshake(transport->tls)) {
    case TLS_DONE:
        return 0;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return EINPROGRESS;
    case TLS_FAILED:
    default:
        return tls_was_cut(transport->tls) ? ECONNRESET : EPROTO;
    }
}

const char *transport_reason(const struct transport *transport)
{
    return transport->tls != NULL ? tls_reason(transport->tls) : "";
}

bool transport_wants_write(const struct transport *transport)
{
    return transport->tls != NULL && tls_wants_write(transport->tls);
}

bool transport_has_more(const struct transport *transport)
{
    return transport->tls != NULL && tls_has_more(transport->tls);
}

/* What tls_read and tls_write answered, as the callers here want it. */
static ssize_t or_errno(long moved)
{
    return moved >= 0 ? moved : errno == EAGAIN ? -EAGAIN : -EPROTO;
}

ssize_t transport_send(struct transport *transport, const void *bytes, size_t size_bytes)
{
    if (transport->tls != NULL) {
        ssize_t sent = or_errno(tls_write(transport->tls, bytes, size_bytes));
        return sent == -EAGAIN ? 0 : sent;
    }
    for (;;) {
        ssize_t sent = send(transport->fd, bytes, size_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) return sent;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
        if (errno != EINTR) return -errno;
    }
}

ssize_t transport_receive(struct transport *transport, void *into, size_t room)
{
    if (transport->tls != NULL) return or_errno(tls_read(transport->tls, into, room));
    for (;;) {
        ssize_t got = recv(transport->fd, into, room, MSG_DONTWAIT);
        if (got >= 0) return got;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return -EAGAIN;
        if (errno != EINTR) return -errno;
    }
}

/* Milliseconds left, rounded up so that a wait never ends before its time. */
static int left_ms(uint64_t until_ns)
{
    uint64_t now = clock_monotonic_ns();
    if (now >= until_ns) return 0;
    uint64_t ms = (until_ns - now - 1) / 1000000 + 1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int transport_wait(int fd, int events, uint64_t until_ns)
{
    for (;;) {
        struct pollfd entry = {.fd = fd, .events = (short)events};
        int timeout = left_ms(until_ns);
        int ready = poll(&entry, 1, timeout);
        if (ready > 0) return entry.revents;
        if (ready < 0 && errno != EINTR) return -errno;
        if (ready == 0 && timeout < INT_MAX) return 0;
    }
}
