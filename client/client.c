/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/address.h"
#include "protocol/limits.h"

enum { TIMEOUT_MS_DEFAULT = 10000 };

#define STATUSES(X)                         \
    X(FARPAGE_OK, "ok")                     \
    X(FARPAGE_ABSENT, "absent")             \
    X(FARPAGE_CORRUPT, "corrupt")           \
    X(FARPAGE_NO_MEMORY, "no memory")       \
    X(FARPAGE_RANGE, "range")               \
    X(FARPAGE_NO_AREA, "no area")           \
    X(FARPAGE_BAD_AREA, "bad area")         \
    X(FARPAGE_INVALID, "invalid")           \
    X(FARPAGE_UNREACHABLE, "unreachable")   \
    X(FARPAGE_DISCONNECTED, "disconnected") \
    X(FARPAGE_TIMEOUT, "timeout")           \
    X(FARPAGE_PROTOCOL, "protocol")         \
    X(FARPAGE_LIMIT, "limit")               \
    X(FARPAGE_REFUSED, "refused")           \
    X(FARPAGE_LOST, "lost")                 \
    X(FARPAGE_DRAINING, "draining")         \
    X(FARPAGE_MOVED, "moved")                 \
    X(FARPAGE_QUOTA, "quota")

const char *farpage_status_text(enum farpage_status status)
{
    static const char *const texts[] = {
#define X(name, text) [name] = text,
        STATUSES(X)
#undef X
    };
    bool known = (unsigned)status < FP_COUNT_OF(texts) && texts[status] != NULL;
    return known ? texts[status] : "unknown status";
}

struct wire_row {
    enum farpage_status status;
    const char *sentence;
};

static struct wire_row wire_row(uint16_t wire)
{
    /* BAD_CHECKSUM: the page changed between here and there, or under our hands. */
    static const struct wire_row rows[] = {
        [FRAME_OK] = {FARPAGE_OK, "done"},
        [FRAME_ABSENT] = {FARPAGE_ABSENT, "nothing is stored there"},
        [FRAME_CORRUPT] = {FARPAGE_CORRUPT, "the page is corrupt: its checksum does not match"},
        [FRAME_NO_MEMORY] = {FARPAGE_NO_MEMORY, "the server's memory limit is reached"},
        [FRAME_RANGE] = {FARPAGE_RANGE, "the slots are not all within the area"},
        [FRAME_NO_AREA] = {FARPAGE_NO_AREA, "there is no such area"},
        [FRAME_BAD_AREA] = {FARPAGE_BAD_AREA, "the server takes no area of that name"},
        [FRAME_BAD_LENGTH] = {FARPAGE_REFUSED, "the server found the request's length wrong"},
        [FRAME_BAD_CHECKSUM] = {FARPAGE_CORRUPT, "the page did not arrive as it was sent"},
        [FRAME_BAD_OPCODE] = {FARPAGE_REFUSED, "the server does not know this request"},
        [FRAME_BAD_VERSION] = {FARPAGE_PROTOCOL, "the server has no protocol version in common"},
        [FRAME_NO_HELLO] = {FARPAGE_PROTOCOL, "the server did not understand the hello"},
        [FRAME_BAD_HEADER] = {FARPAGE_PROTOCOL, "the server could not read the request"},
        [FRAME_LIMIT] = {FARPAGE_LIMIT, "a documented limit of the server is reached"},
        [FRAME_NO_SECTION] = {FARPAGE_REFUSED, "the server has no statistics of that name"},
        [FRAME_OFF] = {FARPAGE_REFUSED, "the configuration has switched that off"},
        [FRAME_NO_COMMAND] = {FARPAGE_REFUSED, "the server knows no such command"},
        [FRAME_REFUSED] = {FARPAGE_REFUSED, "the server refused it"},
        [FRAME_QUOTA] = {FARPAGE_QUOTA, "the area's quota is reached"},
        [FRAME_DRAINING] = {FARPAGE_DRAINING, "the area is being moved and takes no changes now"},
        [FRAME_MOVED] = {FARPAGE_MOVED, "the area is on another server now"},
        [FRAME_BAD_FIELD] = {FARPAGE_REFUSED, "the server found a field of the request wrong"},
        [FRAME_LOST] = {FARPAGE_LOST, "what the area held is lost: the server restarted, or the "
                                      "area was deleted"},
    };
    if (wire < FP_COUNT_OF(rows) && rows[wire].sentence != NULL) return rows[wire];
    return (struct wire_row){FARPAGE_PROTOCOL, "the server sent an unknown status"};
}

