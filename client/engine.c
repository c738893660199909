/* SPDX-License-Identifier: BSD-3-Clause
 *
 * engine_process, in its order: what arrived is taken before deadlines are looked at, so that an
 * answer that is there in time is given; what became free is filled last, so that a callback's new
 * request still goes with this round. */
#include "client/engine.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/engine_parts.h"

bool engine_init(struct engine *engine, const struct engine_options *options,
                 struct opening *opening)
{
    *engine = (struct engine){
        .options = *options, .opening = opening, .first = true, .transport = {.fd = -1}};
    list_init(&engine->queue);
    list_init(&engine->due);
    list_init(&engine->free_ops);
    list_init(&engine->held);
    engine->random = clock_monotonic_ns() ^ (uint64_t)(uintptr_t)engine;
    engine->retry_at_ns = UINT64_MAX;
    engine->out = malloc(ENGINE_OUTBOX_BYTES);
    engine->in = malloc(ENGINE_INBOX_BYTES);
    engine->in_bytes = ENGINE_INBOX_BYTES;
    bool good = flights_init(&engine->flights);
    return good && engine->out != NULL && engine->in != NULL;
}

void engine_fini(struct engine *engine)
{
    reason_set(&engine->weather, "it was closed");
    engine->options.reconnect = false;
    engine->entered = true; /* a callback's new request finds no one */
    if (engine->phase != ENGINE_ENDED) engine_break(engine, FARPAGE_DISCONNECTED);
    while (!list_empty(&engine->free_ops)) {
        struct op *op = LIST_THING(engine->free_ops.next, struct op, place);
        list_remove(&op->place);
        free(op);
    }
    flights_fini(&engine->flights);
    free(engine->followed);
    free(engine->out);
    free(engine->in);
    engine->out = engine->in = NULL;
}

/* --- ops ------------------------------------------------------------------------------------ */

struct op *engine_take_op(struct engine *engine)
{
    struct op *op;
    if (list_empty(&engine->free_ops)) {
        op = malloc(sizeof *op);
        if (op == NULL) return NULL;
    } else {
        op = LIST_THING(engine->free_ops.next, struct op, place);
        list_remove(&op->place);
    }
    *op = (struct op){0};
    list_init(&op->place);
    list_init(&op->due);
    return op;
}

void engine_drop_op(struct engine *engine, struct op *op)
{
    list_remove(&op->place);
    list_remove(&op->due);
    list_push_front(&engine->free_ops, &op->place);
}

void engine_answer(struct engine *engine, struct op *op, enum farpage_status status,
                   uint64_t latency_ns)
{
    struct farpage_answer answer = {
        .status = status,
        .why = status == FARPAGE_OK ? "" : engine->reason.text,
        .latency_ns = latency_ns,
    };
    if (op->request.own)
        engine->own_waiting--;
    else
        engine->waiting--;
    list_remove(&op->due);
    op->ghost = op->flight != NULL;
    op->request.done(&op->request, &answer);
    op->request.done = NULL;
    op->request.page = op->request.taker = op->request.context = NULL;
    if (!op->ghost) engine_drop_op(engine, op);
}

/* Most have the same timeout, so the place is at the end. */
static void make_due(struct engine *engine, struct op *op)
{
    struct list *at = engine->due.previous;
    while (at != &engine->due && LIST_THING(at, struct op, due)->deadline_ns > op->deadline_ns) {
        at = at->previous;
    }
    list_insert(at, &op->due);
}

static enum farpage_status check_submit(struct engine *engine)
{
    if (engine->lost) {
        engine->reason = engine->weather;
        return FARPAGE_LOST;
    }
    if (engine->moved) {
        engine->reason = engine->weather;
        return FARPAGE_MOVED;
    }
    if (engine->closing) {
        reason_set(&engine->reason, "it is being closed");
        return FARPAGE_DISCONNECTED;
    }
    if (engine->phase == ENGINE_ENDED) {
        reason_set(&engine->reason, "the connection was closed before: %s",
                   farpage_status_text(engine->ended_because));
        return FARPAGE_DISCONNECTED;
    }
    if (engine->waiting >= ENGINE_OPS_MAX) {
        reason_set(&engine->reason, "%d requests are waiting already", ENGINE_OPS_MAX);
        return FARPAGE_LIMIT;
    }
    return FARPAGE_OK;
}

/* A map is of one connection. */
static bool map_is_there(struct engine *engine, const struct op_request *request)
{
    bool there = request->connection == 0 || (engine->phase == ENGINE_READY &&
                                              request->connection == engine->connections);
    if (!there) reason_set(&engine->reason, "the map ended with its connection");
    return there;
}

