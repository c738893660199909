/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The client against a server that is the fuzzer's: the input is a byte that says what the client
 * is like, then a list of what happens, one byte each with its operands.
 *   - each request is answered once, whatever comes, and nothing of it is touched afterwards (each
 *     page ends where its memory ends, and is freed by its answer);
 *   - a page is only written by an answer that is FARPAGE_OK;
 *   - the client holds no more than its limits.
 * No mutation finds a checksum, so the server's replies are sealed unless they are to be broken. */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "client/client.h"
#include "fuzz.h"
#include "protocol/frame_batch.h"
#include "protocol/frame_drain.h"
#include "protocol/frame_map.h"
#include "protocol/limits.h"

enum {
    SLOTS = 64,
    PAGE = 4096,
    STEPS_MAX = 400,
    DIALS_MAX = 20,
    ASKED_MAX = 64,
    HEARD_BYTES = 1 << 20,
    UNTOUCHED = 0x5a,
};

enum happening {
    ANSWER_WELL,    /* the oldest request, or the one that a byte picks */
    ANSWER_BENT,    /* one field of the header is another, and sealed again */
    ANSWER_BROKEN,  /* one byte of the whole is another */
    ANSWER_STATUS,  /* another status, and so many bytes of body */
    ANSWER_PART,    /* only the first bytes */
    SAY_BYTES,      /* the next bytes of the input, as they are */
    CUT,
    ASK_STORE,
    ASK_LOAD,
    ASK_FORGET,
    ASK_MANY,
    WAIT,
    ANSWER_PACKED,  /* a codec, a dictionary, and bytes: of the input, or packed well */
    ANSWER_MOVED,   /* as an OPEN is, with an address of the input */
    NOTICE,         /* the server wants its memory back */
    ASK_MAP,
    ASK_READ,
    ASK_WRITE,
    ASK_UNMAP,
    HAPPENINGS,
};

struct input {
    const uint8_t *at, *end;
};

struct asked { /* a request the server has read */
    struct frame frame;
    uint64_t slots[FRAME_BATCH_MAX];
    uint32_t left;
};

enum client_is { PACKING = 1, LISTENING = 2, FOLLOWING = 4, WITH_DICTIONARY = 8 };

struct world {
    uint8_t like; /* enum client_is */
    struct farpage_map map;
    struct input input;
    struct farpage *client;
    struct farpage_area *area;
    int server; /* -1: nobody is connected */
    unsigned dials;
    uint8_t heard[HEARD_BYTES];
    size_t heard_bytes;
    struct asked asked[ASKED_MAX];
    unsigned asked_count;
    size_t waiting;
};

struct errand { /* one request of ours */
    struct world *world;
    enum farpage_op_kind kind;
    uint8_t *page;
};

