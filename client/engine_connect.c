/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An attempt: the peer's addresses one after the other, each with its share of the time that is
 * left, so that a first one that never answers does not use up what the others need; then HELLO,
 * then OPEN where there is an area. */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/backoff.h"
#include "client/engine_parts.h"
#include "client/wire_status.h"

enum { CROWDED_NS = 5000000 }; /* a unix listener with a full queue has room again soon */

static uint64_t next_random(struct engine *engine)
{
    engine->random = engine->random * 6364136223846793005ull + 1442695040888963407ull;
    return engine->random >> 20;
}

/* Half a timeout at most, so that no call's time passes without an attempt; but a short timeout is
 * no reason to knock more often than after the first failure. */
static uint64_t longest_delay(const struct engine_options *options)
{
    uint64_t half = max_u64(options->timeout_ns / 2, BACKOFF_MS_FIRST * 1000000ull);
    return min_u64(options->backoff_ns_max, half);
}

void engine_schedule(struct engine *engine, uint64_t now_ns)
{
    uint64_t delay =
        backoff_ns(engine->failures, longest_delay(&engine->options), next_random(engine));
    if (engine->failures < 64) engine->failures++;
    engine->retry_at_ns = now_ns + delay;
}

/* --- the handshake -------------------------------------------------------------------------- */

static void shake(struct engine *engine, const struct op_request *request, uint64_t now_ns)
{
    struct op *op = engine_take_op(engine);
    if (op == NULL) {
        reason_set(&engine->weather, "out of memory for a request");
        engine_break(engine, FARPAGE_NO_MEMORY);
        return;
    }
    op->request = *request;
    op->shake = true;
    engine->shaking = true;
    engine_compose(engine, op, now_ns);
}

static uint32_t features_of(const struct engine *engine)
{
    bool packs = engine->packer != NULL && packer_wants(engine->packer);
    bool listens = engine->options.unuse != NULL;
    return (packs ? FRAME_FEATURE_PACKED : 0u) | (listens ? FRAME_FEATURE_NOTICES : 0u);
}

void engine_greet(struct engine *engine, uint64_t now_ns)
{
    uint8_t body[FRAME_HELLO_BYTES];
    frame_hello_encode(&(struct frame_hello){FRAME_VERSION, FRAME_VERSION, features_of(engine)},
                       body);
    engine->phase = ENGINE_GREETING;
    engine->sent_bytes = engine->composed_bytes = 0;
    struct op_request hello = {
        .opcode = FRAME_HELLO,
        .body = slice_of(body, sizeof body),
        .ok_bytes_min = FRAME_WELCOME_BYTES,
        .ok_bytes_max = FRAME_WELCOME_BYTES,
    };
    shake(engine, &hello, now_ns);
}

static void ask_open(struct engine *engine)
{
    uint8_t body[OPENING_BODY_BYTES_MAX];
    struct op_request open = {
        .opcode = FRAME_OPEN,
        .body = slice_of(body, opening_encode(engine->opening, body)),
        .ok_bytes_min = FRAME_OPENED_BYTES,
        .ok_bytes_max = FRAME_OPENED_BYTES,
        .said_bytes_max = REFUSAL_BYTES_MAX,
    };
    shake(engine, &open, clock_monotonic_ns());
}

static void agree(struct engine *engine)
{
    const struct frame_opened *is = &engine->opening->is;
    bool packed = (engine->welcome.features & FRAME_FEATURE_PACKED) != 0;
    struct packer_terms terms = {
        .codecs = packed ? engine->welcome.codecs : 0,
        .page_bytes = is->page_bytes,
        .hint = is->codec,
        .hint_level = is->level,
        .dictionary_id = is->dictionary_id,
    };
    if (engine->packer != NULL) packer_agree(engine->packer, &terms);
}

static void become_ready(struct engine *engine)
{
    engine->phase = ENGINE_READY;
    engine->first = false;
    engine->attempt_until_ns = 0;
    engine->connections++;
}

static void refuse(struct engine *engine, enum farpage_status status, const char *why)
{
    reason_set(&engine->weather, "%s", why);
    engine_break(engine, status);
}

static void take_welcome(struct engine *engine, const struct reply *reply)
{
    struct frame_welcome *welcome = &engine->welcome;
    bool sensible = frame_welcome_decode(reply->body, welcome);
    sensible = sensible && welcome->version == FRAME_VERSION;
    sensible = sensible && (welcome->features & ~features_of(engine)) == 0;
    sensible = sensible && opening_page_bytes_possible(welcome->page_bytes);
    if (!sensible || welcome->body_bytes_max < welcome->page_bytes) {
        refuse(engine, FARPAGE_PROTOCOL, "the server's welcome makes no sense");
        return;
    }
    if (engine->opening == NULL) {
        become_ready(engine);
        return;
    }
    engine->phase = ENGINE_OPENING;
    ask_open(engine);
}

