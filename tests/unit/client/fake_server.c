/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/client/fake_server.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/slice.h"
#include "protocol/frame.h"
#include "protocol/limits.h"

enum {
    AREAS_MAX = 8,
    SLOTS_KEPT_MAX = 4096, /* of larger areas only these can hold pages */
    PENDING_MAX = 2048,
    IN_BYTES = 1 << 20,
};

struct area {
    char name[AREA_NAME_BYTES_MAX + 1];
    uint64_t slots;
    uint8_t *pages[SLOTS_KEPT_MAX];
};

struct reply {
    uint8_t *bytes;
    size_t size_bytes;
};

struct fake_server {
    struct fake_plan plan;
    uint32_t page_bytes;
    char directory[64], path[96], address[112];
    int listener, connection, stop[2];
    pthread_t thread;
    struct area areas[AREAS_MAX];
    unsigned area_count, plan_replies;
    atomic_uint invalidations;
    struct reply pending[PENDING_MAX];
    unsigned pending_count;
    bool hang_up;
};

/* --- answers -------------------------------------------------------------------------------- */

static struct area *area_of(struct fake_server *server, uint32_t number)
{
    return number >= 1 && number <= server->area_count ? &server->areas[number - 1] : NULL;
}

static void answer_open(struct fake_server *server, struct slice body, struct frame *reply,
                        uint8_t *out)
{
    struct frame_open open;
    fp_assert(frame_open_decode(body, &open));
    struct area *found = NULL;
    for (unsigned i = 0; i < server->area_count; i++) {
        if (slice_is(open.name, server->areas[i].name)) found = &server->areas[i];
    }
    if (found == NULL && (open.flags & FRAME_OPEN_CREATE) == 0) {
        reply->status = FRAME_NO_AREA;
        return;
    }
    if (found == NULL) {
        fp_assert(server->area_count < AREAS_MAX);
        found = &server->areas[server->area_count++];
        memcpy(found->name, open.name.bytes, open.name.size_bytes);
        found->slots = open.slots;
    }
    if (open.slots != 0 && open.slots != found->slots) {
        reply->status = FRAME_BAD_AREA;
        return;
    }
    reply->area = (uint32_t)(found - server->areas) + 1;
    struct frame_opened opened = {
        .slots = found->slots, .page_bytes = server->page_bytes, .generation = 77};
    frame_opened_encode(&opened, out);
    reply->body_bytes = FRAME_OPENED_BYTES;
}

static void answer_page(struct fake_server *server, const struct frame *request, struct slice body,
                        struct frame *reply, uint8_t *out)
{
    struct area *area = area_of(server, request->area);
    if (area == NULL) {
        reply->status = FRAME_NO_AREA;
        return;
    }
    if (request->slot >= area->slots || request->slot >= SLOTS_KEPT_MAX) {
        reply->status = FRAME_RANGE;
        return;
    }
    uint8_t **page = &area->pages[request->slot];
    if (request->opcode == FRAME_STORE) {
        fp_assert(body.size_bytes == server->page_bytes && frame_body_good(request, body));
        if (*page == NULL) *page = malloc(server->page_bytes);
        fp_assert(*page != NULL);
        memcpy(*page, body.bytes, server->page_bytes);
    } else if (*page == NULL) {
        reply->status = FRAME_ABSENT;
    } else {
        memcpy(out, *page, server->page_bytes);
        reply->body_bytes = server->page_bytes;
    }
}

static void answer_invalidate(struct fake_server *server, const struct frame *request,
                              struct frame *reply)
{
    struct area *area = area_of(server, request->area);
    fp_assert(area != NULL);
    atomic_fetch_add(&server->invalidations, 1);
    uint64_t end = request->count == 0 ? area->slots : request->slot + request->count;
    if (end > area->slots) {
        reply->status = FRAME_RANGE;
        return;
    }
    for (uint64_t slot = request->slot; slot < end && slot < SLOTS_KEPT_MAX; slot++) {
        free(area->pages[slot]);
        area->pages[slot] = NULL;
    }
}