static uint8_t next_byte(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

/* --- the client's side ---------------------------------------------------------------------- */

static int dial(void *context)
{
    struct world *world = context;
    int ends[2];
    if (world->dials++ >= DIALS_MAX) return -1;
    if (world->server >= 0) close(world->server);
    fp_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    world->server = ends[1];
    world->heard_bytes = world->asked_count = 0;
    return ends[0];
}

static void answered(void *context, const struct farpage_answer *answer)
{
    struct errand *errand = context;
    fp_assert(errand->world->waiting > 0);
    errand->world->waiting--;
    bool reads = errand->kind == FARPAGE_OP_LOAD || errand->kind == FARPAGE_OP_MAP_READ;
    if (reads && answer->status != FARPAGE_OK) {
        for (size_t i = 0; i < PAGE; i++) fp_assert(errand->page[i] == UNTOUCHED);
    }
    free(errand->page);
    free(errand);
}

static void ask(struct world *world, enum farpage_op_kind kind, uint64_t slot)
{
    struct errand *errand = malloc(sizeof *errand);
    fp_assert(errand != NULL);
    *errand = (struct errand){world, kind, malloc(PAGE)};
    fp_assert(errand->page != NULL);
    memset(errand->page, UNTOUCHED, PAGE);
    for (size_t i = 0; kind == FARPAGE_OP_STORE && slot % 2 == 1 && i < PAGE; i++) {
        errand->page[i] = (uint8_t)"not one word"[i * slot % 12];
    }
    struct farpage_request request = {.kind = kind,
                                      .slot = slot % SLOTS,
                                      .count = 1 + slot / SLOTS,
                                      .page = errand->page,
                                      .map = &world->map,
                                      .mode = 1 + (uint32_t)slot % 3,
                                      .offset = (uint32_t)slot,
                                      .bytes = 10};
    if (farpage_submit(world->area, &request, answered, errand) == FARPAGE_OK) {
        world->waiting++;
        return;
    }
    free(errand->page);
    free(errand);
}

static int wanted_back(void *context, uint64_t stored_pages, uint32_t seconds)
{
    struct world *world = context;
    if (stored_pages < 3) ask(world, FARPAGE_OP_LOAD, stored_pages);
    return (int)(seconds % 2);
}

static struct farpage_area *make_area(struct world *world)
{
    struct farpage *client = calloc(1, sizeof *client);
    struct farpage_area *area = calloc(1, sizeof *area);
    fp_assert(client != NULL && area != NULL);
    world->client = client;
    list_init(&client->areas);
    client->peer.dial = dial;
    client->peer.dial_context = world;
    struct engine_options options = {.peer = &client->peer,
                                     .timeout_ns = 60000000000ull,
                                     .backoff_ns_max = 1,
                                     .depth = FLIGHT_OPS_MAX,
                                     .reconnect = true,
                                     .follow = (world->like & FOLLOWING) != 0,
                                     .unuse = (world->like & LISTENING) != 0 ? wanted_back : NULL,
                                     .unuse_context = world};
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = PAGE};
    area->client = client;
    area->timeout_ns = options.timeout_ns;
    list_init(&area->place);
    fp_assert(opening_init(&area->opening, "a", &wish, &area->reason) == FARPAGE_OK);
    fp_assert(engine_init(&area->engine, &options, &area->opening));
    enum farpage_pack pack =
        (world->like & PACKING) != 0 ? FARPAGE_PACK_AUTO : FARPAGE_PACK_OFF;
    fp_assert(packer_init(&area->packer, pack, 0, &area->reason) == FARPAGE_OK);
    area->engine.packer = &area->packer;
    area->engine.retry_at_ns = 0;
    return area;
}

/* --- the server's side ---------------------------------------------------------------------- */

static void note_slots(struct asked *asked, const uint8_t *body)
{
    struct frame_slots slots;
    struct slice bytes = slice_of(body, asked->frame.body_bytes);
    asked->left = 1;
    if (asked->frame.opcode == FRAME_LOAD_BATCH) {
        fp_assert(frame_slots_decode(bytes, asked->frame.count, &slots));
        asked->left = slots.count;
        for (uint32_t i = 0; i < slots.count; i++) asked->slots[i] = frame_slots_at(&slots, i);
    }
    if (asked->frame.opcode != FRAME_STORE_BATCH) return;
    asked->left = asked->frame.count;
    fp_assert(asked->left <= FRAME_BATCH_MAX);
    for (uint32_t i = 0; i < asked->left; i++) {
        struct frame_entry entry;
        frame_entry_decode(body, &entry);
        fp_assert(frame_entry_good(body, &entry));
        asked->slots[i] = entry.slot;
        body += FRAME_ENTRY_BYTES + entry.size_bytes;
    }
}

