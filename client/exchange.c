/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/clock.h"
#include "base/crc32c.h"

/* Calls that one system call sends: two parts each, well below IOV_MAX. */
enum { SEND_CALLS_MAX = 64 };

struct seat {
    struct call call;
    struct seat *next; /* in the free list, or in the queue of what is to be sent */
    uint32_t tag;      /* 0: free */
    bool queued;       /* not sent to its last byte */
    uint64_t sent_ns;  /* when its first byte left */
    uint8_t header[FRAME_HEADER_BYTES];
};

/* One run. in_flight counts seats that are not free: queued ones and those on the way. */
struct run {
    struct exchange *exchange;
    struct transport *transport;
    const struct asker *asker;
    struct reason *reason;
    struct seat *free;
    struct seat *queue_first, *queue_last;
    size_t first_sent_bytes; /* of queue_first's header and body */
    uint32_t in_flight;
    bool asker_empty;
    bool mute; /* the other side takes no more bytes; what it still says is worth hearing */
    uint64_t timeout_ns, deadline_ns;
};

void exchange_init(struct exchange *exchange)
{
    *exchange = (struct exchange){0};
}

void exchange_fini(struct exchange *exchange)
{
    free(exchange->seats);
    free(exchange->inbox);
    exchange_init(exchange);
}

static bool inbox_grow(struct exchange *exchange, size_t bytes)
{
    if (bytes <= exchange->inbox_bytes) return true;
    uint8_t *grown = realloc(exchange->inbox, bytes);
    if (grown == NULL) return false;
    exchange->inbox = grown;
    exchange->inbox_bytes = bytes;
    return true;
}

static bool exchange_prepare(struct exchange *exchange, uint32_t depth)
{
    if (!inbox_grow(exchange, EXCHANGE_INBOX_BYTES)) return false;
    if (depth <= exchange->seat_count) return true;
    struct seat *seats = calloc(depth, sizeof *seats);
    if (seats == NULL) return false;
    free(exchange->seats);
    exchange->seats = seats;
    exchange->seat_count = depth;
    return true;
}

static void run_init(struct run *run, uint32_t depth)
{
    run->free = NULL;
    for (uint32_t i = depth; i > 0; i--) {
        struct seat *seat = &run->exchange->seats[i - 1];
        seat->tag = 0;
        seat->next = run->free;
        run->free = seat;
    }
}

/* --- out ------------------------------------------------------------------------------------ */

static uint32_t next_tag(struct run *run, const struct seat *seat)
{
    uint32_t serials = 1u << (32 - EXCHANGE_SEAT_BITS);
    run->exchange->serial = (run->exchange->serial + 1) % serials;
    if (run->exchange->serial == 0) run->exchange->serial = 1; /* tag 0 answers lost framing */
    return run->exchange->serial << EXCHANGE_SEAT_BITS | (uint32_t)(seat - run->exchange->seats);
}

static void enqueue(struct run *run, struct seat *seat)
{
    seat->tag = next_tag(run, seat);
    struct frame *frame = &seat->call.frame;
    frame->magic = FRAME_MAGIC_REQUEST;
    frame->status = 0;
    frame->tag = seat->tag;
    frame->body_bytes = (uint32_t)seat->call.body.size_bytes;
    frame->body_crc = crc32c(seat->call.body.bytes, seat->call.body.size_bytes);
    frame_encode(frame, seat->header);
    seat->queued = true;
    seat->next = NULL;
    if (run->queue_first == NULL)
        run->queue_first = seat;
    else
        run->queue_last->next = seat;
    run->queue_last = seat;
}

static void fill_seats(struct run *run)
{
    while (run->free != NULL && !run->asker_empty) {
        struct seat *seat = run->free;
        seat->call = (struct call){0};
        if (!run->asker->next(run->asker->context, &seat->call)) {
            run->asker_empty = true;
            return;
        }
        run->free = seat->next;
        run->in_flight++;
        enqueue(run, seat);
    }
}

