/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An area that is taken away from its server.
 *
 *   unuse:     the server asks --> the caller will, or will not --> it is told so
 *   draining:  a change --refused--> held --in a while--> queued; at its deadline: FARPAGE_DRAINING
 *   moved:     the connection ends --> OPEN --moved, to where--> followed: that server's OPEN, as
 *              if it had been there always; or FARPAGE_MOVED to all that is and will be asked */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/backoff.h"
#include "client/engine_parts.h"

enum {
    HOLD_NS_MAX = 100000000,
    ANSWERS_MAX = 16, /* to notices, that the server has not taken: it asks for nothing but these */
    MOVES_MAX = 8, /* servers that send each other's clients round in circles are not followed */
};

void engine_hold(struct engine *engine, struct op *op)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (list_empty(&engine->held)) {
        engine->held_until_ns = now_ns + backoff_ns(engine->holds, HOLD_NS_MAX, now_ns);
        if (engine->holds < 30) engine->holds++;
    }
    op->held = true;
    list_push_back(&engine->held, &op->place);
}

void engine_let_go(struct engine *engine, uint64_t now_ns)
{
    if (now_ns >= engine->held_until_ns) list_splice_front(&engine->queue, &engine->held);
}

static void heard(const struct op_request *request, const struct farpage_answer *answer)
{
    (void)request, (void)answer; /* if the answer was lost, the server's time passes */
}

bool engine_unuse(struct engine *engine, const struct frame *frame)
{
    const struct engine_options *options = &engine->options;
    bool sensible = engine->phase == ENGINE_READY && engine->opening != NULL &&
                    frame->status == FRAME_OK && frame->body_bytes == 0 && frame->count > 0;
    if (!sensible || options->unuse == NULL || frame->area != engine->opening->number)
        return false;
    if (engine->own_waiting >= ANSWERS_MAX) return false;
    int takes = options->unuse(options->unuse_context, frame->slot, frame->count);
    struct op_request answer = {
        .opcode = FRAME_UNUSE_ANSWER,
        .count = takes != 0 ? 0 : 1,
        .of_area = true,
        .own = true,
        .timeout_ns = options->timeout_ns,
        .done = heard,
    };
    (void)!engine_submit(engine, &answer); /* out of memory for it, we say nothing */
    return true;
}

/* The address becomes the engine's own. False: it is none that can be gone to without waiting. */
static bool go_to(struct engine *engine, const char *address)
{
    struct reason unused;
    struct peer *peer = malloc(sizeof *peer);
    bool good = peer != NULL && peer_resolve_numbers(peer, address, &unused) == FARPAGE_OK;
    if (!good) {
        free(peer);
        return false;
    }
    free(engine->followed);
    engine->followed = peer;
    engine->options.peer = peer;
    return true;
}

bool engine_follow(struct engine *engine, struct slice body)
{
    struct frame_moved moved;
    struct opening *opening = engine->opening;
    if (!frame_moved_decode(body, &moved)) {
        reason_set(&engine->weather, "the server's answer makes no sense");
        engine_break(engine, FARPAGE_PROTOCOL);
        return false;
    }
    memcpy(opening->moved_to, moved.address.bytes, moved.address.size_bytes);
    opening->moved_to[moved.address.size_bytes] = '\0';
    reason_set(&engine->weather, "the area moved to %.200s", opening->moved_to);
    bool follows = engine->options.follow && engine->options.reconnect &&
                   opening->moves < MOVES_MAX;
    if (follows && go_to(engine, opening->moved_to)) {
        opening->moves++;
        opening_moved(opening, &moved);
        return true;
    }
    engine->moved = true;
    engine_break(engine, FARPAGE_MOVED);
    return false;
}
