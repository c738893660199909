/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/door/handed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#if FARPAGE_SYSTEMD
#include <systemd/sd-daemon.h>
#else
#include "base/number.h"
#endif

union bound {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static bool learn_v6(const struct sockaddr_in6 *v6, int fd, struct config_address *address)
{
    int only = 1;
    socklen_t size = sizeof only;
    (void)getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size);
    address->port = ntohs(v6->sin6_port);
    address->kind = CONFIG_IPV6;
    if (!only && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) {
        address->kind = CONFIG_ANY;
        memcpy(address->host, "*", 2);
        return true;
    }
    return inet_ntop(AF_INET6, &v6->sin6_addr, address->host, sizeof address->host) != NULL;
}

/* Where it is bound, as a configuration would have it. */
static bool learn_address(int fd, struct config_address *address)
{
    union bound bound = {0};
    socklen_t size = sizeof bound;
    *address = (struct config_address){.kind = CONFIG_UNIX};
    if (getsockname(fd, &bound.any, &size) != 0) return false;
    if (bound.any.sa_family == AF_INET6) return learn_v6(&bound.v6, fd, address);
    if (bound.any.sa_family == AF_INET) {
        address->kind = CONFIG_IPV4;
        address->port = ntohs(bound.v4.sin_port);
        return inet_ntop(AF_INET, &bound.v4.sin_addr, address->host, sizeof address->host) != NULL;
    }
    if (bound.any.sa_family != AF_UNIX) return false;
    snprintf(address->path, sizeof address->path, "%.*s", (int)sizeof bound.local.sun_path,
             bound.local.sun_path);
    return true;
}

static bool listens_for_streams(int fd)
{
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

static bool keep(struct handed *handed, int fd, const char *name)
{
    struct handed_socket *socket = &handed->sockets[handed->count];
    int flags = fcntl(fd, F_GETFL);
    *socket = (struct handed_socket){.fd = fd};
    snprintf(socket->name, sizeof socket->name, "%s", name);
    handed->count++;
    return listens_for_streams(fd) && learn_address(fd, &socket->address) && flags >= 0 &&
           fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

#if FARPAGE_SYSTEMD
enum fp_status handed_collect(struct handed *handed, char reason[HANDED_REASON_BYTES])
{
    char **names = NULL;
    handed->count = 0;
    int count = sd_listen_fds_with_names(1, &names), used = 0;
    bool good = count >= 0 && count <= HANDED_MAX;
    if (count < 0)
        snprintf(reason, HANDED_REASON_BYTES, "LISTEN_FDS: %s", strerror(-count));
    else if (!good)
        snprintf(reason, HANDED_REASON_BYTES, "LISTEN_FDS: %d sockets; at most %d are taken over",
                 count, HANDED_MAX);
    for (; good && used < count; used++) {
        good = keep(handed, SD_LISTEN_FDS_START + used, names != NULL ? names[used] : "");
        if (!good)
            snprintf(reason, HANDED_REASON_BYTES,
                     "descriptor %d is no listening stream socket: .socket units of farpaged have "
                     "ListenStream= and Accept=no", SD_LISTEN_FDS_START + used);
    }
    for (int i = 0; names != NULL && names[i] != NULL; i++) free(names[i]);
    free((void *)names);
    if (good) return FP_OK;
    handed_close(handed);
    return FP_IO;
}
#else
enum fp_status handed_collect(struct handed *handed, char reason[HANDED_REASON_BYTES])
{
    const char *whose = getenv("LISTEN_PID");
    uint64_t pid;
    handed->count = 0;
    (void)keep;
    if (whose == NULL || !number_wire_u64(slice_text(whose), &pid) || pid != (uint64_t)getpid())
        return FP_OK;
    snprintf(reason, HANDED_REASON_BYTES,
             "this farpaged was built without libsystemd and takes no sockets over: disable its "
             ".socket unit, or build it with -DFARPAGE_SYSTEMD=ON");
    return FP_IO;
}
#endif

static bool is_at(const struct config_address *a, const struct config_address *b)
{
    return a->kind == b->kind && a->port == b->port && strcmp(a->host, b->host) == 0 &&
           strcmp(a->path, b->path) == 0;
}

int handed_take(struct handed *handed, const struct config_address *wanted,
                struct config_address *bound)
{
    for (uint32_t i = 0; i < handed->count; i++) {
        struct handed_socket *socket = &handed->sockets[i];
        bool fits = wanted->kind == CONFIG_HANDED ? strcmp(socket->name, wanted->path) == 0
                                                  : is_at(&socket->address, wanted);
        if (socket->fd < 0 || !fits) continue;
        int fd = socket->fd;
        *bound = socket->address;
        socket->fd = -1;
        return fd;
    }
    return -1;
}

const struct handed_socket *handed_left(const struct handed *handed)
{
    for (uint32_t i = 0; i < handed->count; i++)
        if (handed->sockets[i].fd >= 0) return &handed->sockets[i];
    return NULL;
}

void handed_close(struct handed *handed)
{
    for (uint32_t i = 0; i < handed->count; i++)
        if (handed->sockets[i].fd >= 0) close(handed->sockets[i].fd);
    handed->count = 0;
}