/* Lists what is to be sent next; stamps the seats whose first byte goes with it. */
static size_t gather(const struct run *run, struct iovec parts[2 * SEND_CALLS_MAX])
{
    uint64_t now = clock_monotonic_ns();
    size_t count = 0;
    size_t skip = run->first_sent_bytes;
    for (struct seat *seat = run->queue_first; seat != NULL; seat = seat->next) {
        if (count + 2 > 2 * SEND_CALLS_MAX) break;
        if (skip == 0) seat->sent_ns = now;
        if (skip < FRAME_HEADER_BYTES) {
            parts[count++] = (struct iovec){seat->header + skip, FRAME_HEADER_BYTES - skip};
            skip = 0;
        } else {
            skip -= FRAME_HEADER_BYTES;
        }
        struct slice body = seat->call.body;
        if (body.size_bytes > skip) {
            parts[count++] =
                (struct iovec){(void *)(uintptr_t)(body.bytes + skip), body.size_bytes - skip};
        }
        skip = 0;
    }
    return count;
}

static void mark_sent(struct run *run, size_t bytes)
{
    run->first_sent_bytes += bytes;
    while (run->queue_first != NULL) {
        struct seat *seat = run->queue_first;
        size_t whole = FRAME_HEADER_BYTES + seat->call.body.size_bytes;
        if (run->first_sent_bytes < whole) return;
        run->first_sent_bytes -= whole;
        run->queue_first = seat->next;
        seat->queued = false;
    }
    run->queue_last = NULL;
}

static void send_queue(struct run *run)
{
    while (run->queue_first != NULL && !run->mute) {
        struct iovec parts[2 * SEND_CALLS_MAX];
        size_t count = gather(run, parts);
        ssize_t sent = transport_send(run->transport, parts, count);
        if (sent == 0) return;
        if (sent < 0)
            run->mute = true;
        else
            mark_sent(run, (size_t)sent);
    }
}

/* --- in ------------------------------------------------------------------------------------- */

static enum farpage_status nonsense(const struct run *run, const char *what)
{
    reason_set(run->reason, "the server sent nonsense: %s", what);
    return FARPAGE_PROTOCOL;
}

static struct seat *seat_of(const struct run *run, uint32_t tag)
{
    uint32_t index = tag & (EXCHANGE_DEPTH_MAX - 1);
    if (tag == 0 || index >= run->exchange->seat_count) return NULL;
    struct seat *seat = &run->exchange->seats[index];
    return seat->tag == tag ? seat : NULL;
}

/* The seat that a reply's header belongs to, once the header is worth believing. */
static enum farpage_status judge(const struct run *run, const struct frame *frame,
                                 struct seat **seat)
{
    if (frame->status == FRAME_BAD_HEADER) {
        return nonsense(run, "it could not read our requests and gave up");
    }
    *seat = seat_of(run, frame->tag);
    if (*seat == NULL || (*seat)->queued) return nonsense(run, "a reply nobody asked for");
    const struct call *call = &(*seat)->call;
    if (frame->opcode != call->frame.opcode) return nonsense(run, "a reply to another request");
    if (!frame_status_known(frame->status)) return nonsense(run, "a status that does not exist");
    bool of_hello = frame->status == FRAME_BAD_VERSION || frame->status == FRAME_NO_HELLO;
    if (of_hello && frame->opcode != FRAME_HELLO) return nonsense(run, "a status out of place");
    bool ok = frame->status == FRAME_OK;
    uint32_t bytes_max = ok ? call->ok_bytes_max : 0;
    if (frame->status == FRAME_REFUSED) bytes_max = call->refused_bytes_max;
    if (frame->body_bytes < (ok ? call->ok_bytes_min : 0) || frame->body_bytes > bytes_max) {
        return nonsense(run, "a reply of the wrong length");
    }
    return FARPAGE_OK;
}

static void deliver(struct run *run, struct seat *seat, const struct answer *answer)
{
    run->deadline_ns = clock_monotonic_ns() + run->timeout_ns;
    if (run->asker->answered(run->asker->context, &seat->call, answer)) {
        enqueue(run, seat);
        return;
    }
    seat->tag = 0;
    seat->next = run->free;
    run->free = seat;
    run->in_flight--;
}