static void take_opened(struct engine *engine, const struct reply *reply)
{
    enum farpage_status status =
        opening_take(engine->opening, engine->welcome.boot_id, &reply->frame, reply->body);
    if (status == FARPAGE_OK) {
        agree(engine);
        if (engine->phase != ENGINE_READY) become_ready(engine);
        return;
    }
    if (status == FARPAGE_LOST) {
        engine->lost = true;
        refuse(engine, status, wire_status_sentence(FRAME_LOST));
        return;
    }
    refuse(engine, status, "the server's answer makes no sense");
}

/* At another address, and at once: nothing has failed. */
static void go_there(struct engine *engine)
{
    bool first = engine->first;
    engine->first = false;
    engine_break(engine, FARPAGE_DISCONNECTED);
    engine->first = first;
    engine->failures = 0;
    if (engine->phase == ENGINE_DOWN) engine->retry_at_ns = 0;
}

/* An area that was known and is not there any more is as lost as one that is another now. */
static void take_refusal(struct engine *engine, const struct reply *reply)
{
    enum farpage_status status = wire_status(reply->frame.status);
    bool known = engine->opening != NULL && engine->opening->known;
    if (status == FARPAGE_MOVED && engine->phase == ENGINE_OPENING) {
        if (engine_follow(engine, reply->body)) go_there(engine);
        return;
    }
    if (known && status == FARPAGE_NO_AREA) status = FARPAGE_LOST;
    engine->lost = known && status == FARPAGE_LOST;
    if (reply->body.size_bytes > 0) {
        reason_set_bytes(&engine->weather, reply->body);
        engine_break(engine, status);
        return;
    }
    uint16_t wire = engine->lost ? FRAME_LOST : reply->frame.status;
    refuse(engine, status, wire_status_sentence(wire));
}

/* --- while it is ready ---------------------------------------------------------------------- */

/* Of a dictionary or of what is open now, only that it is lost concerns the pages on the way. */
static void take_while_ready(struct engine *engine, const struct reply *reply)
{
    bool good = reply->frame.status == FRAME_OK;
    if (reply->frame.opcode == FRAME_DICTIONARY) {
        packer_learn(engine->packer, good ? reply->body : slice_of(NULL, 0));
        engine->look_again = engine->look_again || !good;
    } else if (good) {
        take_opened(engine, reply);
    } else if (wire_status(reply->frame.status) == FARPAGE_LOST) {
        take_refusal(engine, reply);
    }
}

static void ask_dictionary(struct engine *engine, uint64_t now_ns)
{
    struct op_request dictionary = {
        .opcode = FRAME_DICTIONARY,
        .slot = engine->packer->wanted_id,
        .of_area = true,
        .ok_bytes_min = 1,
        .ok_bytes_max = DICTIONARY_BYTES_MAX,
    };
    shake(engine, &dictionary, now_ns);
}

void engine_keep_up(struct engine *engine, uint64_t now_ns)
{
    bool can = engine->packer != NULL && engine->phase == ENGINE_READY && !engine->shaking &&
               ENGINE_OUTBOX_BYTES - engine->out_end >= FRAME_HEADER_BYTES + OPENING_BODY_BYTES_MAX;
    if (!can) return;
    if (engine->packer->wanted_id != 0) {
        ask_dictionary(engine, now_ns);
    } else if (engine->look_again) {
        engine->look_again = false;
        ask_open(engine);
    }
}

void engine_shaken(struct engine *engine, const struct reply *reply)
{
    engine->shaking = false;
    if (engine->phase == ENGINE_READY)
        take_while_ready(engine, reply);
    else if (reply->frame.status != FRAME_OK)
        take_refusal(engine, reply);
    else if (engine->phase == ENGINE_GREETING)
        take_welcome(engine, reply);
    else
        take_opened(engine, reply);
}

/* --- the socket ----------------------------------------------------------------------------- */

static unsigned address_count(const struct engine *engine)
{
    const struct peer *peer = engine->options.peer;
    return peer->dial != NULL ? 1 : peer->count;
}

static void cannot_connect(struct engine *engine, int error)
{
    reason_set_errno(&engine->weather, error, "cannot connect to %s", engine->options.peer->text);
}

