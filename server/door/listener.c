/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/door/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "protocol/reply.h"

enum { ACCEPTS_PER_EVENT = 64 };

/* To a monitor that comes before there is anybody to look at what it asks. */
#define HTTP_STARTING                                                                              \
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n"      \
    "Connection: close\r\n\r\n[-]started: not yet\nnot good\n"

static const struct timeval pause_when_out_of_descriptors = {0, 100000};

struct listener {
    struct listener_options options; /* its config: the copy below, which a reload leaves alone */
    struct config_listener config;
    int fd;
    struct event *event, *pause;
    char address[CONN_ADDRESS_BYTES];
    char path[CONFIG_SOCKET_BYTES]; /* of a unix socket that we made; else "" */
    bool handed;
};

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static FP_PRINTF(2, 3) enum fp_status fail(char *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, LISTENER_REASON_BYTES, format, arguments);
    va_end(arguments);
    return FP_IO;
}

/* --- accepting -------------------------------------------------------------------------------- */

static void name_peer(int fd, const union any_address *peer, struct arrival *arrival)
{
    char *text = arrival->peer;
    struct ucred who;
    socklen_t size = sizeof who;
    char host[INET6_ADDRSTRLEN] = "";
    if (peer->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &peer->v4.sin_addr, host, sizeof host);
        snprintf(text, CONN_ADDRESS_BYTES, "tcp:%s:%u", host, ntohs(peer->v4.sin_port));
    } else if (peer->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &peer->v6.sin6_addr, host, sizeof host);
        snprintf(text, CONN_ADDRESS_BYTES, "tcp6:[%s]:%u", host, ntohs(peer->v6.sin6_port));
    } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
        snprintf(text, CONN_ADDRESS_BYTES, "unix:pid=%ld,uid=%lu", (long)who.pid,
                 (unsigned long)who.uid);
        arrival->local = true;
        arrival->uid = who.uid;
    } else {
        snprintf(text, CONN_ADDRESS_BYTES, "unix:");
    }
}

static struct worker *least_busy(const struct listener *listener)
{
    struct worker *found = listener->options.workers[0];
    for (uint32_t i = 1; i < listener->options.shared->worker_count; i++) {
        struct worker *worker = listener->options.workers[i];
        if (worker_conn_count(worker) < worker_conn_count(found)) found = worker;
    }
    return found;
}

/* What is no greeting says as much to a client of a block device. */
static void refuse(const struct listener *listener, int fd, const char *line)
{
    char asked[512];
    if (listener->config.protocol != CONFIG_NBD && listener->config.tls == CONFIG_SWITCH_OFF) {
        ssize_t sent = send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent; /* it was a courtesy */
        /* What is not read when it is closed makes TCP cut off the line as well. */
        ssize_t read = recv(fd, asked, sizeof asked, MSG_DONTWAIT);
        (void)read;
    }
    close(fd);
}

/* Why nobody is served; NULL while everybody is, and monitors until the end. */
static const char *shut_because(const struct listener *listener)
{
    const struct shared *shared = listener->options.shared;
    bool monitors = listener->config.protocol == CONFIG_HTTP;
    if (!atomic_load(&shared->started)) return monitors ? HTTP_STARTING : REPLY_STARTING;
    return atomic_load(&shared->stop_deadline_ns) == 0 || monitors ? NULL : REPLY_STOPPING;
}

/* Strangers may take all that there is for them: operators still get in. */
static uint32_t most_connections(const struct listener *listener)
{
    const struct settings *settings = &listener->options.shared->settings;
    const struct config_listener *config = &listener->config;
    bool reserved = config->reserved == CONFIG_RESERVED_ON ||
                    (config->reserved == CONFIG_RESERVED_AUTO &&
                     config->address.kind == CONFIG_UNIX);
    uint32_t most = atomic_load(&settings->max_connections);
    return reserved ? most + atomic_load(&settings->reserved_connections) : most;
}

/* Monitors have a door of their own, and places of their own. */
static void welcome_monitor(struct listener *listener, const struct arrival *arrival)
{
    struct http_arrival monitor = {.fd = arrival->fd,
                                   .tls = arrival->tls,
                                   .login = arrival->login,
                                   .loopback = config_is_local(&listener->config.address)};
    memcpy(monitor.peer, arrival->peer, sizeof monitor.peer);
    http_take_over(listener->options.http, &monitor);
}