enum farpage_status engine_submit(struct engine *engine, const struct op_request *request)
{
    enum farpage_status status = check_submit(engine);
    if (status != FARPAGE_OK) return status;
    if (!map_is_there(engine, request)) return FARPAGE_NO_MAP;
    struct op *op = engine_take_op(engine);
    if (op == NULL) {
        reason_set(&engine->reason, "out of memory for a request");
        return FARPAGE_NO_MEMORY;
    }
    op->request = *request;
    uint64_t now = clock_monotonic_ns();
    if (!add_u64(now, request->timeout_ns, &op->deadline_ns)) op->deadline_ns = UINT64_MAX;
    make_due(engine, op);
    list_push_back(&engine->queue, &op->place);
    if (request->own)
        engine->own_waiting++;
    else
        engine->waiting++;
    return FARPAGE_OK;
}

/* --- the end of a connection ---------------------------------------------------------------- */

bool engine_weather(enum farpage_status status)
{
    return status == FARPAGE_DISCONNECTED || status == FARPAGE_UNREACHABLE ||
           status == FARPAGE_TIMEOUT || status == FARPAGE_NOT_READY;
}

/* What was on the way goes back to the head of the queue, in its order; what must not be sent
 * twice, or has no sense on another connection, to `unsure`. */
static void recall(struct engine *engine, struct list *unsure)
{
    struct list *next;
    for (struct list *at = engine->queue.next; at != &engine->queue; at = next) {
        next = at->next;
        if (LIST_THING(at, struct op, place)->request.connection == 0) continue;
        list_remove(at);
        list_push_back(unsure, at);
    }
    struct flight *flight;
    while ((flight = flights_newest(&engine->flights)) != NULL) {
        struct op *op = flight_last(flight);
        flights_land(&engine->flights, flight, op);
        if (op->ghost || op->shake) {
            engine_drop_op(engine, op);
        } else {
            list_push_front(op->request.repeatable ? &engine->queue : unsure, &op->place);
        }
    }
}

/* What a map was asked for is over with its connection, but whether it was published is not
 * known. */
static enum farpage_status status_of_cut(const struct op *op, enum farpage_status status)
{
    if (!engine_weather(status)) return status;
    bool map = op->request.connection != 0 && op->request.opcode != FRAME_UNMAP;
    return map ? FARPAGE_NO_MAP : status;
}

static void answer_all(struct engine *engine, struct list *ops, enum farpage_status status)
{
    /* Callbacks may submit, and with it change the sentence. */
    struct reason reason = engine->weather;
    while (!list_empty(ops)) {
        struct op *op = LIST_THING(ops->next, struct op, place);
        list_remove(&op->place);
        engine->reason = reason;
        engine_answer(engine, op, status_of_cut(op, status), 0);
    }
}

void engine_abandon(struct engine *engine)
{
    engine->closing = engine->entered = true;
    while (!list_empty(&engine->due)) {
        struct op *op = LIST_THING(engine->due.next, struct op, due);
        if (op->flight == NULL) list_remove(&op->place);
        reason_set(&engine->reason, "it was closed");
        engine_answer(engine, op, FARPAGE_DISCONNECTED, 0);
    }
    engine->closing = engine->entered = false;
}

void engine_break(struct engine *engine, enum farpage_status status)
{
    struct list unsure, queued;
    list_init(&unsure);
    list_init(&queued);
    transport_close(&engine->transport);
    engine->out_start = engine->out_end = 0;
    engine->in_start = engine->in_end = 0;
    engine->mute = engine->shaking = engine->look_again = false;
    engine->handshaking = engine->entering_login = false;
    list_splice_front(&engine->queue, &engine->held);
    recall(engine, &unsure);
    bool over = engine->first || !engine->options.reconnect;
    engine->phase = over ? ENGINE_ENDED : ENGINE_DOWN;
    engine->retry_at_ns = UINT64_MAX;
    engine->attempt_until_ns = 0;
    engine->broken_by = status;
    if (over) engine->ended_because = status;
    if (!over && !engine->lost && !engine->moved) engine_schedule(engine, clock_monotonic_ns());
    if (over || !engine_weather(status)) list_splice_front(&queued, &engine->queue);
    list_splice_front(&queued, &unsure);
    bool unsure_only = !over && engine_weather(status);
    answer_all(engine, &queued, unsure_only ? FARPAGE_DISCONNECTED : status);
}

/* --- going on ------------------------------------------------------------------------------- */

static void answer_late(struct engine *engine, struct op *op)
{
    char patience[REASON_DURATION_BYTES];
    reason_duration(op->request.timeout_ns, patience);
    bool there = engine->phase == ENGINE_READY;
    if (op->held) {
        reason_set(&engine->reason, "the area was being moved and took no changes within %s",
                   patience);
        engine_answer(engine, op, FARPAGE_DRAINING, 0);
        return;
    }
    reason_set(&engine->reason, "the server did not answer within %s%s%.300s", patience,
               there ? "" : ": ", there ? "" : engine->weather.text);
    engine_answer(engine, op, FARPAGE_TIMEOUT, 0);
}

