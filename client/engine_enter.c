/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between a connection and its hello: TLS where it is wanted, then the login where there is a user.
 *   connected -> (handshake) -> (login sent -> "STORED") -> greeting */
#include <errno.h>
#include <string.h>

#include "client/engine_parts.h"

enum { ANSWER_BYTES_MAX = 256 };

/* Who hung up may be there again in a moment; who cannot be believed is the same the next time. */
static void give_up_tls(struct engine *engine, int error)
{
    const char *peer = engine->options.peer->text;
    reason_set(&engine->weather, "no TLS with %.100s: %.300s", peer,
               transport_reason(&engine->transport));
    engine_break(engine, error == ECONNRESET ? FARPAGE_UNREACHABLE : FARPAGE_DENIED);
}

static bool handshake_is_done(struct engine *engine)
{
    if (!engine->handshaking) return true;
    int error = transport_handshake(&engine->transport);
    if (error == EINPROGRESS) return false;
    if (error != 0) {
        give_up_tls(engine, error);
        return false;
    }
    engine->handshaking = false;
    return true;
}

static bool login_is_sent(struct engine *engine)
{
    while (engine->out_end > engine->out_start) {
        ssize_t sent = transport_send(&engine->transport, engine->out + engine->out_start,
                                      engine->out_end - engine->out_start);
        if (sent <= 0) return sent < 0; /* what it says to that is worth hearing */
        engine->out_start += (size_t)sent;
    }
    engine->out_start = engine->out_end = 0;
    return true;
}

static void take_answer(struct engine *engine, struct slice line, uint64_t now_ns)
{
    const struct door *door = engine->options.door;
    engine->in_start = engine->in_end = 0;
    engine->entering_login = false;
    if (line.size_bytes >= 6 && memcmp(line.bytes, "STORED", 6) == 0) {
        engine_greet(engine, now_ns);
        return;
    }
    char quoted[REASON_QUOTE_BYTES];
    reason_quote(line, quoted);
    reason_set(&engine->weather, "the server does not let user '%.64s' in: %s", door->user, quoted);
    engine_break(engine, FARPAGE_DENIED);
}

static void await_answer(struct engine *engine, uint64_t now_ns)
{
    ssize_t got = transport_receive(&engine->transport, engine->in + engine->in_end,
                                    ANSWER_BYTES_MAX - engine->in_end);
    if (got == -EAGAIN) return;
    if (got <= 0) {
        const char *why = transport_reason(&engine->transport);
        bool tls = engine->transport.tls != NULL;
        reason_set(&engine->weather, "the server closed the connection%s%.300s",
                   why[0] != '\0' ? ": "
                   : tls          ? "; does it want a certificate?"
                                  : "; does it want TLS?",
                   why);
        engine_break(engine, FARPAGE_DISCONNECTED);
        return;
    }
    engine->in_end += (size_t)got;
    struct slice line = slice_of(engine->in, engine->in_end);
    if (memchr(line.bytes, '\n', line.size_bytes) != NULL || engine->in_end == ANSWER_BYTES_MAX)
        take_answer(engine, line, now_ns);
}

void engine_go_on_entering(struct engine *engine, uint64_t now_ns)
{
    if (!handshake_is_done(engine)) return;
    if (!engine->entering_login) {
        engine_greet(engine, now_ns);
        return;
    }
    if (login_is_sent(engine)) await_answer(engine, now_ns);
}

void engine_enter(struct engine *engine, uint64_t now_ns)
{
    const struct door *door = engine->options.door;
    engine->handshaking = door != NULL && door->tls != NULL;
    engine->entering_login = door != NULL && door->login_bytes > 0;
    engine->phase = ENGINE_ENTERING;
    engine->out_start = engine->out_end = 0;
    if (engine->handshaking &&
        !transport_secure(&engine->transport, door->tls, engine->options.peer->host)) {
        reason_set(&engine->weather, "out of memory for TLS");
        engine_break(engine, FARPAGE_NO_MEMORY);
        return;
    }
    if (engine->entering_login) {
        memcpy(engine->out, door->login, door->login_bytes);
        engine->out_end = door->login_bytes;
    }
    engine_go_on_entering(engine, now_ns);
}
