/* SPDX-License-Identifier: BSD-3-Clause
 * engine - one connection with what is asked on it: requests out, replies in, several on the way at
 * once, in whatever order they return; made again when it ends. It never waits by itself.
 *
 *            .----------------- due again, after a backoff <----------------.
 *            v                                                              |
 *   down --connect--> connecting --> entering (TLS, login) --> greeting (HELLO)
 *    |                                                          --> opening (OPEN) --> ready
 *    |  '---- any of these fails: down, or ended where it was the first attempt ----'
 *    '--> ended: for good; every later request is FARPAGE_DISCONNECTED
 *
 * Requests are taken in any phase but the last and sent in `ready`; see op.h for their life. When
 * the connection ends, what may be repeated goes back to the head of the queue in its old order,
 * the rest is answered. `lost` is a state of the area, not of the connection: nothing is asked any
 * more until engine_renew(). So is `moved`: the area is elsewhere, and the engine may not follow.
 *
 * Every byte that arrives is checked before it is believed: magic, header checksum, tag, opcode,
 * slot, area, count, status, the length its request must bring, the body's checksum. The first that
 * is wrong ends the connection, and what was asked is answered FARPAGE_PROTOCOL; only a page whose
 * body is damaged costs no more than itself.
 *
 * Threads: one at a time. Blocks: engine_open, engine_renew and engine_call; nothing else.
 */
#ifndef FARPAGE_CLIENT_ENGINE_H
#define FARPAGE_CLIENT_ENGINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/door.h"
#include "client/flight.h"
#include "client/list.h"
#include "client/op.h"
#include "client/opening.h"
#include "client/packer.h"
#include "client/reason.h"
#include "client/transport.h"
#include "protocol/frame.h"

enum {
    ENGINE_OPS_MAX = 1 << 16,         /* that wait for an answer */
    ENGINE_OUTBOX_BYTES = 256 << 10,  /* composed and not sent */
    ENGINE_INBOX_BYTES = 256 << 10,   /* several of the largest pages in one read */
    ENGINE_SILENCES = 2,              /* of timeout_ns without a byte: the connection is dead */
};

enum engine_phase {
    ENGINE_DOWN,
    ENGINE_CONNECTING,
    ENGINE_ENTERING,
    ENGINE_GREETING,
    ENGINE_OPENING,
    ENGINE_READY,
    ENGINE_ENDED,
};

struct engine_options {
    const struct peer *peer;    /* outlives the engine, as does: */
    const struct door *door;    /* NULL: nothing is asked for before the hello */
    uint64_t timeout_ns;        /* of an operation that has no other; of each attempt to connect */
    uint64_t backoff_ns_max;
    uint32_t depth;             /* operations on the way at once, 1 to FLIGHT_OPS_MAX */
    bool reconnect, follow;
    farpage_unuse *unuse;       /* NULL: the server sends no notices */
    void *unuse_context;
};

struct engine {
    struct engine_options options;
    struct opening *opening; /* NULL: no area; the engine only greets. The owner's */
    struct packer *packer;   /* NULL: pages travel plain. The owner's */
    bool look_again;         /* what is open may have another dictionary now */
    bool handshaking, entering_login; /* while entering: what is still to be done */
    bool shaking;            /* a request of the engine's own is on the way */
    enum engine_phase phase;
    bool first;   /* no attempt was good yet */
    bool lost, moved;
    bool mute;    /* the other side takes no more bytes; what it still says is worth hearing */
    bool entered; /* within engine_process */
    bool closing; /* nobody may ask for anything any more */
    bool said;    /* `reason` is the server's own sentence */
    enum farpage_status ended_because, broken_by; /* broken_by: the last end of a connection */

    struct transport transport;
    unsigned address;        /* of the peer's, the one that is tried */
    uint64_t address_until_ns, attempt_until_ns; /* attempt: 0 while none is under way */
    uint64_t retry_at_ns, heard_ns;
    unsigned failures;       /* attempts in a row that came to nothing */
    uint64_t random;
    uint64_t connections;    /* that became ready */
    struct frame_welcome welcome;

    uint8_t *out;            /* owned; bytes [out_start, out_end) are to be sent */
    size_t out_start, out_end;
    uint64_t sent_bytes, composed_bytes; /* on this connection, since it began */
    uint64_t wire_out_bytes, wire_in_bytes; /* of all connections */
    uint8_t *in;             /* owned; bytes [in_start, in_end) came and are not used up */
    size_t in_bytes, in_start, in_end;

    struct flights flights;
    struct list queue;       /* struct op, by place: to be sent */
    struct list due;         /* struct op, by due: the most urgent first */
    struct list free_ops;    /* struct op, by place */
    struct list held;        /* struct op, by place: refused by a draining area, to be sent again */
    uint64_t held_until_ns;
    unsigned holds;          /* in a row */
    struct peer *followed;   /* owned; where the area moved to; NULL: options.peer */
    size_t waiting;          /* ops that are not answered: somebody's, */
    size_t own_waiting;      /* and the engine's own in the queue or on the way */

    struct reason weather;   /* what the connection last met */
    struct reason reason;    /* why the last failed operation failed */
};

/* False: out of memory. engine_fini is due either way. `options` is copied. */
bool engine_init(struct engine *engine, const struct engine_options *options,
                 struct opening *opening) FP_MUST_CHECK FP_NONNULL(1, 2);
/* Whoever waits is answered FARPAGE_DISCONNECTED first. */
void engine_fini(struct engine *engine) FP_NONNULL(1);

/* Makes the first connection, in one attempt. Failure is for good and has its sentence in
 * `reason`. Blocks, at most timeout_ns. */
enum farpage_status engine_open(struct engine *engine) FP_MUST_CHECK FP_NONNULL(1);

/* Opens the area anew, whatever it was; retried until timeout_ns is over, but for a refusal. */
enum farpage_status engine_renew(struct engine *engine) FP_MUST_CHECK FP_NONNULL(1);

/* The same without waiting: requests are taken from now on, and sent when it is open. An attempt
 * that is refused is made again, as after any end of a connection; what waits for it is answered
 * with the refusal. Nothing where it is not lost, or within a callback. */
void engine_renew_begin(struct engine *engine) FP_NONNULL(1);

/* FARPAGE_OK: request->done will be called, once, from engine_process. Else it will not, and
 * `reason` says why. */
enum farpage_status engine_submit(struct engine *engine,
                                  const struct op_request *request) FP_MUST_CHECK FP_NONNULL(1, 2);

/* Goes on; `revents` is what poll said of the fd. Does nothing within a callback. */
void engine_process(struct engine *engine, int revents) FP_NONNULL(1);

int engine_events(const struct engine *engine) FP_NONNULL(1);       /* POLLIN, POLLOUT */
uint64_t engine_due_ns(const struct engine *engine) FP_NONNULL(1);  /* UINT64_MAX: nothing is due */

/* Waits until there is something to do, and does it: between two calls of engine_process. Whoever
 * loops has a deadline of its own. */
void engine_step(struct engine *engine) FP_NONNULL(1);

/* Answers whoever waits FARPAGE_DISCONNECTED; their callbacks may not submit. */
void engine_abandon(struct engine *engine) FP_NONNULL(1);

/* One request, awaited; its `done` and `context` are ours. *latency_ns may be NULL.
 * FARPAGE_INVALID, with a reason, within a callback. */
enum farpage_status engine_call(struct engine *engine, struct op_request *request,
                                uint64_t *latency_ns) FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