static void expire(struct engine *engine, uint64_t now)
{
    while (!list_empty(&engine->due)) {
        struct op *op = LIST_THING(engine->due.next, struct op, due);
        if (op->deadline_ns > now) return;
        if (op->flight == NULL) list_remove(&op->place);
        answer_late(engine, op);
    }
}

/* When the connection is given up, unless a byte comes: UINT64_MAX where none is due. */
static uint64_t silent_until(const struct engine *engine)
{
    const struct flight *oldest = flights_oldest(&engine->flights);
    if (engine->phase != ENGINE_READY || oldest == NULL) return UINT64_MAX;
    uint64_t until;
    uint64_t since = max_u64(oldest->sent_ns, engine->heard_ns);
    bool fits = add_u64(since, ENGINE_SILENCES * engine->options.timeout_ns, &until);
    return fits ? until : UINT64_MAX;
}

uint64_t engine_due_ns(const struct engine *engine)
{
    uint64_t due = silent_until(engine);
    if (!list_empty(&engine->due)) {
        due = min_u64(due, LIST_THING(engine->due.next, struct op, due)->deadline_ns);
    }
    if (engine->phase == ENGINE_DOWN) due = min_u64(due, engine->retry_at_ns);
    if (!list_empty(&engine->held)) due = min_u64(due, engine->held_until_ns);
    if (engine->phase == ENGINE_CONNECTING) due = min_u64(due, engine->address_until_ns);
    if (transport_has_more(&engine->transport)) return 0;
    if (engine->phase >= ENGINE_ENTERING && engine->phase <= ENGINE_OPENING) {
        due = min_u64(due, engine->attempt_until_ns);
    }
    return due;
}

int engine_events(const struct engine *engine)
{
    if (engine->transport.fd < 0) return 0;
    if (engine->phase == ENGINE_CONNECTING) return POLLOUT;
    if (engine->handshaking) return transport_wants_write(&engine->transport) ? POLLOUT : POLLIN;
    bool more = engine->out_end > engine->out_start || engine_may_compose(engine);
    return more && !engine->mute ? POLLIN | POLLOUT : POLLIN;
}

static void check_silence(struct engine *engine, uint64_t now)
{
    if (silent_until(engine) > now) return;
    char patience[REASON_DURATION_BYTES];
    reason_duration(ENGINE_SILENCES * engine->options.timeout_ns, patience);
    reason_set(&engine->weather, "the server said nothing for %s", patience);
    engine_break(engine, FARPAGE_DISCONNECTED);
}

void engine_process(struct engine *engine, int revents)
{
    if (engine->entered) return;
    engine->entered = true;
    uint64_t now = clock_monotonic_ns();
    /* An error or a hang-up is read like bytes: recv says which it is. */
    bool readable = (revents & ~POLLOUT) != 0 || engine_due_ns(engine) <= now;
    if (readable && engine->phase > ENGINE_ENTERING && engine->phase < ENGINE_ENDED) {
        engine_receive(engine);
    }
    expire(engine, now);
    check_silence(engine, now);
    engine_advance(engine, now);
    engine_let_go(engine, now);
    engine_send(engine, now);
    engine->entered = false;
}

void engine_step(struct engine *engine)
{
    int events =
        transport_wait(engine->transport.fd, engine_events(engine), engine_due_ns(engine));
    engine_process(engine, events > 0 ? events : 0);
}

/* --- waiting for one ------------------------------------------------------------------------ */

struct wait {
    bool done;
    enum farpage_status status;
    uint64_t latency_ns;
    struct reason reason; /* others may be answered in the same round, after it */
};

static void note(const struct op_request *request, const struct farpage_answer *answer)
{
    struct wait *wait = request->context;
    wait->done = true;
    wait->status = answer->status;
    wait->latency_ns = answer->latency_ns;
    reason_set(&wait->reason, "%s", answer->why);
}

enum farpage_status engine_call(struct engine *engine, struct op_request *request,
                                uint64_t *latency_ns)
{
    if (engine->entered) {
        reason_set(&engine->reason, "a call that waits makes no sense in a callback");
        return FARPAGE_INVALID;
    }
    struct wait wait = {.done = false};
    request->done = note;
    request->context = &wait;
    engine->said = false;
    enum farpage_status status = engine_submit(engine, request);
    if (status != FARPAGE_OK) return status;
    engine_process(engine, 0);
    while (!wait.done) engine_step(engine);
    if (latency_ns != NULL) *latency_ns = wait.latency_ns;
    engine->reason = wait.reason;
    return wait.status;
}
