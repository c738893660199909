/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/transport.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

/* Milliseconds left, rounded up so that a wait never ends before its deadline. */
static int left_ms(uint64_t deadline_ns)
{
    uint64_t now = clock_monotonic_ns();
    if (now >= deadline_ns) return 0;
    uint64_t ms = (deadline_ns - now + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* revents, 0 at the deadline, or a negative errno. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
    for (;;) {
        struct pollfd entry = {.fd = fd, .events = events};
        int timeout = left_ms(deadline_ns);
        int ready = poll(&entry, 1, timeout);
        if (ready > 0) return entry.revents;
        if (ready < 0 && errno != EINTR) return -errno;
        if (ready == 0 && timeout < INT_MAX) return 0;
    }
}

/* Finishes a connect that is under way; 0 or an errno. */
static int await_connect(int fd, uint64_t deadline_ns)
{
    int ready = wait_for(fd, POLLOUT, deadline_ns);
    if (ready == 0) return ETIMEDOUT;
    if (ready < 0) return -ready;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
}

/* 0 or an errno. */
static int connect_fd(int fd, const struct sockaddr *to, socklen_t size, uint64_t deadline_ns)
{
    for (;;) {
        if (connect(fd, to, size) == 0 || errno == EISCONN) return 0;
        /* An interrupted connect goes on by itself, like one that never waited. */
        if (errno == EINPROGRESS || errno == EINTR) return await_connect(fd, deadline_ns);
        /* A unix listener with a full queue: poll cannot tell when it has room again. */
        if (errno != EAGAIN || to->sa_family != AF_UNIX) return errno;
        if (left_ms(deadline_ns) == 0) return ETIMEDOUT;
        (void)poll(NULL, 0, 5);
    }
}

/* Opens and connects one socket; 0 with the fd in *fd, or an errno. */
static int open_and_connect(const struct sockaddr *to, socklen_t size, uint64_t deadline_ns,
                            int *fd)
{
    int made = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0) return errno;
    int error = connect_fd(made, to, size, deadline_ns);
    if (error != 0) {
        close(made);
        return error;
    }
    *fd = made;
    return 0;
}

static enum farpage_status connect_unix(struct transport *transport, const struct address *address,
                                        uint64_t deadline_ns, struct reason *reason)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    _Static_assert(sizeof to.sun_path > ADDRESS_PATH_BYTES_MAX, "a parsed path always fits");
    memcpy(to.sun_path, address->path, strlen(address->path));
    int error =
        open_and_connect((const struct sockaddr *)&to, sizeof to, deadline_ns, &transport->fd);
    if (error == 0) return FARPAGE_OK;
    reason_set_errno(reason, error, "cannot connect to unix:%.90s", address->path);
    return FARPAGE_UNREACHABLE;
}

/* Each address gets its share of the time left, so that a first one that never answers does not
 * use up what the others need. */
static int connect_first_of(const struct addrinfo *list, uint64_t deadline_ns, int *fd)
{
    unsigned left = 0;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) left++;
    int error = EADDRNOTAVAIL;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next, left--) {
        uint64_t now = clock_monotonic_ns();
        uint64_t share = now >= deadline_ns ? 0 : (deadline_ns - now) / left;
        error = open_and_connect(at->ai_addr, at->ai_addrlen, now + share, fd);
        if (error == 0) return 0;
    }
    return error;
}

static enum farpage_status connect_tcp(struct transport *transport, const struct address *address,
                                       uint64_t deadline_ns, struct reason *reason)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    hints.ai_flags = AI_NUMERICSERV;
    struct addrinfo *list = NULL;
    int failure = getaddrinfo(address->host, address->port, &hints, &list);
    if (failure == EAI_MEMORY) {
        reason_set(reason, "out of memory while looking up '%.90s'", address->host);
        return FARPAGE_NO_MEMORY;
    }
    if (failure != 0) {
        reason_set(reason, "cannot look up host '%.90s': %s", address->host, gai_strerror(failure));
        return FARPAGE_UNREACHABLE;
    }
    int error = connect_first_of(list, deadline_ns, &transport->fd);
    freeaddrinfo(list);
    if (error != 0) {
        reason_set_errno(reason, error, "cannot connect to %.90s port %s", address->host,
                         address->port);
        return FARPAGE_UNREACHABLE;
    }
    int on = 1; /* without it small requests wait for acknowledgements; slow, but not wrong */
    (void)setsockopt(transport->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return FARPAGE_OK;
}

enum farpage_status transport_connect(struct transport *transport, const struct address *address,
                                      uint64_t deadline_ns, struct reason *reason)
{
    transport->fd = -1;
    return address->is_unix ? connect_unix(transport, address, deadline_ns, reason)
                            : connect_tcp(transport, address, deadline_ns, reason);
}

void transport_close(struct transport *transport)
{
    if (transport->fd >= 0) close(transport->fd);
    transport->fd = -1;
}

ssize_t transport_send(struct transport *transport, struct iovec *parts, size_t part_count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = part_count};
    for (;;) {
        ssize_t sent = sendmsg(transport->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) return sent;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
        if (errno != EINTR) return -errno;
    }
}

ssize_t transport_receive(struct transport *transport, void *into, size_t room)
{
    for (;;) {
        ssize_t got = recv(transport->fd, into, room, MSG_DONTWAIT);
        if (got >= 0) return got;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return -EAGAIN;
        if (errno != EINTR) return -errno;
    }
}

int transport_wait(struct transport *transport, bool also_send, uint64_t deadline_ns)
{
    return wait_for(transport->fd, also_send ? POLLIN | POLLOUT : POLLIN, deadline_ns);
}
