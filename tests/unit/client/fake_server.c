/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/client/fake_server.h"

#include <errno.h>
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
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/slice.h"
#include "protocol/frame_batch.h"
#include "protocol/frame_map.h"
#include "protocol/limits.h"

enum {
    CONNECTIONS_MAX = 16,
    LATE_MAX = 512,
    AREAS_MAX = 8,
    SLOTS_KEPT_MAX = 16384, /* of larger areas only these can hold pages */
    PENDING_MAX = 2048,
    IN_BYTES = 1 << 20,
    FAKE_BODY_BYTES_MAX = 256 << 10,
};

struct area {
    char name[AREA_NAME_BYTES_MAX + 1];
    uint64_t slots;
    uint8_t *pages[SLOTS_KEPT_MAX];
    struct kept { /* instead: the body of a `packed` reply */
        uint8_t *bytes;
        size_t size_bytes;
    } packed[SLOTS_KEPT_MAX];
};

struct reply {
    uint8_t *bytes;
    size_t size_bytes;
    uint64_t due_ns;   /* FAKE_LATE: not before */
    unsigned serial;   /* of the connection it is for */
    uint32_t tag;
};

struct connection {
    int fd; /* -1: none */
    unsigned serial;
    uint8_t *in; /* IN_BYTES */
    size_t have;
    bool hang_up;
};

struct fake_server {
    struct fake_plan plan;
    uint32_t page_bytes;
    char directory[64], path[96], address[112];
    int listener, stop[2];
    struct connection connections[CONNECTIONS_MAX];
    unsigned serial;
    struct connection *at; /* whose requests are answered */
    pthread_t thread;
    struct area areas[AREAS_MAX];
    unsigned area_count, plan_replies, lies;
    atomic_uint invalidations, greeted, boots, obeyed, packed, with_dictionary, dictionaries;
    struct frame_entry entry; /* that is being carried out */
    uint8_t mapped[PAGE_BYTES_MAX];
    uint64_t mapped_slot;
    atomic_uint map_writes;
    bool gives_packed;
    struct reply pending[PENDING_MAX], late[LATE_MAX];
    unsigned pending_count, late_count;
    uint8_t scratch[2 * (FRAME_HEADER_BYTES + FAKE_BODY_BYTES_MAX)]; /* a reply in the making */
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
    struct frame_opened opened = {.slots = found->slots,
                                  .codec = server->plan.hint,
                                  .dictionary_id = server->plan.dictionary_id,
                                  .page_bytes = server->page_bytes,
                                  .generation = 77 + atomic_load(&server->boots)};
    frame_opened_encode(&opened, out);
    reply->body_bytes = FRAME_OPENED_BYTES;
}

static void forget_packed(struct area *area, uint64_t slot)
{
    free(area->packed[slot].bytes);
    area->packed[slot] = (struct kept){NULL, 0};
}

