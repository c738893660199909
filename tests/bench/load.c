/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "tests/bench/draw.h"
#include "tests/bench/load_wire.h"
#include "tests/bench/target.h"

enum { EVENTS = 64, IN_BYTES_MIN = 64 << 10, SILENCE_SECONDS = 10, EACH_OF_A_SECOND = 1000000000 };

struct request { /* on the way */
    bool is_get;
    uint32_t key, version; /* get: the oldest that may come back; set: the one it brings */
    uint64_t sent_ns;
};

struct peer { /* one connection */
    int fd;
    bool waits_to_write;
    struct request *requests; /* a ring of `depth` */
    uint32_t first, count;
    uint8_t *out, *in;
    size_t out_start, out_end, in_start, in_end;
};

struct held { /* what a key holds, as far as a client can know */
    uint32_t acknowledged, sent;
    bool busy; /* a set of it is on the way */
};

struct load {
    struct load_options options;
    struct draw draw;
    struct held *held; /* per key */
    struct peer *peers;
    size_t in_bytes, out_bytes;
    int epoll;
    /* of the phase that runs */
    struct load_phase phase;
    struct load_result *result;
    uint64_t issued;
    uint64_t stop_ns; /* send nothing after this */
    bool broken;
};

static void fail(struct load *load, const char *what)
{
    if (!load->broken) fprintf(stderr, "bench: %s: %s\n", load->options.address, what);
    load->broken = true;
}

/* --- sending ---------------------------------------------------------------------------------- */

static void issue_set(struct load *load, struct peer *peer, struct request *request)
{
    while (load->held[request->key].busy)
        request->key = request->key + 1 == load->options.keys ? 0 : request->key + 1;
    struct held *held = &load->held[request->key];
    held->busy = true;
    request->version = ++held->sent;
    uint32_t page = pageset_index(load->options.pages, request->key, request->version);
    struct slice value =
        slice_of(pageset_page(load->options.pages, page), load->options.pages->value_bytes);
    peer->out_end += wire_set(peer->out + peer->out_end, request->key, value);
}

static void issue(struct load *load, struct peer *peer, uint64_t now_ns)
{
    uint32_t place = (peer->first + peer->count++) % load->options.depth;
    struct request *request = &peer->requests[place];
    bool once = load->phase.each_key_once;
    request->key = (uint32_t)(once ? load->issued : draw_key(&load->draw));
    request->is_get = draw_below(&load->draw, 100) < load->phase.get_percent;
    request->sent_ns = now_ns;
    load->issued++;
    if (!request->is_get) {
        issue_set(load, peer, request);
        return;
    }
    request->version = load->held[request->key].acknowledged;
    peer->out_end += wire_get(peer->out + peer->out_end, request->key);
}

static void watch(struct load *load, struct peer *peer, bool to_write)
{
    struct epoll_event event = {.events = EPOLLIN | (to_write ? EPOLLOUT : 0u), .data.ptr = peer};
    if (peer->waits_to_write != to_write) epoll_ctl(load->epoll, EPOLL_CTL_MOD, peer->fd, &event);
    peer->waits_to_write = to_write;
}

static void flush(struct load *load, struct peer *peer)
{
    while (peer->out_start < peer->out_end) {
        ssize_t sent = send(peer->fd, peer->out + peer->out_start, peer->out_end - peer->out_start,
                            MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) fail(load, strerror(errno));
        if (sent < 0) break;
        peer->out_start += (size_t)sent;
    }
    watch(load, peer, peer->out_start < peer->out_end);
}

/* Sends as many requests as may be on the way. */
static void fill(struct load *load, struct peer *peer, uint64_t now_ns)
{
    if (now_ns > load->stop_ns) load->phase.ops = load->issued;
    if (peer->out_start > 0) { /* what is left moves down, so that `depth` requests always fit */
        memmove(peer->out, peer->out + peer->out_start, peer->out_end - peer->out_start);
        peer->out_end -= peer->out_start;
        peer->out_start = 0;
    }
    while (peer->count < load->options.depth && load->issued < load->phase.ops)
        issue(load, peer, now_ns);
    flush(load, peer);
}

/* --- receiving -------------------------------------------------------------------------------- */

static bool is_right(const struct load *load, const struct request *request, const uint8_t *page)
{
    const struct pageset *pages = load->options.pages;
    uint32_t crc = crc32c(page, pages->value_bytes);
    for (uint32_t v = request->version; v <= load->held[request->key].sent; v++)
        if (pages->crcs[pageset_index(pages, request->key, v)] == crc) return true;
    return false;
}

static void settle(struct load *load, const struct request *request,
                   const struct wire_reply *reply)
{
    struct load_result *result = load->result;
    result->ops++;
    result->gets += request->is_get;
    result->misses += reply->kind == WIRE_MISS;
    result->refused += reply->kind == WIRE_REFUSED;
    if (reply->kind == WIRE_VALUE) result->wrong += !is_right(load, request, reply->value.bytes);
    if (request->is_get) return;
    struct held *held = &load->held[request->key];
    held->busy = false;
    if (reply->kind == WIRE_STORED) held->acknowledged = request->version;
}