static void welcome(struct listener *listener, int fd, const union any_address *peer)
{
    struct shared *shared = listener->options.shared;
    struct arrival arrival = {.fd = fd,
                              .protocol = listener->config.protocol,
                              .tls = listener->config.tls == CONFIG_SWITCH_ON,
                              .login = listener->config.auth == CONFIG_SWITCH_ON};
    int on = 1;
    if (peer->any.sa_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    name_peer(fd, peer, &arrival);
    const char *shut = shut_because(listener);
    if (shut != NULL) {
        refuse(listener, fd, shut);
        return;
    }
    if (listener->config.protocol == CONFIG_HTTP) {
        welcome_monitor(listener, &arrival);
        return;
    }
    snprintf(arrival.listener, sizeof arrival.listener, "%s", listener->address);
    if (!conns_admit(&shared->conns, most_connections(listener))) {
        refuse(listener, fd, REPLY_TOO_MANY_CONNECTIONS);
        return;
    }
    if (worker_take_over(least_busy(listener), &arrival)) return;
    conns_dismiss(&shared->conns);
    refuse(listener, fd, REPLY_TOO_MANY_CONNECTIONS);
}

static void on_pause_over(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct listener *listener = opaque;
    (void)event_add(listener->event, NULL);
}

static void on_accept(evutil_socket_t fd, short what, void *opaque)
{
    (void)what;
    struct listener *listener = opaque;
    struct shared *shared = listener->options.shared;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        union any_address peer = {0};
        socklen_t size = sizeof peer;
        int client = accept4(fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            welcome(listener, client, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            atomic_fetch_add(&shared->listen_pauses, 1);
            log_event(shared->log, LOG_WARN, "accepting pauses: no descriptor or memory for more",
                      log_text("address", listener->address), log_text("error", strerror(errno)));
            event_del(listener->event);
            event_add(listener->pause, &pause_when_out_of_descriptors);
        }
        return;
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Only a refused connection means that nobody listens on the socket file any more: a full backlog
 * or a socket of another type is somebody's. */
static bool unix_socket_alive(const union any_address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return true;
    bool refused = connect(fd, &address->any, sizeof address->local) != 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

static enum fp_status clear_unix_path(const union any_address *address, char *reason)
{
    const char *path = address->local.sun_path;
    struct stat file;
    if (lstat(path, &file) != 0) return FP_OK;
    if (!S_ISSOCK(file.st_mode))
        return fail(reason, "unix:%s: a file that is no socket is there", path);
    if (unix_socket_alive(address))
        return fail(reason, "unix:%s: another server answers there", path);
    if (unlink(path) != 0)
        return fail(reason, "unix:%s: cannot replace the old socket: %s", path, strerror(errno));
    return FP_OK;
}

static socklen_t fill_address(const struct config_address *from, union any_address *to)
{
    memset(to, 0, sizeof *to);
    if (from->kind == CONFIG_UNIX) {
        to->local.sun_family = AF_UNIX;
        memcpy(to->local.sun_path, from->path, sizeof to->local.sun_path);
        to->local.sun_path[sizeof to->local.sun_path - 1] = '\0';
        return sizeof to->local;
    }
    if (from->kind == CONFIG_IPV4) {
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(from->port);
        fp_assert(inet_pton(AF_INET, from->host, &to->v4.sin_addr) == 1);
        return sizeof to->v4;
    }
    to->v6.sin6_family = AF_INET6;
    to->v6.sin6_port = htons(from->port);
    if (from->kind == CONFIG_IPV6)
        fp_assert(inet_pton(AF_INET6, from->host, &to->v6.sin6_addr) == 1);
    else
        to->v6.sin6_addr = in6addr_any; /* and IPv4 with it: IPV6_V6ONLY is off */
    return sizeof to->v6;
}

static enum fp_status bind_reason(const struct config_address *address, int error, char *reason)
{
    char text[CONFIG_ADDRESS_TEXT_BYTES];
    config_address_text(address, text);
    if (error == EADDRINUSE)
        return fail(reason, "%s: in use by another program; choose another port "
                    "(--set listeners=[{address: \"127.0.0.1:0\"}] takes any free one)", text);
    if (error == EACCES || error == EPERM)
        return fail(reason, "%s: no permission; %s", text,
                    address->kind == CONFIG_UNIX ? "choose a directory you may write to"
                                                 : "ports below 1024 need CAP_NET_BIND_SERVICE");
    if (error == EROFS)
        return fail(reason, "%s: the file system is read-only; choose a directory on another",
                    text);
    if (error == ENOENT) return fail(reason, "%s: the directory does not exist", text);
    return fail(reason, "%s: %s", text, strerror(error));
}

/* Binds; the umask makes a unix socket private from its first moment. */
static int bind_private(int fd, const union any_address *address, socklen_t size)
{
    mode_t old = umask(077);
    int result = bind(fd, &address->any, size);
    int error = errno;
    umask(old);
    errno = error;
    return result;
}

static void learn_address(struct listener *listener)
{
    struct config_address address = listener->config.address;
    union any_address bound = {0};
    socklen_t size = sizeof bound;
    if (address.kind != CONFIG_UNIX && getsockname(listener->fd, &bound.any, &size) == 0)
        address.port =
            ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
    char text[CONFIG_ADDRESS_TEXT_BYTES];
    config_address_text(&address, text);
    snprintf(listener->address, sizeof listener->address, "%s", text);
}

/* True: it was handed over. */
static bool take_handed(struct listener *listener)
{
    struct config_address bound;
    listener->fd = handed_take(listener->options.handed, &listener->config.address, &bound);
    if (listener->fd < 0) return false;
    listener->config.address = bound;
    listener->handed = true;
    learn_address(listener);
    return true;
}

static enum fp_status miss_handed(const struct listener *listener, char *reason)
{
    const char *name = listener->config.address.path;
    return fail(reason, "systemd:%s: no such socket was handed over; start the server by a .socket "
                "unit that has FileDescriptorName=%s", name, name);
}

static enum fp_status open_socket(struct listener *listener, char *reason)
{
    const struct config_address *wanted = &listener->config.address;
    if (take_handed(listener)) return FP_OK;
    if (wanted->kind == CONFIG_HANDED) return miss_handed(listener, reason);
    union any_address address;
    socklen_t size = fill_address(wanted, &address);
    int on = 1, off = 0;
    if (wanted->kind == CONFIG_UNIX && clear_unix_path(&address, reason) != FP_OK) return FP_IO;
    listener->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 && wanted->kind == CONFIG_ANY) { /* a kernel without IPv6 */
        address = (union any_address){
            .v4 = {.sin_family = AF_INET, .sin_port = htons(wanted->port)}};
        size = sizeof address.v4;
        listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    if (listener->fd < 0) return bind_reason(wanted, errno, reason);
    if (wanted->kind != CONFIG_UNIX)
        (void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.any.sa_family == AF_INET6)
        (void)setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY,
                         wanted->kind == CONFIG_ANY ? &off : &on, sizeof on);
    if (bind_private(listener->fd, &address, size) != 0) return bind_reason(wanted, errno, reason);
    if (wanted->kind == CONFIG_UNIX)
        snprintf(listener->path, sizeof listener->path, "%s", wanted->path);
    if (listen(listener->fd, SETTINGS_LISTEN_BACKLOG) != 0)
        return bind_reason(wanted, errno, reason);
    learn_address(listener);
    return FP_OK;
}

enum fp_status listener_open(const struct listener_options *options, struct listener **out,
                             char reason[LISTENER_REASON_BYTES])
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) return fail(reason, "out of memory");
    listener->options = *options;
    listener->config = *options->config;
    listener->options.config = &listener->config;
    listener->fd = -1;
    enum fp_status status = open_socket(listener, reason);
    if (status == FP_OK) {
        listener->event = event_new(options->base, listener->fd, EV_READ | EV_PERSIST, on_accept,
                                    listener);
        listener->pause = event_new(options->base, -1, 0, on_pause_over, listener);
        if (listener->event == NULL || listener->pause == NULL ||
            (listener_tells(listener) && event_add(listener->event, NULL) != 0))
            status = fail(reason, "out of memory");
    }
    if (status != FP_OK) listener_close(&listener);
    else *out = listener;
    return status;
}

enum fp_status listener_serve(struct listener *listener)
{
    return event_add(listener->event, NULL) == 0 ? FP_OK : FP_NO_MEMORY;
}

void listener_close(struct listener **listener_ptr)
{
    struct listener *listener = *listener_ptr;
    if (listener == NULL) return;
    if (listener->event != NULL) event_free(listener->event);
    if (listener->pause != NULL) event_free(listener->pause);
    /* The name goes first: a successor may take it as soon as we no longer answer. */
    if (listener->path[0] != '\0') (void)unlink(listener->path);
    if (listener->fd >= 0) close(listener->fd);
    free(listener);
    *listener_ptr = NULL;
}

bool listener_tells(const struct listener *listener)
{
    const struct config_listener *config = &listener->config;
    return !listener->handed && config->protocol != CONFIG_NBD && config->tls == CONFIG_SWITCH_OFF;
}

const struct config_listener *listener_config(const struct listener *listener)
{
    return &listener->config;
}

const char *listener_address(const struct listener *listener)
{
    return listener->address;
}