static void answer_stats(struct slice section, struct frame *reply, uint8_t *out)
{
    const char *text = "pid 7\nfarpage_resident_bytes 1048576\nname with blanks\n";
    if (slice_is(section, "areas")) text = "swap:slots 16\nswap:stored 2\n";
    if (slice_is(section, "nothing")) text = "";
    if (slice_is(section, "missing")) reply->status = FRAME_NO_SECTION;
    if (reply->status != FRAME_OK) return;
    reply->body_bytes = (uint32_t)strlen(text);
    memcpy(out, text, reply->body_bytes);
}

static void answer_compact(const struct frame *request, struct frame *reply, uint8_t *out)
{
    const char *started = "state running\nmoved_objects 0\n";
    const char *text = request->count == 0 ? started : "state idle\nmoved_objects 5\n";
    reply->body_bytes = (uint32_t)strlen(text);
    memcpy(out, text, reply->body_bytes);
}

static void answer_command(struct slice line, struct frame *reply, uint8_t *out)
{
    const char *text = "OK zstd:3, was lz4:1\n";
    if (slice_is(line, "two lines")) text = "one 1\ntwo 2\n";
    if (slice_is(line, "wrong"))
        reply->status = FRAME_REFUSED, text = "wrong is not\033[31m allowed";
    if (slice_is(line, "unknown")) text = "", reply->status = FRAME_NO_COMMAND;
    reply->body_bytes = (uint32_t)strlen(text);
    memcpy(out, text, reply->body_bytes);
}

static void answer_hello(const struct fake_server *server, struct frame *reply, uint8_t *out)
{
    struct frame_welcome welcome = {.version = 1,
                                    .boot_id = "0123456789abcde",
                                    .page_bytes = server->page_bytes,
                                    .body_bytes_max = FRAME_BODY_BYTES_MAX,
                                    .requests_ahead_max = 64};
    frame_welcome_encode(&welcome, out);
    reply->body_bytes = FRAME_WELCOME_BYTES;
}

static void answer(struct fake_server *server, const struct frame *request, struct slice body,
                   struct frame *reply, uint8_t *out)
{
    *reply =
        (struct frame){.magic = FRAME_MAGIC_REPLY, .opcode = request->opcode, .tag = request->tag};
    switch ((enum frame_opcode)request->opcode) {
    case FRAME_HELLO:
        answer_hello(server, reply, out);
        break;
    case FRAME_PING:
        memcpy(out, body.bytes, body.size_bytes);
        reply->body_bytes = (uint32_t)body.size_bytes;
        break;
    case FRAME_STATS:
        answer_stats(body, reply, out);
        break;
    case FRAME_COMPACT:
        answer_compact(request, reply, out);
        break;
    case FRAME_COMMAND:
        answer_command(body, reply, out);
        break;
    case FRAME_OPEN:
        answer_open(server, body, reply, out);
        break;
    case FRAME_STORE:
    case FRAME_LOAD:
        answer_page(server, request, body, reply, out);
        break;
    case FRAME_INVALIDATE:
        answer_invalidate(server, request, reply);
        break;
    case FRAME_STORE_BATCH: /* asked for by no client yet */
    case FRAME_LOAD_BATCH:
    case FRAME_INVALIDATE_BATCH:
        fp_assert(false);
    }
}

/* --- lies ----------------------------------------------------------------------------------- */

static void replace_body(const struct fake_plan *plan, struct frame *reply, uint8_t *body)
{
    if (plan->mischief == FAKE_STATUS) {
        reply->status = (uint16_t)plan->amount;
        reply->body_bytes = 0;
    }
    if (plan->mischief == FAKE_BODY) {
        memcpy(body, plan->body, plan->amount);
        reply->body_bytes = (uint32_t)plan->amount;
    }
    if (plan->mischief == FAKE_LENGTH_LESS) {
        reply->body_bytes = reply->body_bytes > 0 ? reply->body_bytes - 1 : 1;
    }
}