static void try_addresses(struct engine *engine, uint64_t now_ns)
{
    int error = EADDRNOTAVAIL;
    for (unsigned count = address_count(engine); engine->address < count; engine->address++) {
        error = transport_start(&engine->transport, engine->options.peer, engine->address);
        if (error == 0) {
            engine_enter(engine, now_ns);
            return;
        }
        if (error == EINPROGRESS) {
            uint64_t left = engine->attempt_until_ns - min_u64(now_ns, engine->attempt_until_ns);
            engine->phase = ENGINE_CONNECTING;
            engine->address_until_ns = now_ns + left / (count - engine->address);
            return;
        }
        cannot_connect(engine, error);
        if (error == EAGAIN) {
            engine->phase = ENGINE_DOWN;
            engine->retry_at_ns = now_ns + CROWDED_NS;
            return;
        }
    }
    engine_break(engine, FARPAGE_UNREACHABLE);
}

static void go_on_connecting(struct engine *engine, uint64_t now_ns)
{
    int error = transport_finish(&engine->transport);
    if (error == 0) {
        engine_enter(engine, now_ns);
        return;
    }
    if (error == EINPROGRESS) {
        if (now_ns < engine->address_until_ns) return;
        transport_close(&engine->transport);
        error = ETIMEDOUT;
    }
    cannot_connect(engine, error);
    engine->address++;
    if (engine->address < address_count(engine))
        try_addresses(engine, now_ns);
    else
        engine_break(engine, FARPAGE_UNREACHABLE);
}

static void begin_attempt(struct engine *engine, uint64_t now_ns)
{
    if (engine->attempt_until_ns == 0) {
        engine->attempt_until_ns = now_ns + engine->options.timeout_ns;
    }
    if (now_ns >= engine->attempt_until_ns) {
        engine_break(engine, FARPAGE_UNREACHABLE);
        return;
    }
    engine->address = 0;
    try_addresses(engine, now_ns);
}

void engine_advance(struct engine *engine, uint64_t now_ns)
{
    bool shaking = engine->phase >= ENGINE_ENTERING && engine->phase <= ENGINE_OPENING;
    if (shaking && now_ns >= engine->attempt_until_ns) {
        char patience[REASON_DURATION_BYTES];
        reason_duration(engine->options.timeout_ns, patience);
        bool greeting = engine->phase <= ENGINE_GREETING;
        reason_set(&engine->weather, "the server did not answer within %s%s", patience,
                   greeting ? "; is it a farpage server?" : "");
        engine_break(engine, FARPAGE_TIMEOUT);
    }
    if (engine->phase == ENGINE_CONNECTING)
        go_on_connecting(engine, now_ns);
    else if (engine->phase == ENGINE_ENTERING)
        engine_go_on_entering(engine, now_ns);
    else if (engine->phase == ENGINE_DOWN && now_ns >= engine->retry_at_ns)
        begin_attempt(engine, now_ns);
}

/* --- awaited -------------------------------------------------------------------------------- */

/* Until a connection was ready, an attempt met what no other will change, or the time is over. True
 * where one was, whatever came of it since. */
static bool connect_now(struct engine *engine, uint64_t until_ns)
{
    uint64_t before = engine->connections;
    engine->phase = ENGINE_DOWN;
    engine->broken_by = FARPAGE_OK;
    engine->failures = 0;
    engine->retry_at_ns = 0;
    engine_process(engine, 0);
    while (engine->connections == before && engine->phase != ENGINE_ENDED) {
        bool over = engine->broken_by != FARPAGE_OK && !engine_weather(engine->broken_by);
        if (over || clock_monotonic_ns() >= until_ns) break;
        int events = transport_wait(engine->transport.fd, engine_events(engine),
                                    min_u64(until_ns, engine_due_ns(engine)));
        engine_process(engine, events > 0 ? events : 0);
    }
    return engine->connections > before;
}

enum farpage_status engine_open(struct engine *engine)
{
    /* The attempt has a deadline of its own, and the first one is the last. */
    if (connect_now(engine, UINT64_MAX)) return FARPAGE_OK;
    engine->reason = engine->weather;
    return engine->ended_because;
}

void engine_renew_begin(struct engine *engine)
{
    if (engine->entered || !engine->lost) return;
    opening_forget(engine->opening);
    engine->lost = false;
    engine->phase = ENGINE_DOWN;
    engine->failures = 0;
    engine->retry_at_ns = 0;
}

enum farpage_status engine_renew(struct engine *engine)
{
    if (engine->entered) {
        reason_set(&engine->reason, "a call that waits makes no sense in a callback");
        return FARPAGE_INVALID;
    }
    if (!engine->lost) return FARPAGE_OK;
    struct reason lost = engine->weather;
    opening_forget(engine->opening);
    engine->lost = false;
    if (connect_now(engine, clock_monotonic_ns() + engine->options.timeout_ns)) return FARPAGE_OK;
    engine->reason = engine->weather;
    enum farpage_status status = engine->broken_by != FARPAGE_OK ? engine->broken_by
                                                                 : FARPAGE_TIMEOUT;
    engine->lost = true; /* still */
    engine_break(engine, FARPAGE_LOST);
    engine->weather = lost;
    return status;
}