/* Takes one reply off the inbox. *more is false where the inbox does not hold a whole one. */
static enum farpage_status take_reply(struct run *run, uint64_t now, bool *more)
{
    struct exchange *exchange = run->exchange;
    const uint8_t *at = exchange->inbox + exchange->start;
    size_t available = exchange->end - exchange->start;
    *more = false;
    if (available == 0) return FARPAGE_OK;
    if (at[0] != FRAME_MAGIC_REPLY) {
        char quoted[REASON_QUOTE_BYTES];
        reason_quote(slice_of(at, available), quoted);
        reason_set(run->reason, "the server does not speak farpage frames; it said '%s'", quoted);
        return FARPAGE_PROTOCOL;
    }
    if (available < FRAME_HEADER_BYTES) return FARPAGE_OK;
    struct frame frame;
    if (!frame_decode(at, FRAME_MAGIC_REPLY, &frame)) return nonsense(run, "a broken header");
    struct seat *seat = NULL;
    enum farpage_status status = judge(run, &frame, &seat);
    if (status != FARPAGE_OK) return status;
    size_t whole = FRAME_HEADER_BYTES + (size_t)frame.body_bytes;
    if (!inbox_grow(exchange, whole)) {
        reason_set(run->reason, "out of memory for a reply of %zu bytes", whole);
        return FARPAGE_NO_MEMORY;
    }
    if (available < whole) return FARPAGE_OK;

    struct answer answer = {.frame = frame, .latency_ns = now - seat->sent_ns};
    answer.body =
        slice_of(exchange->inbox + exchange->start + FRAME_HEADER_BYTES, frame.body_bytes);
    answer.damaged = !frame_body_good(&frame, answer.body);
    if (answer.damaged && frame.opcode != FRAME_LOAD) {
        return nonsense(run, "a reply whose checksum does not match");
    }
    exchange->start += whole;
    deliver(run, seat, &answer);
    *more = true;
    return FARPAGE_OK;
}

static enum farpage_status take_replies(struct run *run)
{
    struct exchange *exchange = run->exchange;
    uint64_t now = clock_monotonic_ns();
    bool more = true;
    while (more) {
        enum farpage_status status = take_reply(run, now, &more);
        if (status != FARPAGE_OK) return status;
    }
    size_t left = exchange->end - exchange->start;
    if (exchange->start > 0 && left > 0) {
        memmove(exchange->inbox, exchange->inbox + exchange->start, left);
    }
    exchange->start = 0;
    exchange->end = left;
    return FARPAGE_OK;
}

static enum farpage_status receive(struct run *run)
{
    struct exchange *exchange = run->exchange;
    size_t room = exchange->inbox_bytes - exchange->end;
    ssize_t got = transport_receive(run->transport, exchange->inbox + exchange->end, room);
    if (got == -EAGAIN) return FARPAGE_OK;
    if (got == 0) {
        reason_set(run->reason, "the server closed the connection");
        return FARPAGE_DISCONNECTED;
    }
    if (got < 0) {
        reason_set_errno(run->reason, (int)-got, "the connection broke");
        return FARPAGE_DISCONNECTED;
    }
    exchange->end += (size_t)got;
    return take_replies(run);
}

/* --- the run -------------------------------------------------------------------------------- */

static enum farpage_status await(struct run *run)
{
    bool also_send = run->queue_first != NULL && !run->mute;
    int events = transport_wait(run->transport, also_send, run->deadline_ns);
    if (events == 0) {
        char patience[REASON_DURATION_BYTES];
        reason_duration(run->timeout_ns, patience);
        reason_set(run->reason, "the server did not answer within %s", patience);
        return FARPAGE_TIMEOUT;
    }
    if (events < 0) {
        reason_set_errno(run->reason, -events, "waiting for the server failed");
        return FARPAGE_DISCONNECTED;
    }
    /* An error or a hang-up is read like bytes: recv says which it is. */
    return (events & ~POLLOUT) != 0 ? receive(run) : FARPAGE_OK;
}

enum farpage_status exchange_run(struct exchange *exchange, struct transport *transport,
                                 const struct asker *asker, struct exchange_limits limits,
                                 struct reason *reason)
{
    uint32_t depth = (uint32_t)min_u64(max_u64(limits.depth, 1), EXCHANGE_DEPTH_MAX);
    if (!exchange_prepare(exchange, depth)) {
        reason_set(reason, "out of memory");
        return FARPAGE_NO_MEMORY;
    }
    struct run run = {.exchange = exchange,
                      .transport = transport,
                      .asker = asker,
                      .reason = reason,
                      .timeout_ns = limits.timeout_ns,
                      .deadline_ns = clock_monotonic_ns() + limits.timeout_ns};
    run_init(&run, depth);
    for (;;) {
        fill_seats(&run);
        if (run.in_flight == 0) return FARPAGE_OK;
        send_queue(&run);
        enum farpage_status status = await(&run);
        if (status != FARPAGE_OK) return status;
    }
}