enum farpage_status client_status_of_wire(uint16_t wire)
{
    return wire_row(wire).status;
}

const char *client_sentence_of_wire(uint16_t wire)
{
    return wire_row(wire).sentence;
}

enum farpage_status client_fail(struct farpage *client, enum farpage_status status)
{
    transport_close(&client->transport);
    client->closed_because = status;
    return status;
}

enum farpage_status client_check_open(struct farpage *client)
{
    if (client->closed_because == FARPAGE_OK) return FARPAGE_OK;
    reason_set(&client->reason, "the connection was closed before: %s",
               farpage_status_text(client->closed_because));
    return FARPAGE_DISCONNECTED;
}

/* --- one request ---------------------------------------------------------------------------- */

struct single_run {
    const struct single *single;
    bool given, sensible;
    uint16_t wire;
    struct reason refusal; /* the server's sentence, where it sent one */
};

static bool single_next(void *context, struct call *call)
{
    struct single_run *run = context;
    if (run->given) return false;
    run->given = true;
    *call = run->single->call;
    return true;
}

static bool single_answered(void *context, struct call *call, const struct answer *answer)
{
    struct single_run *run = context;
    (void)call;
    run->wire = answer->frame.status;
    if (run->wire == FRAME_REFUSED) reason_set_bytes(&run->refusal, answer->body);
    if (run->wire == FRAME_OK && run->single->answered != NULL) {
        run->sensible = run->single->answered(run->single->context, answer);
    }
    return false;
}

enum farpage_status client_ask(struct farpage *client, const struct single *single)
{
    struct single_run run = {.single = single, .sensible = true};
    struct asker asker = {single_next, single_answered, &run};
    struct exchange_limits limits = {.depth = 1, .timeout_ns = client->timeout_ns};
    enum farpage_status status =
        exchange_run(&client->exchange, &client->transport, &asker, limits, &client->reason);
    if (status != FARPAGE_OK) return client_fail(client, status);
    if (!run.sensible) {
        reason_set(&client->reason, "%s: the server's answer makes no sense", single->what);
        return client_fail(client, FARPAGE_PROTOCOL);
    }
    if (run.wire == FRAME_OK) return FARPAGE_OK;
    if (run.refusal.text[0] != '\0')
        client->reason = run.refusal;
    else
        reason_set(&client->reason, "%s: %s", single->what, client_sentence_of_wire(run.wire));
    status = client_status_of_wire(run.wire);
    return status == FARPAGE_PROTOCOL ? client_fail(client, status) : status;
}

/* --- connect, disconnect -------------------------------------------------------------------- */

static bool page_bytes_possible(uint32_t bytes)
{
    return bytes == 4 << 10 || bytes == 16 << 10 || bytes == 64 << 10;
}

static bool take_welcome(void *context, const struct answer *answer)
{
    struct farpage *client = context;
    struct frame_welcome welcome;
    if (!frame_welcome_decode(answer->body, &welcome)) return false;
    if (welcome.version != FRAME_VERSION || welcome.features != 0) return false;
    if (!page_bytes_possible(welcome.page_bytes)) return false;
    if (welcome.body_bytes_max < welcome.page_bytes) return false;
    client->server.version = welcome.version;
    client->server.page_bytes = welcome.page_bytes;
    _Static_assert(sizeof client->server.boot_id == FRAME_BOOT_ID_BYTES, "as on the wire");
    memcpy(client->server.boot_id, welcome.boot_id, FRAME_BOOT_ID_BYTES);
    return true;
}