static void read_replies(struct load *load, struct peer *peer, uint64_t now_ns)
{
    while (peer->count > 0 && peer->in_start < peer->in_end) {
        const struct request *request = &peer->requests[peer->first];
        struct wire_wanted wanted = {request->key, load->options.pages->value_bytes, true};
        struct slice bytes = slice_of(peer->in + peer->in_start, peer->in_end - peer->in_start);
        struct wire_reply reply = request->is_get ? wire_read_get(bytes, &wanted)
                                                  : wire_read_set(bytes);
        if (reply.kind == WIRE_PARTIAL) break;
        if (reply.kind == WIRE_BROKEN) {
            fail(load, "a reply that is none");
            return;
        }
        settle(load, request, &reply);
        histogram_add(&load->result->latency_ns, now_ns - request->sent_ns);
        peer->in_start += reply.size_bytes;
        peer->first = (peer->first + 1) % load->options.depth;
        peer->count--;
    }
    if (peer->count == 0 && peer->in_start < peer->in_end) fail(load, "a reply nobody asked for");
    memmove(peer->in, peer->in + peer->in_start, peer->in_end - peer->in_start);
    peer->in_end -= peer->in_start;
    peer->in_start = 0;
}

static void receive(struct load *load, struct peer *peer)
{
    ssize_t got = recv(peer->fd, peer->in + peer->in_end, load->in_bytes - peer->in_end, 0);
    if (got == 0) fail(load, "the server hung up");
    if (got < 0 && errno != EAGAIN && errno != EINTR) fail(load, strerror(errno));
    if (got <= 0) return;
    peer->in_end += (size_t)got;
    uint64_t now_ns = clock_monotonic_ns();
    read_replies(load, peer, now_ns);
    if (!load->broken) fill(load, peer, now_ns);
}

bool load_run(struct load *load, const struct load_phase *phase, struct load_result *result)
{
    struct epoll_event events[EVENTS];
    uint64_t start_ns = clock_monotonic_ns(), heard_ns = start_ns;
    *result = (struct load_result){0};
    histogram_init(&result->latency_ns);
    load->result = result;
    load->phase = *phase;
    load->issued = 0;
    load->stop_ns = start_ns + phase->duration_ns;
    for (uint32_t i = 0; i < load->options.connections; i++)
        fill(load, &load->peers[i], clock_monotonic_ns());
    while (!load->broken && result->ops < load->phase.ops) {
        int count = epoll_wait(load->epoll, events, EVENTS, 100);
        for (int i = 0; i < count && !load->broken; i++) {
            if ((events[i].events & EPOLLOUT) != 0) flush(load, events[i].data.ptr);
            if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) receive(load, events[i].data.ptr);
        }
        if (count > 0) heard_ns = clock_monotonic_ns();
        if (clock_monotonic_ns() > heard_ns + (uint64_t)SILENCE_SECONDS * EACH_OF_A_SECOND)
            fail(load, "no reply for 10 seconds");
    }
    result->elapsed_ns = clock_monotonic_ns() - start_ns;
    return !load->broken;
}

/* --- open and close --------------------------------------------------------------------------- */

static bool open_peer(struct load *load, struct peer *peer)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    peer->requests = calloc(load->options.depth, sizeof *peer->requests);
    peer->out = malloc(load->out_bytes);
    peer->in = malloc(load->in_bytes);
    if (peer->requests == NULL || peer->out == NULL || peer->in == NULL) {
        fail(load, "out of memory");
        return false;
    }
    peer->fd = target_connect(load->options.address);
    if (peer->fd < 0 || fcntl(peer->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, peer->fd, &event) != 0) {
        fail(load, strerror(errno));
        return false;
    }
    return true;
}

bool load_open(const struct load_options *options, struct load **out)
{
    struct load *load = calloc(1, sizeof *load);
    if (load == NULL) return false;
    *out = load;
    load->options = *options;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->held = calloc(options->keys, sizeof *load->held);
    bool good = load->epoll >= 0 && load->held != NULL;
    if (!good) fail(load, "out of memory or files");
    good = good && load_reconnect(load, options->connections, options->depth);
    if (good)
        draw_init(&load->draw, options->seed, options->keys, options->zipf);
    else
        load_close(out);
    return good;
}

static void close_peers(struct load *load)
{
    for (uint32_t i = 0; load->peers != NULL && i < load->options.connections; i++) {
        struct peer *peer = &load->peers[i];
        if (peer->fd > 0) close(peer->fd);
        free(peer->requests);
        free(peer->out);
        free(peer->in);
    }
    free(load->peers);
    load->peers = NULL;
}

bool load_reconnect(struct load *load, uint32_t connections, uint32_t depth)
{
    uint32_t value_bytes = load->options.pages->value_bytes;
    close_peers(load);
    load->options.connections = connections;
    load->options.depth = depth;
    load->peers = calloc(connections, sizeof *load->peers);
    load->out_bytes = (size_t)depth * (value_bytes + WIRE_REQUEST_EXTRA_BYTES);
    load->in_bytes = IN_BYTES_MIN + value_bytes + WIRE_REPLY_EXTRA_BYTES;
    if (load->peers == NULL) {
        fail(load, "out of memory");
        return false;
    }
    if (load->options.keys <= connections * depth) {
        fail(load, "as many requests on the way as there are keys: use fewer, or more pages");
        return false;
    }
    for (uint32_t i = 0; i < connections; i++) load->peers[i].fd = -1;
    for (uint32_t i = 0; i < connections; i++)
        if (!open_peer(load, &load->peers[i])) return false;
    return true;
}

void load_close(struct load **pointer)
{
    struct load *load = *pointer;
    if (load == NULL) return;
    close_peers(load);
    if (load->epoll >= 0) close(load->epoll);
    free(load->held);
    free(load);
    *pointer = NULL;
}