/* Keeps an entry as it came. */
static void keep_packed(struct fake_server *server, uint32_t number,
                        const struct frame_entry *entry, const uint8_t *bytes)
{
    struct area *area = area_of(server, number);
    fp_assert(area != NULL && entry->slot < SLOTS_KEPT_MAX);
    struct frame_packed packed = {.codec = entry->codec,
                                  .dictionary_id = entry->dictionary_id,
                                  .page_crc = entry->page_crc & FRAME_PACKED_CRC_MASK};
    struct kept kept = {malloc(FRAME_PACKED_BYTES + entry->size_bytes),
                        FRAME_PACKED_BYTES + entry->size_bytes};
    fp_assert(kept.bytes != NULL);
    frame_packed_encode(&packed, kept.bytes);
    memcpy(kept.bytes + FRAME_PACKED_BYTES, bytes, entry->size_bytes);
    forget_packed(area, entry->slot);
    area->packed[entry->slot] = kept;
    atomic_fetch_add(&server->packed, 1);
    atomic_fetch_add(&server->with_dictionary, entry->dictionary_id != 0);
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
        forget_packed(area, request->slot);
    } else if (request->opcode == FRAME_LOAD && server->gives_packed &&
               area->packed[request->slot].bytes != NULL) {
        const struct kept *kept = &area->packed[request->slot];
        memcpy(out, kept->bytes, kept->size_bytes);
        reply->status = FRAME_PACKED;
        reply->body_bytes = (uint32_t)kept->size_bytes;
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

static void answer_invalidations(struct fake_server *server, const struct frame *request,
                                 struct slice body, struct frame *reply)
{
    struct frame_slots slots;
    fp_assert(frame_slots_decode(body, request->count, &slots));
    for (uint32_t i = 0; i < slots.count; i++) {
        struct frame one = {
            .area = request->area, .slot = frame_slots_at(&slots, i), .count = 1};
        answer_invalidate(server, &one, reply);
    }
    reply->count = reply->status == FRAME_OK ? 0 : request->count;
}

/* One map at a time, of the first area. */
static void answer_map(struct fake_server *server, const struct frame *request, struct slice body,
                       struct frame *reply, uint8_t *out)
{
    struct frame_map_range range = {0};
    uint8_t **page = &server->areas[0].pages[server->mapped_slot];
    if (request->opcode == FRAME_MAP) {
        server->mapped_slot = request->slot;
        page = &server->areas[0].pages[server->mapped_slot];
        memset(server->mapped, 0, sizeof server->mapped);
        if (*page != NULL) memcpy(server->mapped, *page, server->page_bytes);
        frame_mapped_encode(&(struct frame_mapped){17, server->page_bytes, 60}, out);
        reply->body_bytes = FRAME_MAPPED_BYTES;
        return;
    }
    fp_assert(request->slot == 17);
    if (request->opcode == FRAME_MREAD) {
        fp_assert(frame_mread_decode(body, &range));
        memcpy(out, server->mapped + range.offset, range.bytes);
        reply->body_bytes = range.bytes;
    } else if (request->opcode == FRAME_MWRITE) {
        struct slice bytes;
        fp_assert(body.size_bytes <= FRAME_BODY_BYTES_MAX);
        fp_assert(frame_mwrite_decode(body, &range.offset, &bytes));
        memcpy(server->mapped + range.offset, bytes.bytes, bytes.size_bytes);
        atomic_fetch_add(&server->map_writes, 1);
    } else if (request->count == FRAME_UNMAP_PUBLISH) {
        if (*page == NULL) *page = malloc(server->page_bytes);
        fp_assert(*page != NULL);
        memcpy(*page, server->mapped, server->page_bytes);
    }
}

static void answer_dictionary(struct fake_server *server, const struct frame *request,
                              struct frame *reply, uint8_t *out)
{
    const struct fake_plan *plan = &server->plan;
    atomic_fetch_add(&server->dictionaries, 1);
    if (request->slot != plan->dictionary_id || plan->dictionary_bytes == 0) {
        reply->status = FRAME_NO_DICTIONARY;
        return;
    }
    memcpy(out, plan->dictionary, plan->dictionary_bytes);
    reply->body_bytes = (uint32_t)plan->dictionary_bytes;
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

static void answer_hello(struct fake_server *server, struct slice body, struct frame *reply,
                         uint8_t *out)
{
    struct frame_hello hello;
    fp_assert(frame_hello_decode(body, &hello));
    atomic_fetch_add(&server->greeted, 1);
    struct frame_welcome welcome = {.version = 1,
                                    .boot_id = "0123456789abcde",
                                    .page_bytes = server->page_bytes,
                                    .body_bytes_max = FRAME_BODY_BYTES_MAX,
                                    .requests_ahead_max = 64};
    if (server->plan.codecs != 0) welcome.features = hello.features & FRAME_FEATURE_PACKED;
    if (welcome.features != 0) welcome.codecs = server->plan.codecs;
    welcome.boot_id[0] = (uint8_t)(welcome.boot_id[0] + atomic_load(&server->boots));
    frame_welcome_encode(&welcome, out);
    reply->body_bytes = FRAME_WELCOME_BYTES;
}

static void answer(struct fake_server *server, const struct frame *request, struct slice body,
                   struct frame *reply, uint8_t *out)
{
    *reply = *request;
    reply->magic = FRAME_MAGIC_REPLY;
    reply->body_bytes = reply->body_crc = 0;
    switch ((enum frame_opcode)request->opcode) {
    case FRAME_HELLO:
        answer_hello(server, body, reply, out);
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
    case FRAME_SNAPSHOT:
    case FRAME_CLOSE: /* every connection has a right to each area */
        break;
    case FRAME_INVALIDATE:
        answer_invalidate(server, request, reply);
        break;
    case FRAME_MAP:
    case FRAME_MREAD:
    case FRAME_MWRITE:
    case FRAME_UNMAP:
        answer_map(server, request, body, reply, out);
        break;
    case FRAME_INVALIDATE_BATCH:
        answer_invalidations(server, request, body, reply);
        break;
    case FRAME_DICTIONARY:
        answer_dictionary(server, request, reply, out);
        break;
    case FRAME_STORE_BATCH: /* answered page by page */
    case FRAME_LOAD_BATCH:
    case FRAME_UNUSE:
    case FRAME_UNUSE_ANSWER:
    case FRAME_DRAIN:
    case FRAME_STORED:
        fp_assert(false);
    }
}

/* --- lies ----------------------------------------------------------------------------------- */

static void replace_body(const struct fake_plan *plan, struct frame *reply, uint8_t *body)
{
    if (plan->mischief == FAKE_STATUS) {
        reply->status = (uint16_t)plan->amount;
        reply->body_bytes = 0;
        if (reply->opcode == FRAME_OPEN) reply->area = 0;
    }
    bool page = reply->opcode == FRAME_STORE || reply->opcode == FRAME_LOAD;
    if (plan->mischief == FAKE_MOVED && (page || reply->opcode == FRAME_OPEN)) {
        reply->status = FRAME_MOVED;
        reply->body_bytes = page ? 0 : (uint32_t)plan->amount;
        if (!page) reply->area = 0;
        if (!page) memcpy(body, plan->body, plan->amount);
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
    if (mischief == FAKE_WRONG_SLOT) reply->slot ^= 1;
    if (mischief == FAKE_WRONG_COUNT) reply->count ^= 1;
    if (mischief == FAKE_WRONG_AREA) reply->area ^= reply->opcode == FRAME_OPEN ? reply->area : 1;
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
    server->at->hang_up = mischief == FAKE_LAST_WORDS || mischief == FAKE_CUT;
    if (mischief == FAKE_LAST_WORDS) return FRAME_HEADER_BYTES;
    if (mischief == FAKE_CUT && server->plan.amount < size_bytes) return server->plan.amount;
    if (mischief != FAKE_TWICE) return size_bytes;
    memcpy(bytes + size_bytes, bytes, size_bytes);
    return 2 * size_bytes;
}

/* Answers one page of `frame`, or all of it, as `request` has it. */
static void compose(struct fake_server *server, const struct frame *frame,
                    const struct frame *request, struct slice body)
{
    struct frame reply;
    uint8_t *bytes = server->scratch;
    if (server->plan.mischief != 0) memset(bytes, 0, sizeof server->scratch);
    uint8_t *out = bytes + FRAME_HEADER_BYTES;
    if (request->opcode == FRAME_STORE && server->entry.codec != FRAME_CODEC_PLAIN) {
        reply = *request;
        reply.magic = FRAME_MAGIC_REPLY;
        reply.body_bytes = reply.body_crc = 0;
        keep_packed(server, request->area, &server->entry, body.bytes);
    } else {
        answer(server, request, body, &reply, out);
    }
    if (frame != request) {
        reply.opcode = frame->opcode;
        reply.count = request->count;
    }
    bool lie = server->plan.to == 0 || server->plan.to == request->opcode;
    if (lie && server->plan_replies++ < server->plan.after) lie = false;
    lie = lie && (server->plan.times == 0 || server->lies++ < server->plan.times);
    if (lie) replace_body(&server->plan, &reply, out);
    size_t size_bytes = FRAME_HEADER_BYTES + reply.body_bytes;
    reply.body_crc = crc32c(out, reply.body_bytes);
    if (lie) bend_header(&server->plan, &reply);
    frame_encode(&reply, bytes);
    if (lie) size_bytes = bend_bytes(server, bytes, size_bytes);
    uint8_t *kept = malloc(size_bytes + 1); /* a silent one has none */
    fp_assert(kept != NULL);
    memcpy(kept, bytes, size_bytes);
    struct reply made = {
        .bytes = kept, .size_bytes = size_bytes, .serial = server->at->serial, .tag = frame->tag};
    if (lie && server->plan.mischief == FAKE_LATE) {
        made.due_ns = clock_monotonic_ns() + server->plan.amount * 1000000;
        fp_assert(server->late_count < LATE_MAX);
        server->late[server->late_count++] = made;
        return;
    }
    fp_assert(server->pending_count < PENDING_MAX);
    server->pending[server->pending_count++] = made;
}

static void compose_loads(struct fake_server *server, const struct frame *frame, struct slice body)
{
    struct frame_slots slots;
    fp_assert(frame_body_good(frame, body) && frame_slots_decode(body, frame->count, &slots));
    server->gives_packed = (slots.flags & FRAME_LOAD_PACKED) != 0;
    for (uint32_t i = 0; i < slots.count && !server->at->hang_up; i++) {
        struct frame one = *frame;
        one.opcode = FRAME_LOAD;
        one.slot = frame_slots_at(&slots, i);
        one.count = slots.count - i - 1;
        compose(server, frame, &one, slice_of(NULL, 0));
    }
    server->gives_packed = false;
}

static void compose_stores(struct fake_server *server, const struct frame *frame, struct slice body)
{
    const uint8_t *at = body.bytes, *end = body.bytes + body.size_bytes;
    fp_assert(frame->count >= 1 && frame->count <= FRAME_BATCH_MAX && frame->body_crc == 0);
    for (uint32_t left = frame->count; left > 0 && !server->at->hang_up; left--) {
        struct frame_entry entry;
        fp_assert(end - at >= FRAME_ENTRY_BYTES);
        frame_entry_decode(at, &entry);
        fp_assert((size_t)(end - at) >= FRAME_ENTRY_BYTES + (size_t)entry.size_bytes);
        fp_assert(frame_entry_good(at, &entry));
        struct frame one = *frame;
        one.opcode = FRAME_STORE;
        one.slot = entry.slot;
        one.count = left - 1;
        one.body_bytes = entry.size_bytes;
        one.body_crc = entry.page_crc;
        server->entry = entry;
        compose(server, frame, &one, slice_of(at + FRAME_ENTRY_BYTES, entry.size_bytes));
        at += FRAME_ENTRY_BYTES + entry.size_bytes;
    }
    server->entry.codec = FRAME_CODEC_PLAIN;
}

static void refuse_whole(struct fake_server *server, const struct frame *frame)
{
    struct frame reply = *frame;
    reply.magic = FRAME_MAGIC_REPLY;
    reply.status = (uint16_t)server->plan.amount;
    reply.body_bytes = reply.body_crc = 0;
    uint8_t *bytes = malloc(FRAME_HEADER_BYTES);
    fp_assert(bytes != NULL && server->pending_count < PENDING_MAX);
    frame_encode(&reply, bytes);
    server->pending[server->pending_count++] = (struct reply){
        .bytes = bytes, .size_bytes = FRAME_HEADER_BYTES, .serial = server->at->serial};
}

static void compose_frame(struct fake_server *server, const struct frame *frame, struct slice body)
{
    const struct fake_plan *plan = &server->plan;
    if (plan->mischief == FAKE_WHOLE && plan->to == frame->opcode)
        refuse_whole(server, frame);
    else if (frame->opcode == FRAME_LOAD_BATCH)
        compose_loads(server, frame, body);
    else if (frame->opcode == FRAME_STORE_BATCH)
        compose_stores(server, frame, body);
    else
        compose(server, frame, frame, body);
}

/* --- the connections ------------------------------------------------------------------------ */

/* False where the server is to stop. */
static bool wait_for(const struct fake_server *server, int fd, short events, int timeout_ms)
{
    struct pollfd entries[] = {{.fd = server->stop[0], .events = POLLIN},
                               {.fd = fd, .events = events}};
    (void)poll(entries, 2, timeout_ms);
    return (entries[0].revents & POLLHUP) == 0;
}

static bool send_all(const struct fake_server *server, int fd, const uint8_t *bytes,
                     size_t size_bytes)
{
    bool drip = server->plan.mischief == FAKE_DRIPS;
    while (size_bytes > 0) {
        ssize_t sent = send(fd, bytes, drip ? 1 : size_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent < 0 && !wait_for(server, fd, POLLOUT, 50)) return false;
        if (sent < 0) continue;
        if (drip && !wait_for(server, -1, 0, (int)server->plan.amount)) return false;
        bytes += sent;
        size_bytes -= (size_t)sent;
    }
    return true;
}

/* Last to first; the pages of one request stay in their order. */
static void turn_round(struct fake_server *server)
{
    struct reply turned[PENDING_MAX];
    unsigned end = server->pending_count, count = 0;
    while (end > 0) {
        unsigned first = end - 1;
        while (first > 0 && server->pending[first - 1].tag == server->pending[first].tag) first--;
        for (unsigned i = first; i < end; i++) turned[count++] = server->pending[i];
        end = first;
    }
    memcpy(server->pending, turned, count * sizeof *turned);
}

static bool send_pending(struct fake_server *server)
{
    bool good = true;
    if (server->plan.mischief == FAKE_OVERTAKES) turn_round(server);
    for (unsigned i = 0; i < server->pending_count; i++) {
        struct reply *reply = &server->pending[i];
        good = good && send_all(server, server->at->fd, reply->bytes, reply->size_bytes);
        free(reply->bytes);
    }
    server->pending_count = 0;
    return good && !server->at->hang_up;
}

/* How long until the next is due, in milliseconds. */
static int send_late(struct fake_server *server)
{
    uint64_t now = clock_monotonic_ns(), next = now + 1000000000;
    unsigned kept = 0;
    for (unsigned i = 0; i < server->late_count; i++) {
        struct reply *reply = &server->late[i];
        if (reply->due_ns > now) {
            if (reply->due_ns < next) next = reply->due_ns;
            server->late[kept++] = *reply;
            continue;
        }
        for (unsigned c = 0; c < CONNECTIONS_MAX; c++) {
            struct connection *to = &server->connections[c];
            if (to->fd < 0 || to->serial != reply->serial) continue;
            (void)send_all(server, to->fd, reply->bytes, reply->size_bytes);
        }
        free(reply->bytes);
    }
    server->late_count = kept;
    return (int)((next - now) / 1000000) + 1;
}

static size_t take_requests(struct fake_server *server, const uint8_t *bytes, size_t size_bytes)
{
    size_t taken = 0;
    while (size_bytes - taken >= FRAME_HEADER_BYTES && !server->at->hang_up) {
        struct frame request;
        fp_assert(frame_decode(bytes + taken, FRAME_MAGIC_REQUEST, &request));
        size_t whole = FRAME_HEADER_BYTES + (size_t)request.body_bytes;
        if (size_bytes - taken < whole) break;
        compose_frame(server, &request,
                      slice_of(bytes + taken + FRAME_HEADER_BYTES, request.body_bytes));
        taken += whole;
    }
    return taken;
}

static void hang_up(struct connection *connection)
{
    if (connection->fd < 0) return;
    close(connection->fd);
    free(connection->in);
    *connection = (struct connection){.fd = -1};
}

static void serve_connection(struct fake_server *server, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->in + connection->have,
                       IN_BYTES - connection->have, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        hang_up(connection);
        return;
    }
    connection->have += (size_t)got;
    server->at = connection;
    size_t taken = take_requests(server, connection->in, connection->have);
    memmove(connection->in, connection->in + taken, connection->have - taken);
    connection->have -= taken;
    if (!send_pending(server)) hang_up(connection);
}

static void accept_one(struct fake_server *server)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &server->connections[i];
        if (connection->fd >= 0) continue;
        connection->fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection->fd < 0) return;
        connection->serial = ++server->serial;
        connection->in = malloc(IN_BYTES);
        fp_assert(connection->in != NULL);
        return;
    }
}

