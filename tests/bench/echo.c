/* SPDX-License-Identifier: BSD-3-Clause
 * echo - the floor: a server that reads requests and answers them with as many bytes as they ask
 * for, and does nothing else. It looks at no byte but the sizes, keeps nothing, and sends from one
 * piece of memory that stays in the processor's cache. What it costs is sockets and one epoll loop:
 * no event library, no buffers of its own, no timers.
 *
 *     echo 127.0.0.1:PORT | unix:/PATH
 *
 * A turn is what a server of any kind must do: wait, take what has come, send what is due. */
#include "tests/bench/echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EVENTS = 16, INPUT_BYTES = 64 << 10, OUTPUT_BYTES = 256 << 10 };

struct peer {
    int fd;
    uint8_t head[sizeof(struct echo_head)]; /* of the request that is coming in */
    uint32_t head_bytes;
    uint32_t left_bytes;  /* of it, behind its head */
    uint32_t reply_bytes; /* due when it is complete */
    uint64_t due_bytes;   /* of those that are */
    bool waits_to_write;
};

static uint8_t input[INPUT_BYTES], output[OUTPUT_BYTES];

static void answer_stats(struct peer *peer)
{
    char text[64];
    int size = snprintf(text, sizeof text, "STAT pid %ld\r\nEND\r\n", (long)getpid());
    (void)!send(peer->fd, text, (size_t)size, MSG_NOSIGNAL);
}

/* False: it asks for nonsense; then the connection ends. */
static bool begin_request(struct peer *peer)
{
    struct echo_head head;
    memcpy(&head, peer->head, sizeof head);
    if (head.request_bytes < sizeof head || head.request_bytes > ECHO_REQUEST_BYTES_MAX)
        return false;
    peer->left_bytes = head.request_bytes - (uint32_t)sizeof head;
    peer->reply_bytes = head.reply_bytes;
    return true;
}

static bool take(struct peer *peer, size_t got)
{
    for (size_t at = 0; at < got || (peer->head_bytes == sizeof peer->head && !peer->left_bytes);) {
        if (peer->head_bytes < sizeof peer->head) {
            peer->head[peer->head_bytes++] = input[at++];
            if (peer->head_bytes == sizeof peer->head && !begin_request(peer)) return false;
            continue;
        }
        uint32_t now = got - at < peer->left_bytes ? (uint32_t)(got - at) : peer->left_bytes;
        at += now;
        peer->left_bytes -= now;
        if (peer->left_bytes > 0) break;
        peer->due_bytes += peer->reply_bytes;
        peer->head_bytes = 0;
    }
    return true;
}

static bool give(struct peer *peer, int epoll)
{
    while (peer->due_bytes > 0) {
        size_t now = peer->due_bytes < sizeof output ? (size_t)peer->due_bytes : sizeof output;
        ssize_t sent = send(peer->fd, output, now, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent < 0) break;
        peer->due_bytes -= (size_t)sent;
    }
    bool wait = peer->due_bytes > 0;
    struct epoll_event event = {.events = wait ? EPOLLOUT : EPOLLIN, .data.ptr = peer};
    if (wait != peer->waits_to_write) epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
    peer->waits_to_write = wait;
    return true;
}

static void serve(struct peer *peer, int epoll, uint32_t events)
{
    bool good = true;
    if ((events & ~(uint32_t)EPOLLOUT) != 0) {
        ssize_t got = recv(peer->fd, input, sizeof input, 0);
        bool stats = peer->head_bytes == 0 && got >= 4 && memcmp(input, "stat", 4) == 0;
        if (stats) answer_stats(peer);
        good = got > 0 && !stats && take(peer, (size_t)got);
    }
    if (good && give(peer, epoll)) return;
    close(peer->fd);
    free(peer);
}

static void admit(int listener, int epoll)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) return;
    peer->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    (void)setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (peer->fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, peer->fd, &event) == 0) return;
    if (peer->fd >= 0) close(peer->fd);
    free(peer);
}

static int listen_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                listen(fd, EVENTS) == 0;
    return good ? fd : -1;
}

static int listen_tcp(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                listen(fd, EVENTS) == 0;
    return good ? fd : -1;
}

/* Ended by SIGTERM, as asked: with 0. */
static void on_term(int number)
{
    (void)number;
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *address = argc == 2 ? argv[1] : "";
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    const char *port = strchr(address, ':');
    int listener = port == NULL ? -1 : is_unix ? listen_unix(port + 1) : listen_tcp(port + 1);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    signal(SIGTERM, on_term);
    if (listener < 0 || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) {
        fprintf(stderr, "echo: %s: %s\n", address, strerror(errno));
        return 1;
    }
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == NULL) admit(listener, epoll);
            else serve(events[i].data.ptr, epoll, events[i].events);
    }
}