/* What the client sends is not the input's: it must be right. */
static void hear(struct world *world)
{
    if (world->server < 0) return;
    ssize_t got = recv(world->server, world->heard + world->heard_bytes,
                       HEARD_BYTES - world->heard_bytes, MSG_DONTWAIT);
    if (got > 0) world->heard_bytes += (size_t)got;
    size_t taken = 0;
    while (world->heard_bytes - taken >= FRAME_HEADER_BYTES && world->asked_count < ASKED_MAX) {
        struct asked *asked = &world->asked[world->asked_count];
        fp_assert(frame_decode(world->heard + taken, FRAME_MAGIC_REQUEST, &asked->frame));
        size_t whole = FRAME_HEADER_BYTES + (size_t)asked->frame.body_bytes;
        if (world->heard_bytes - taken < whole) break;
        note_slots(asked, world->heard + taken + FRAME_HEADER_BYTES);
        world->asked_count++;
        taken += whole;
    }
    memmove(world->heard, world->heard + taken, world->heard_bytes - taken);
    world->heard_bytes -= taken;
}

static uint32_t write_welcome(const struct world *world, uint8_t *body)
{
    struct frame_welcome welcome = {.version = 1,
                                    .page_bytes = PAGE,
                                    .body_bytes_max = FRAME_BODY_BYTES_MAX,
                                    .requests_ahead_max = 64};
    bool packs = (world->like & PACKING) != 0;
    welcome.features = (packs ? FRAME_FEATURE_PACKED : 0u) |
                       ((world->like & LISTENING) != 0 ? FRAME_FEATURE_NOTICES : 0u);
    welcome.codecs = packs ? (1u << FRAME_CODECS) - 1 : 0;
    frame_welcome_encode(&welcome, body);
    return FRAME_WELCOME_BYTES;
}

static uint32_t write_opened(const struct world *world, struct frame *reply, uint8_t *body)
{
    struct frame_opened opened = {.slots = SLOTS, .page_bytes = PAGE, .generation = 1};
    opened.codec = FRAME_CODEC_LZ4;
    opened.dictionary_id = (world->like & WITH_DICTIONARY) != 0 ? 7 : 0;
    reply->area = 1;
    frame_opened_encode(&opened, body);
    return FRAME_OPENED_BYTES;
}

/* The right reply to the next page of that request, or to all of it; its body's length. */
static uint32_t write_well(const struct world *world, struct asked *asked, struct frame *reply,
                           uint8_t *body)
{
    *reply = asked->frame;
    reply->magic = FRAME_MAGIC_REPLY;
    uint8_t opcode = reply->opcode;
    if (opcode == FRAME_HELLO) return write_welcome(world, body);
    if (opcode == FRAME_OPEN) return write_opened(world, reply, body);
    if (opcode == FRAME_DICTIONARY) return 300;
    if (opcode == FRAME_MREAD) return 10;
    if (opcode == FRAME_MAP) {
        frame_mapped_encode(&(struct frame_mapped){5, PAGE, 60}, body);
        return FRAME_MAPPED_BYTES;
    }
    if (opcode == FRAME_INVALIDATE_BATCH) reply->count = 0;
    if (opcode == FRAME_STORE_BATCH || opcode == FRAME_LOAD_BATCH) {
        reply->slot = asked->slots[reply->count - asked->left];
        reply->count = asked->left - 1;
    }
    if (opcode != FRAME_LOAD && opcode != FRAME_LOAD_BATCH) return 0;
    memset(body, 'a', PAGE);
    return PAGE;
}