static void forget_areas(struct fake_server *server)
{
    for (unsigned i = 0; i < server->area_count; i++) {
        for (unsigned slot = 0; slot < SLOTS_KEPT_MAX; slot++) {
            free(server->areas[i].pages[slot]);
            forget_packed(&server->areas[i], slot);
        }
        server->areas[i] = (struct area){.slots = 0};
    }
    server->area_count = 0;
}

/* What the test said through the pipe; false where it is to stop. */
static bool obey(struct fake_server *server)
{
    char order;
    if (read(server->stop[0], &order, 1) != 1) return false;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) hang_up(&server->connections[i]);
    if (order == 'b') {
        forget_areas(server);
        atomic_fetch_add(&server->boots, 1);
    }
    atomic_fetch_add(&server->obeyed, 1);
    return true;
}

static void *serve(void *context)
{
    struct fake_server *server = context;
    for (;;) {
        struct pollfd entries[2 + CONNECTIONS_MAX] = {{.fd = server->stop[0], .events = POLLIN},
                                                      {.fd = server->listener, .events = POLLIN}};
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
            entries[2 + i] = (struct pollfd){.fd = server->connections[i].fd, .events = POLLIN};
        }
        (void)poll(entries, 2 + CONNECTIONS_MAX, send_late(server));
        if (entries[0].revents != 0 && !obey(server)) return NULL;
        if (entries[1].revents != 0) accept_one(server);
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
            struct connection *connection = &server->connections[i];
            bool same = connection->fd >= 0 && connection->fd == entries[2 + i].fd;
            if (same && entries[2 + i].revents != 0) serve_connection(server, connection);
        }
    }
}