static enum farpage_status say_hello(struct farpage *client, uint64_t deadline_ns)
{
    uint8_t body[FRAME_HELLO_BYTES];
    frame_hello_encode(&(struct frame_hello){FRAME_VERSION, FRAME_VERSION, 0}, body);
    struct single hello = {
        .call = {.frame = {.opcode = FRAME_HELLO},
                 .body = slice_of(body, sizeof body),
                 .ok_bytes_min = FRAME_WELCOME_BYTES,
                 .ok_bytes_max = FRAME_WELCOME_BYTES},
        .what = "agreeing on the protocol",
        .answered = take_welcome,
        .context = client,
    };
    uint64_t now = clock_monotonic_ns();
    uint64_t whole = client->timeout_ns;
    client->timeout_ns = now < deadline_ns ? deadline_ns - now : 0;
    enum farpage_status status = client_ask(client, &hello);
    client->timeout_ns = whole;
    if (status == FARPAGE_TIMEOUT) {
        char patience[REASON_DURATION_BYTES];
        reason_duration(whole, patience);
        reason_set(&client->reason,
                   "the server did not answer within %s; is it a farpage server?", patience);
    }
    return status;
}

static enum farpage_status open_connection(struct farpage *client,
                                           const struct farpage_options *options)
{
    const char *server = options != NULL ? options->server : NULL;
    struct address address;
    if (!address_parse(server != NULL ? server : ADDRESS_DEFAULT, &address, &client->reason)) {
        return client_fail(client, FARPAGE_INVALID);
    }
    uint64_t deadline_ns = clock_monotonic_ns() + client->timeout_ns;
    enum farpage_status status =
        transport_connect(&client->transport, &address, deadline_ns, &client->reason);
    if (status != FARPAGE_OK) return client_fail(client, status);
    return say_hello(client, deadline_ns);
}

enum farpage_status farpage_connect(const struct farpage_options *options, struct farpage **client)
{
    if (client == NULL) return FARPAGE_INVALID;
    *client = calloc(1, sizeof **client);
    if (*client == NULL) return FARPAGE_NO_MEMORY;
    uint32_t timeout_ms = options != NULL ? options->timeout_ms : 0;
    if (timeout_ms == 0) timeout_ms = TIMEOUT_MS_DEFAULT;
    (*client)->timeout_ns = timeout_ms * 1000000ull;
    (*client)->transport.fd = -1;
    exchange_init(&(*client)->exchange);
    enum farpage_status status = open_connection(*client, options);
    /* Also where the server only refused the hello: there is nothing else to ask it. */
    return status == FARPAGE_OK ? FARPAGE_OK : client_fail(*client, status);
}

void farpage_disconnect(struct farpage **client)
{
    if (client == NULL || *client == NULL) return;
    struct farpage *taken = *client;
    *client = NULL;
    transport_close(&taken->transport);
    exchange_fini(&taken->exchange);
    while (taken->areas != NULL) {
        struct farpage_area *area = taken->areas;
        taken->areas = area->next;
        free(area->name);
        free(area);
    }
    free(taken);
}

const char *farpage_error(const struct farpage *client)
{
    return client != NULL ? client->reason.text : "out of memory";
}

const struct farpage_server_info *farpage_server(const struct farpage *client)
{
    return &client->server;
}

/* --- ping ----------------------------------------------------------------------------------- */

struct ping {
    struct slice sent;
    uint64_t latency_ns;
};

static bool take_echo(void *context, const struct answer *answer)
{
    struct ping *ping = context;
    ping->latency_ns = answer->latency_ns;
    return slice_equal(answer->body, ping->sent);
}

enum farpage_status farpage_ping(struct farpage *client, uint64_t *nanoseconds)
{
    if (client == NULL) return FARPAGE_INVALID;
    enum farpage_status status = client_check_open(client);
    if (status != FARPAGE_OK) return status;
    uint64_t serial = ++client->pings; /* so that no two echoes are alike */
    struct ping ping = {.sent = slice_of(&serial, sizeof serial)};
    struct single single = {
        .call = {.frame = {.opcode = FRAME_PING},
                 .body = ping.sent,
                 .ok_bytes_min = sizeof serial,
                 .ok_bytes_max = sizeof serial},
        .what = "ping",
        .answered = take_echo,
        .context = &ping,
    };
    status = client_ask(client, &single);
    if (status == FARPAGE_OK && nanoseconds != NULL) *nanoseconds = ping.latency_ns;
    return status;
}
