/* SPDX-License-Identifier: BSD-3-Clause
 * engine_parts - what the files of the engine share: engine.c has its life, engine_connect.c how a
 * connection comes and goes, engine_enter.c what comes before its hello, engine_out.c what is sent,
 * engine_in.c what is received. */
#ifndef FARPAGE_CLIENT_ENGINE_PARTS_H
#define FARPAGE_CLIENT_ENGINE_PARTS_H
#include "client/engine.h"

/* A free op; NULL: out of memory. */
struct op *engine_take_op(struct engine *engine) FP_MUST_CHECK FP_NONNULL(1);
void engine_drop_op(struct engine *engine, struct op *op) FP_NONNULL(1, 2);

/* Answers an op that is in no flight, or makes it a ghost where it is in one. engine->reason says
 * why it is not FARPAGE_OK. Its callback may submit. */
void engine_answer(struct engine *engine, struct op *op, enum farpage_status status,
                   uint64_t latency_ns) FP_NONNULL(1, 2);

/* Statuses that another attempt may change: DISCONNECTED, UNREACHABLE, TIMEOUT. */
bool engine_weather(enum farpage_status status) FP_MUST_CHECK;

/* Ends the connection because of `status`; engine->weather says why. Weather lets what may be
 * repeated wait for the next connection; any other status is every op's answer. */
void engine_break(struct engine *engine, enum farpage_status status) FP_NONNULL(1);

/* --- engine_connect.c --- */

void engine_schedule(struct engine *engine, uint64_t now_ns) FP_NONNULL(1);
/* Connects, or sees how far that is, as far as the time allows. */
void engine_advance(struct engine *engine, uint64_t now_ns) FP_NONNULL(1);
/* Asks for what the packer lacks, where there is room. */
void engine_keep_up(struct engine *engine, uint64_t now_ns) FP_NONNULL(1);
/* Says HELLO. */
void engine_greet(struct engine *engine, uint64_t now_ns) FP_NONNULL(1);
/* The reply to a request of the engine's own. */
void engine_shaken(struct engine *engine, const struct reply *reply) FP_NONNULL(1, 2);

/* --- engine_enter.c --- */

/* Of a connection that was just made: agrees on TLS and logs in, where that is wanted; greets. */
void engine_enter(struct engine *engine, uint64_t now_ns) FP_NONNULL(1);
void engine_go_on_entering(struct engine *engine, uint64_t now_ns) FP_NONNULL(1);

/* --- engine_drain.c --- */

/* A draining area does not take the op's change: it is sent again in a while. */
void engine_hold(struct engine *engine, struct op *op) FP_NONNULL(1, 2);
/* Lets go of what was held, where its time has come. */
void engine_let_go(struct engine *engine, uint64_t now_ns) FP_NONNULL(1);
/* The server asks for the area's pages to be taken; the header is one of UNUSE with tag 0. False:
 * it makes no sense. */
bool engine_unuse(struct engine *engine, const struct frame *frame) FP_MUST_CHECK
    FP_NONNULL(1, 2);
/* OPEN's reply says that the area is elsewhere. True: the engine goes there. */
bool engine_follow(struct engine *engine, struct slice body) FP_MUST_CHECK FP_NONNULL(1);

/* --- engine_out.c --- */

/* How much of a long body goes with one request. */
size_t engine_part_bytes(const struct op_request *request) FP_NONNULL(1);

/* Composes one request, for which there is room. */
void engine_compose(struct engine *engine, struct op *op, uint64_t now_ns) FP_NONNULL(1, 2);
/* Composes what may go and sends what the socket takes. */
void engine_send(struct engine *engine, uint64_t now_ns) FP_NONNULL(1);
/* Something in the queue could be composed now. */
bool engine_may_compose(const struct engine *engine) FP_NONNULL(1);

/* --- engine_in.c --- */

void engine_receive(struct engine *engine) FP_NONNULL(1);

#endif