struct fake_server *fake_server_create(const struct fake_plan *plan)
{
    struct fake_server *server = calloc(1, sizeof *server);
    fp_assert(server != NULL);
    server->plan = *plan;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) server->connections[i].fd = -1;
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
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) hang_up(&taken->connections[i]);
    for (unsigned i = 0; i < taken->late_count; i++) free(taken->late[i].bytes);
    forget_areas(taken);
    free(taken);
}

const char *fake_server_address(const struct fake_server *server)
{
    return server->address;
}

static void order(struct fake_server *server, char what)
{
    unsigned before = atomic_load(&server->obeyed);
    fp_assert(write(server->stop[1], &what, 1) == 1);
    while (atomic_load(&server->obeyed) == before) (void)poll(NULL, 0, 1);
}

void fake_server_cut(struct fake_server *server)
{
    order(server, 'c');
}

void fake_server_reboot(struct fake_server *server)
{
    order(server, 'b');
}

void fake_server_plan_amount(struct fake_server *server, size_t amount)
{
    server->plan.amount = amount;
}

#define COUNTED(what)                                                                              \
    unsigned fake_server_##what(const struct fake_server *server)                                  \
    {                                                                                              \
        return atomic_load(&server->what);                                                         \
    }
COUNTED(invalidations)
COUNTED(greeted)
COUNTED(packed)
COUNTED(with_dictionary)
COUNTED(dictionaries)
COUNTED(map_writes)