static void say(struct world *world, const uint8_t *bytes, size_t size_bytes)
{
    if (world->server < 0) return;
    if (send(world->server, bytes, size_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
}

static void bend(struct input *input, struct frame *reply, uint8_t *body)
{
    uint8_t field = next_byte(input), by = next_byte(input);
    uint32_t much = by < 128 ? by : (uint32_t)by << 24;
    switch (field % 9) {
    case 0: reply->opcode ^= by; break;
    case 1: reply->status ^= by; break;
    case 2: reply->tag ^= much; break;
    case 3: reply->slot ^= (uint64_t)much << (field & 16); break;
    case 4: reply->area ^= much; break;
    case 5: reply->count ^= much; break;
    case 6: reply->body_bytes ^= much; break;
    case 7: reply->body_crc ^= much; break;
    default: /* a field of the body */
        body[field] ^= by;
        reply->body_crc = crc32c(body, reply->body_bytes);
    }
}

/* What an LZ4 block of one page of the letter a is, or bytes of the input. */
static uint32_t pack(struct input *input, struct frame *reply, uint8_t *body)
{
    static const uint8_t block[] = {0x1f, 'a', 1, 0};
    uint8_t *at = body + FRAME_PACKED_BYTES;
    struct frame_packed packed = {.codec = next_byte(input), .dictionary_id = next_byte(input)};
    uint32_t size_bytes = next_byte(input);
    memset(at, 'a', PAGE);
    packed.page_crc = crc32c(at, PAGE) & FRAME_PACKED_CRC_MASK;
    if (size_bytes == 0) {
        memcpy(at, block, sizeof block);
        memset(at + sizeof block, 0xff, 16);
        at[sizeof block + 15] = (uint8_t)(PAGE - 1 - 4 - 15 - 15 * 255 - 5);
        memcpy(at + sizeof block + 16, "\x50" "aaaaa", 6);
        size_bytes = sizeof block + 16 + 6;
    } else {
        for (uint32_t i = 0; i < size_bytes; i++) at[i] = next_byte(input);
    }
    reply->status = FRAME_PACKED;
    frame_packed_encode(&packed, body);
    return FRAME_PACKED_BYTES + size_bytes;
}

static uint32_t move(struct input *input, struct frame *reply, uint8_t *body)
{
    struct frame_moved moved = {.generation = next_byte(input)};
    uint8_t address[32];
    size_t size_bytes = 1 + next_byte(input) % 31;
    for (size_t i = 0; i < size_bytes; i++) address[i] = next_byte(input);
    if (address[0] == 0) memcpy(address, "unix:/x", 7), size_bytes = 7;
    moved.address = slice_of(address, size_bytes);
    reply->status = FRAME_MOVED;
    if (reply->opcode == FRAME_OPEN) reply->area = 0;
    return (uint32_t)frame_moved_encode(&moved, body);
}

static void notice(struct world *world)
{
    uint8_t header[FRAME_HEADER_BYTES];
    struct frame frame = {.magic = FRAME_MAGIC_REPLY, .opcode = FRAME_UNUSE, .area = 1};
    frame.slot = next_byte(&world->input);
    frame.count = next_byte(&world->input);
    frame.area = next_byte(&world->input) % 3;
    frame_encode(&frame, header);
    say(world, header, sizeof header);
}

static void answer(struct world *world, enum happening how)
{
    static uint8_t bytes[FRAME_HEADER_BYTES + 4 * PAGE];
    uint8_t *body = bytes + FRAME_HEADER_BYTES;
    struct input *input = &world->input;
    if (world->asked_count == 0) return;
    unsigned which = how == ANSWER_WELL ? 0 : next_byte(input) % world->asked_count;
    struct asked *asked = &world->asked[which];
    struct frame reply;
    memset(body, 0, 4 * PAGE);
    reply.body_bytes = 0;
    uint32_t body_bytes = write_well(world, asked, &reply, body);
    if (how == ANSWER_PACKED) body_bytes = pack(input, &reply, body);
    if (how == ANSWER_MOVED) body_bytes = move(input, &reply, body);
    reply.body_bytes = body_bytes;
    if (how == ANSWER_STATUS) {
        reply.status = next_byte(input);
        reply.body_bytes = body_bytes = next_byte(input) * 7u;
        if (reply.opcode == FRAME_OPEN) reply.area = 0;
        if ((next_byte(input) & 1) != 0) reply.slot = 0, reply.count = asked->frame.count;
    }
    reply.body_crc = crc32c(body, body_bytes);
    if (how == ANSWER_BENT) bend(input, &reply, body);
    frame_encode(&reply, bytes);
    size_t size_bytes = FRAME_HEADER_BYTES + body_bytes;
    if (how == ANSWER_BROKEN) {
        size_t at = next_byte(input) * 256u + next_byte(input);
        bytes[at % size_bytes] ^= next_byte(input);
    }
    if (how == ANSWER_PART) size_bytes = (next_byte(input) * 17u) % size_bytes;
    say(world, bytes, size_bytes);
    if (asked->left-- > 1) return;
    world->asked_count--;
    memmove(asked, asked + 1, (world->asked_count - which) * sizeof *asked);
}

/* --- what happens --------------------------------------------------------------------------- */

static void go_on(struct world *world)
{
    struct pollfd entry = {farpage_area_fd(world->area), farpage_area_events(world->area), 0};
    int ready = poll(&entry, 1, 0);
    farpage_area_process(world->area, ready > 0 ? entry.revents : 0);
    hear(world);
    const struct engine *engine = &world->area->engine;
    fp_assert(engine->in_bytes <= FRAME_HEADER_BYTES + (size_t)FRAME_REPLY_BODY_BYTES_MAX);
    fp_assert(engine->flights.ops <= FLIGHT_SEATS && engine->out_end <= ENGINE_OUTBOX_BYTES);
    fp_assert(world->waiting == farpage_area_waiting(world->area));
}

static void happen(struct world *world)
{
    struct input *input = &world->input;
    enum happening what = (enum happening)(next_byte(input) % HAPPENINGS);
    switch (what) {
    case ANSWER_WELL:
    case ANSWER_BENT:
    case ANSWER_BROKEN:
    case ANSWER_STATUS:
    case ANSWER_PART:
    case ANSWER_PACKED:
    case ANSWER_MOVED:
        answer(world, what);
        break;
    case NOTICE:
        notice(world);
        break;
    case ASK_MAP:
        ask(world, FARPAGE_OP_MAP, next_byte(input));
        break;
    case ASK_READ:
        ask(world, FARPAGE_OP_MAP_READ, next_byte(input));
        break;
    case ASK_WRITE:
        ask(world, FARPAGE_OP_MAP_WRITE, next_byte(input));
        break;
    case ASK_UNMAP:
        ask(world, next_byte(input) % 2 == 0 ? FARPAGE_OP_UNMAP : FARPAGE_OP_DISCARD, 0);
        break;
    case SAY_BYTES: {
        size_t left = (size_t)(input->end - input->at), size_bytes = next_byte(input);
        if (left > 0) left--;
        if (size_bytes > left) size_bytes = left;
        say(world, input->at, size_bytes);
        input->at += size_bytes;
        break;
    }
    case CUT:
        if (world->server >= 0) close(world->server);
        world->server = -1;
        break;
    case ASK_STORE:
        ask(world, FARPAGE_OP_STORE, next_byte(input));
        break;
    case ASK_LOAD:
        ask(world, FARPAGE_OP_LOAD, next_byte(input));
        break;
    case ASK_FORGET:
        ask(world, FARPAGE_OP_INVALIDATE, next_byte(input));
        break;
    case ASK_MANY:
        for (unsigned i = next_byte(input) % 40; i > 0; i--) ask(world, (i / 10) % 3, i);
        break;
    case WAIT:
    case HAPPENINGS:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct world *world = calloc(1, sizeof *world);
    fp_assert(world != NULL);
    world->server = -1;
    world->input = (struct input){data, data + size_bytes};
    world->like = next_byte(&world->input);
    world->area = make_area(world);
    for (int step = 0; step < STEPS_MAX && world->input.at < world->input.end; step++) {
        happen(world);
        go_on(world);
    }
    area_destroy(world->area);
    fp_assert(world->waiting == 0);
    if (world->server >= 0) close(world->server);
    free(world->client);
    free(world);
    return 0;
}
