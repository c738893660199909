/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/bench/target.h"

enum {
    SILENCE_SECONDS = 10,
    OUT_BYTES = STREAM_DEPTH_MAX * SPEECH_ASK_BYTES_MAX,
    IN_BYTES = STREAM_DEPTH_MAX * SPEECH_ANSWER_BYTES_MAX,
};

struct stream {
    int fd;
    uint32_t slots;
    uint32_t *versions; /* per slot: how often it was written */
    bool *busy;         /* per slot: a store of it is on the way */
    uint8_t *out, *in;
    size_t in_bytes;
    struct ask asks[STREAM_DEPTH_MAX]; /* a ring of the plan's depth */
    uint32_t first, count;
    /* of the run */
    const struct stream_plan *plan;
    struct draw *draw;
    struct stream_result *result;
    uint64_t asked;
};

static bool complain(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    return false;
}

/* --- sending ---------------------------------------------------------------------------------- */

static uint32_t choose_slot(struct stream *stream)
{
    if (stream->plan->each_slot_once) return (uint32_t)stream->asked;
    uint32_t slot = (uint32_t)draw_key(stream->draw);
    if (stream->plan->talk.work == WORK_LOAD) return slot;
    while (stream->busy[slot]) slot = slot + 1 == stream->slots ? 0 : slot + 1;
    return slot;
}

static void fill_ask(struct stream *stream, struct ask *ask)
{
    ask->slot = choose_slot(stream);
    if (stream->plan->talk.work == WORK_STORE) {
        stream->busy[ask->slot] = true;
        stream->versions[ask->slot]++;
    }
    const struct pageset *pages = stream->plan->talk.packs->pages;
    ask->page = pageset_index(pages, ask->slot, stream->versions[ask->slot]);
    stream->asked++;
}

/* Requests of whole batches, as many as may be on the way. */
static size_t compose(struct stream *stream, bool more)
{
    const struct stream_plan *plan = stream->plan;
    size_t size = 0;
    while (more && plan->depth - stream->count >= plan->batch) {
        if (plan->each_slot_once && stream->asked == stream->slots) break;
        struct ask *asks = &stream->asks[(stream->first + stream->count) % plan->depth];
        uint32_t tag = (uint32_t)stream->asked + 1;
        uint64_t now_ns = clock_monotonic_ns();
        for (uint32_t i = 0; i < plan->batch; i++) {
            asks[i] = (struct ask){
                .tag = tag, .ends_request = i + 1 == plan->batch, .sent_ns = now_ns};
            fill_ask(stream, &asks[i]);
        }
        stream->count += plan->batch;
        size += plan->speech->ask(&plan->talk, asks, plan->batch, stream->out + size);
    }
    return size;
}

static bool send_all(struct stream *stream, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t sent = send(stream->fd, stream->out + at, size - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) return complain(strerror(errno));
        if (sent > 0) at += (size_t)sent;
    }
    stream->result->sent_bytes += size;
    return true;
}

/* --- receiving -------------------------------------------------------------------------------- */

static bool settle(struct stream *stream, const struct ask *ask, enum heard heard)
{
    if (heard == HEARD_WRONG) return complain("other bytes than were stored");
    if (heard == HEARD_REFUSED) return complain("a page was refused, or is not there");
    if (heard == HEARD_BROKEN) return complain("an answer that is none");
    stream->busy[ask->slot] = false;
    stream->result->pages++;
    return true;
}

static bool hear(struct stream *stream, uint64_t now_ns)
{
    const struct stream_plan *plan = stream->plan;
    size_t at = 0;
    while (stream->count > 0) {
        const struct ask *ask = &stream->asks[stream->first];
        struct slice rest = slice_of(stream->in + at, stream->in_bytes - at);
        size_t used = 0;
        enum heard heard = plan->speech->hear(&plan->talk, ask, rest, &used);
        if (heard == HEARD_PARTIAL) break;
        if (!settle(stream, ask, heard)) return false;
        histogram_add(&stream->result->latency_ns, now_ns - ask->sent_ns);
        at += used;
        stream->first = (stream->first + 1) % plan->depth;
        stream->count--;
    }
    memmove(stream->in, stream->in + at, stream->in_bytes - at);
    stream->in_bytes -= at;
    return stream->count > 0 || stream->in_bytes == 0 || complain("an answer nobody asked for");
}

static bool receive(struct stream *stream)
{
    ssize_t got;
    do got = recv(stream->fd, stream->in + stream->in_bytes, IN_BYTES - stream->in_bytes, 0);
    while (got < 0 && errno == EINTR);
    uint64_t now_ns = clock_monotonic_ns();
    if (got == 0) return complain("the server hung up");
    if (got < 0) return complain(errno == EAGAIN ? "no answer for 10 seconds" : strerror(errno));
    stream->in_bytes += (size_t)got;
    stream->result->heard_bytes += (size_t)got;
    return hear(stream, now_ns);
}

bool stream_run(struct stream *stream, const struct stream_plan *plan, struct draw *draw,
                struct stream_result *result)
{
    *result = (struct stream_result){0};
    histogram_init(&result->latency_ns);
    stream->plan = plan;
    stream->draw = draw;
    stream->result = result;
    stream->asked = 0;
    stream->first = stream->count = 0;
    uint64_t start_ns = clock_monotonic_ns(), stop_ns = start_ns + plan->duration_ns;
    bool good = true;
    do {
        bool more = plan->each_slot_once || clock_monotonic_ns() < stop_ns;
        size_t size = compose(stream, more);
        if (stream->count == 0) break;
        good = send_all(stream, size) && receive(stream);
    } while (good);
    result->elapsed_ns = clock_monotonic_ns() - start_ns;
    return good;
}

/* --- open and close --------------------------------------------------------------------------- */

bool stream_open(const char *address, uint32_t slots, struct stream **out)
{
    struct stream *stream = calloc(1, sizeof *stream);
    *out = stream;
    if (stream == NULL) return complain("out of memory");
    stream->slots = slots;
    stream->versions = calloc(slots, sizeof *stream->versions);
    stream->busy = calloc(slots, sizeof *stream->busy);
    stream->out = malloc(OUT_BYTES);
    stream->in = malloc(IN_BYTES);
    stream->fd = target_connect(address);
    struct timeval silence = {.tv_sec = SILENCE_SECONDS};
    bool good = stream->versions != NULL && stream->busy != NULL && stream->out != NULL &&
                stream->in != NULL && stream->fd >= 0 &&
                setsockopt(stream->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) == 0;
    if (good) return true;
    stream_close(out);
    return complain("cannot connect, or out of memory");
}

void stream_close(struct stream **pointer)
{
    struct stream *stream = *pointer;
    if (stream == NULL) return;
    if (stream->fd >= 0) close(stream->fd);
    free(stream->versions);
    free(stream->busy);
    free(stream->out);
    free(stream->in);
    free(stream);
    *pointer = NULL;
}

int stream_socket(const struct stream *stream)
{
    return stream->fd;
}