static void bend_header(const struct fake_plan *plan, struct frame *reply)
{
    enum mischief mischief = plan->mischief;
    if (mischief == FAKE_WRONG_MAGIC) reply->magic = 0xFC;
    if (mischief == FAKE_WRONG_TAG) reply->tag ^= 0x80000000u;
    if (mischief == FAKE_WRONG_OPCODE) reply->opcode ^= 3;
    if (mischief == FAKE_WRONG_STATUS) reply->status = 99;
    if (mischief == FAKE_WRONG_BODY_CRC) reply->body_crc ^= 1;
    if (mischief == FAKE_LENGTH_HUGE) reply->body_bytes = UINT32_MAX;
    if (mischief != FAKE_LAST_WORDS) return;
    *reply = (struct frame){.magic = FRAME_MAGIC_REPLY, .status = FRAME_BAD_HEADER};
}

static void set_reserved(uint8_t header[FRAME_HEADER_BYTES])
{
    header[35] = 1;
    uint32_t crc = crc32c(header, 36);
    for (int i = 0; i < 4; i++) header[36 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

/* Bends the encoded reply; returns how much of it is to be sent. */
static size_t bend_bytes(struct fake_server *server, uint8_t *bytes, size_t size_bytes)
{
    enum mischief mischief = server->plan.mischief;
    if (mischief == FAKE_WRONG_HEADER_CRC) bytes[39] ^= 1;
    if (mischief == FAKE_RESERVED_SET) set_reserved(bytes);
    if (mischief == FAKE_FLIPPED_BODY) bytes[(FRAME_HEADER_BYTES + size_bytes) / 2] ^= 4;
    if (mischief == FAKE_TEXT) return (size_t)snprintf((char *)bytes, 8, "ERROR\r\n");
    if (mischief == FAKE_SILENT) return 0;
    server->hang_up = mischief == FAKE_LAST_WORDS || mischief == FAKE_CUT;
    if (mischief == FAKE_LAST_WORDS) return FRAME_HEADER_BYTES;
    if (mischief == FAKE_CUT && server->plan.amount < size_bytes) return server->plan.amount;
    if (mischief != FAKE_TWICE) return size_bytes;
    memcpy(bytes + size_bytes, bytes, size_bytes);
    return 2 * size_bytes;
}

static void compose(struct fake_server *server, const struct frame *request, struct slice body)
{
    struct frame reply;
    uint8_t *bytes = calloc(2, FRAME_HEADER_BYTES + PAGE_BYTES_MAX);
    fp_assert(bytes != NULL);
    uint8_t *out = bytes + FRAME_HEADER_BYTES;
    answer(server, request, body, &reply, out);
    bool lie = server->plan.to == 0 || server->plan.to == request->opcode;
    lie = lie && server->plan_replies++ >= server->plan.after;
    if (lie) replace_body(&server->plan, &reply, out);
    size_t size_bytes = FRAME_HEADER_BYTES + reply.body_bytes;
    reply.body_crc = crc32c(out, reply.body_bytes);
    if (lie) bend_header(&server->plan, &reply);
    frame_encode(&reply, bytes);
    if (lie) size_bytes = bend_bytes(server, bytes, size_bytes);
    fp_assert(server->pending_count < PENDING_MAX);
    server->pending[server->pending_count++] = (struct reply){bytes, size_bytes};
}

/* --- the connection ------------------------------------------------------------------------- */

/* False where the server is to stop. */
static bool wait_for(const struct fake_server *server, int fd, short events, int timeout_ms)
{
    struct pollfd entries[] = {{.fd = server->stop[0], .events = POLLIN},
                               {.fd = fd, .events = events}};
    (void)poll(entries, 2, timeout_ms);
    return entries[0].revents == 0;
}

static bool send_all(const struct fake_server *server, const uint8_t *bytes, size_t size_bytes)
{
    bool drip = server->plan.mischief == FAKE_DRIPS;
    while (size_bytes > 0) {
        ssize_t sent =
            send(server->connection, bytes, drip ? 1 : size_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && !wait_for(server, server->connection, POLLOUT, 50)) return false;
        if (sent < 0) continue;
        if (drip && !wait_for(server, -1, 0, (int)server->plan.amount)) return false;
        bytes += sent;
        size_bytes -= (size_t)sent;
    }
    return true;
}

static bool send_pending(struct fake_server *server)
{
    bool good = true;
    for (unsigned i = 0; i < server->pending_count; i++) {
        bool reverse = server->plan.mischief == FAKE_OVERTAKES;
        struct reply *reply = &server->pending[reverse ? server->pending_count - 1 - i : i];
        good = good && send_all(server, reply->bytes, reply->size_bytes);
        free(reply->bytes);
    }
    server->pending_count = 0;
    return good && !server->hang_up;
}

static size_t take_requests(struct fake_server *server, const uint8_t *bytes, size_t size_bytes)
{
    size_t taken = 0;
    while (size_bytes - taken >= FRAME_HEADER_BYTES && !server->hang_up) {
        struct frame request;
        fp_assert(frame_decode(bytes + taken, FRAME_MAGIC_REQUEST, &request));
        size_t whole = FRAME_HEADER_BYTES + (size_t)request.body_bytes;
        if (size_bytes - taken < whole) break;
        compose(server, &request, slice_of(bytes + taken + FRAME_HEADER_BYTES, request.body_bytes));
        taken += whole;
    }
    return taken;
}

static void serve_connection(struct fake_server *server)
{
    uint8_t *in = malloc(IN_BYTES);
    fp_assert(in != NULL);
    size_t have = 0;
    server->hang_up = false;
    while (wait_for(server, server->connection, POLLIN, 1000)) {
        ssize_t got = recv(server->connection, in + have, IN_BYTES - have, MSG_DONTWAIT);
        if (got == 0) break;
        if (got < 0) continue;
        have += (size_t)got;
        size_t taken = take_requests(server, in, have);
        memmove(in, in + taken, have - taken);
        have -= taken;
        if (!send_pending(server)) break;
    }
    free(in);
}

static void *serve(void *context)
{
    struct fake_server *server = context;
    while (wait_for(server, server->listener, POLLIN, 1000)) {
        server->connection = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (server->connection < 0) continue;
        serve_connection(server);
        close(server->connection);
    }
    return NULL;
}

struct fake_server *fake_server_create(const struct fake_plan *plan)
{
    struct fake_server *server = calloc(1, sizeof *server);
    fp_assert(server != NULL);
    server->plan = *plan;
    server->page_bytes = plan->page_bytes != 0 ? plan->page_bytes : 4096;
    snprintf(server->directory, sizeof server->directory, "/tmp/farpage-fake-XXXXXX");
    fp_assert(mkdtemp(server->directory) != NULL);
    snprintf(server->path, sizeof server->path, "%s/socket", server->directory);
    snprintf(server->address, sizeof server->address, "unix:%s", server->path);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fp_assert(server->listener >= 0);
    int room = plan->receive_buffer_bytes;
    if (room != 0) {
        fp_assert(setsockopt(server->listener, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
    }
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, server->path, strlen(server->path));
    fp_assert(bind(server->listener, (const struct sockaddr *)&at, sizeof at) == 0);
    fp_assert(listen(server->listener, 16) == 0);
    fp_assert(pipe(server->stop) == 0);
    fp_assert(pthread_create(&server->thread, NULL, serve, server) == 0);
    return server;
}

void fake_server_destroy(struct fake_server **server)
{
    struct fake_server *taken = *server;
    *server = NULL;
    close(taken->stop[1]);
    fp_assert(pthread_join(taken->thread, NULL) == 0);
    close(taken->stop[0]);
    close(taken->listener);
    unlink(taken->path);
    rmdir(taken->directory);
    for (unsigned i = 0; i < AREAS_MAX; i++) {
        for (unsigned slot = 0; slot < SLOTS_KEPT_MAX; slot++) free(taken->areas[i].pages[slot]);
    }
    free(taken);
}

const char *fake_server_address(const struct fake_server *server)
{
    return server->address;
}

unsigned fake_server_invalidations(const struct fake_server *server)
{
    return atomic_load(&server->invalidations);
}
