/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Batches of honest and of lying entries, through the server's own dispatch into a real store whose
 * memory may be full, beside a model that knows which slots hold which page.
 *   - every entry, and every slot asked for, has its reply, in order, with its checksums right;
 *   - a page that was stored honestly comes back, plain or packed, whatever else was sent, and
 *     whichever way the compressor, the dictionary or the configuration changed since;
 *   - a refusal changes nothing;
 *   - what is plain and `ok` has the checksum it says, also where nobody knows what was stored;
 *   - the store's own check holds at the end.
 * The input is a script: a byte for what to do, then what that takes. Bytes arrive in pieces. */
#include <stdio.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "codec/codec_solo.h"
#include "fuzz.h"
#include "protocol/frame_batch.h"
#include "server/dispatch/dispatch.h"
#include "storage/store/store_dictionary.h"

enum {
    PAGE = 4096,
    SLOTS = 24,
    PAGES = 16, /* honest ones to choose from */
    ENTRIES_MAX = 8,
    STEPS_MAX = 64,
    BODY_MAX = ENTRIES_MAX * (FRAME_ENTRY_BYTES + 6000),
    MEMORY = 24 << 20,
    ABSENT = -1,
    UNKNOWN = -2, /* what a liar stored */
    WITH_DICTIONARY = 1,
};

enum { TOOL_LZ4, TOOL_ZSTD, TOOLS };

static struct {
    struct shared *shared;
    struct dispatcher dispatcher;
    struct worker_counters counters;
    struct log log;
    struct session session;
    struct conn_row row;
    uint32_t area;
    uint64_t squeezed; /* bytes charged so that memory is full */
    struct dictionary *dictionary;
    bool kept; /* the area has it */
    struct codec_solo tools[TOOLS][2];
    uint8_t pages[PAGES][PAGE];
    int slots[SLOTS]; /* a page's number, ABSENT or UNKNOWN */
} world;

/* --- the script ------------------------------------------------------------------------------- */

struct script {
    const uint8_t *bytes;
    size_t size_bytes, at;
};

static uint8_t next8(struct script *script)
{
    return script->at < script->size_bytes ? script->bytes[script->at++] : 0;
}

static uint32_t next16(struct script *script)
{
    uint32_t high = next8(script);
    return high << 8 | next8(script);
}

/* --- the world -------------------------------------------------------------------------------- */

/* Records that pages have in common, so that a dictionary helps. */
static void make_page(uint8_t *page, uint32_t number)
{
    uint32_t state = number * 2654435761u + 1;
    for (size_t at = 0; at < PAGE; at += 16) {
        state = state * 1664525 + 1013904223;
        (void)snprintf((char *)page + at, 16, "record %08x", (state >> 24) % 64 * 0x01030507u);
        page[at + 15] = (uint8_t)number;
    }
    if (number == 0) memset(page, 0, PAGE);
    if (number == 1) memset(page, 0x41, PAGE);
    for (size_t at = 0; number == 2 && at < PAGE; at++) page[at] = (uint8_t)(at % 8);
}

static void make_tools(void)
{
    static uint8_t samples[128 * PAGE];
    struct dictionary_samples pages = {samples, PAGE, 128};
    const char *reason;
    for (uint32_t i = 0; i < 128; i++) make_page(samples + i * PAGE, i + 3);
    fp_assert(dictionary_train(&pages, 4096, &world.dictionary, &reason) == FP_OK);
    for (int with = 0; with < 2; with++) {
        struct dictionary *dictionary = with == WITH_DICTIONARY ? world.dictionary : NULL;
        struct compressor_config lz4 = {"lz4", 1, dictionary}, zstd = {"zstd", 1, dictionary};
        fp_assert(codec_solo_init(&world.tools[TOOL_LZ4][with], &lz4) == FP_OK);
        fp_assert(codec_solo_init(&world.tools[TOOL_ZSTD][with], &zstd) == FP_OK);
    }
}

static void make_world(void)
{
    struct store_options options = {.memory_limit_bytes = MEMORY,
                                    .page_bytes = PAGE,
                                    .allocator = "blocks",
                                    .compressor = {"lz4", 1, NULL}};
    world.shared = calloc(1, sizeof *world.shared);
    fp_assert(world.shared != NULL);
    log_init(&world.log, STDERR_FILENO, LOG_ERROR, LOG_TEXT);
    world.shared->log = &world.log;
    fp_assert(store_create(&options, &world.shared->store) == FP_OK);
    conns_init(&world.shared->conns);
    openers_init(&world.shared->openers);
    world.dispatcher = (struct dispatcher){.shared = world.shared, .counters = &world.counters};
    fp_assert(store_scratch_create(world.shared->store, &world.dispatcher.scratch) == FP_OK);
    world.session.row = &world.row;
    for (uint32_t i = 0; i < PAGES; i++) make_page(world.pages[i], i);
    make_tools();
}

/* --- asking ----------------------------------------------------------------------------------- */

static struct output output; /* of the request under way */

/* The next reply, whose checksums are right; its body is borrowed from the output. */
static struct frame next_reply(struct slice *replies, struct slice *body)
{
    struct frame reply;
    fp_assert(replies->size_bytes >= FRAME_HEADER_BYTES);
    fp_assert(frame_decode(replies->bytes, FRAME_MAGIC_REPLY, &reply));
    size_t size = FRAME_HEADER_BYTES + (size_t)reply.body_bytes;
    fp_assert(replies->size_bytes >= size);
    *body = slice_of(replies->bytes + FRAME_HEADER_BYTES, reply.body_bytes);
    fp_assert(frame_body_good(&reply, *body));
    *replies = slice_of(replies->bytes + size, replies->size_bytes - size);
    return reply;
}

static struct frame request(uint8_t opcode, uint64_t slot, uint32_t count, struct slice body)
{
    return (struct frame){.magic = FRAME_MAGIC_REQUEST,
                          .opcode = opcode,
                          .tag = 9,
                          .slot = slot,
                          .area = opcode == FRAME_HELLO || opcode == FRAME_OPEN ? 0 : world.area,
                          .count = count,
                          .body_bytes = (uint32_t)body.size_bytes,
                          .body_crc = crc32c(body.bytes, body.size_bytes)};
}

/* Carries out a request that comes whole; all its replies are in the output then. */
static struct slice ask(const struct frame *frame, struct slice body)
{
    enum dispatch how;
    fp_assert(output_init(&output, NULL));
    do how = dispatch_frame(&world.dispatcher, &world.session, frame, body, &output);
    while (how == DISPATCH_MORE || how == DISPATCH_AGAIN);
    fp_assert(how == DISPATCH_DONE);
    return output_contiguous(&output);
}

static struct frame ask_one(const struct frame *frame, struct slice body, struct slice *answer)
{
    struct slice replies = ask(frame, body);
    struct frame reply = next_reply(&replies, answer);
    fp_assert(replies.size_bytes == 0 && reply.opcode == frame->opcode && reply.tag == frame->tag);
    return reply;
}

static void greet(void)
{
    uint8_t hello[FRAME_HELLO_BYTES], open[FRAME_OPEN_BYTES + AREA_NAME_BYTES_MAX];
    struct slice answer;
    frame_hello_encode(&(struct frame_hello){1, 1, FRAME_FEATURE_PACKED}, hello);
    struct slice body = slice_of(hello, sizeof hello);
    struct frame frame = request(FRAME_HELLO, 0, 0, body);
    fp_assert(ask_one(&frame, body, &answer).status == FRAME_OK);
    output_fini(&output);
    struct frame_open what = {
        .flags = FRAME_OPEN_CREATE, .slots = SLOTS, .name = slice_text("fuzz")};
    body = slice_of(open, frame_open_encode(&what, open));
    frame = request(FRAME_OPEN, 0, 0, body);
    struct frame reply = ask_one(&frame, body, &answer);
    fp_assert(reply.status == FRAME_OK);
    world.area = reply.area;
    output_fini(&output);
}

/* --- stores ----------------------------------------------------------------------------------- */

struct batch { /* as it was made up; what is sent may be cut otherwise */
    uint8_t body[BODY_MAX];
    size_t size_bytes;
    uint32_t count;
    bool honest; /* its framing */
    struct made {
        uint64_t slot;
        int page; /* UNKNOWN: a lie */
    } made[ENTRIES_MAX];
};

/* The page as a client packs it; its size, written to `at`. 0: it does not pack so. */
static size_t pack_honestly(uint8_t codec, bool with, const uint8_t *page, uint8_t *at)
{
    struct packed packed = {.size_bytes = 0};
    uint64_t word;
    if (codec == FRAME_CODEC_PLAIN) {
        memcpy(at, page, PAGE);
        return PAGE;
    }
    if (codec == FRAME_CODEC_WORD) {
        if (!plain_is_same_filled((struct plain){page, PAGE}, &word)) return 0;
        memcpy(at, &word, sizeof word);
        return sizeof word;
    }
    struct codec_solo *tool = &world.tools[codec == FRAME_CODEC_ZSTD ? TOOL_ZSTD : TOOL_LZ4][with];
    enum fp_status status = codec_solo_pack(tool, (struct plain){page, PAGE},
                                            (struct space){at, PAGE - 1}, &packed);
    return status == FP_OK ? packed.size_bytes : 0;
}

enum { HONEST = 4, DICTIONARY = 8, BREAK_CHECK = 16, WRONG_CRC = 32, LONGER = 64, RESERVED = 128 };

static void add_entry(struct script *script, struct batch *batch)
{
    uint8_t how = next8(script), number = next8(script);
    uint8_t *at = batch->body + batch->size_bytes, *bytes = at + FRAME_ENTRY_BYTES;
    struct made *made = &batch->made[batch->count++];
    const uint8_t *page = world.pages[number % PAGES];
    struct frame_entry entry = {.slot = next8(script) % (SLOTS + 2),
                                .codec = how % FRAME_CODECS,
                                .page_crc = crc32c(page, PAGE)};
    bool with = (how & DICTIONARY) != 0 && entry.codec != FRAME_CODEC_PLAIN &&
                entry.codec != FRAME_CODEC_WORD;
    size_t size = (how & HONEST) != 0 ? pack_honestly(entry.codec, with, page, bytes) : 0;
    *made = (struct made){.slot = entry.slot, .page = size > 0 ? number % PAGES : UNKNOWN};
    if (size == 0) {
        size = next16(script) % 5000;
        for (size_t i = 0; i < size; i++) bytes[i] = i < 64 ? next8(script) : (uint8_t)(i * number);
    }
    if ((how & DICTIONARY) != 0) entry.dictionary_id = dictionary_id(world.dictionary);
    if (entry.dictionary_id != 0 && !with) made->page = UNKNOWN; /* is refused */
    if ((how & WRONG_CRC) != 0) entry.page_crc ^= 1u << (next8(script) % 30 + 2);
    entry.size_bytes = (uint32_t)size;
    frame_entry_encode(&entry, bytes, at);
    if ((how & BREAK_CHECK) != 0) at[next8(script) % FRAME_ENTRY_BYTES] ^= 1;
    if ((how & LONGER) != 0) size += next8(script);
    if ((how & RESERVED) != 0) bytes[0] ^= 0x40;
    if ((how & (WRONG_CRC | RESERVED)) != 0) made->page = UNKNOWN;
    if ((how & (BREAK_CHECK | LONGER | RESERVED)) != 0) batch->honest = false;
    batch->size_bytes += FRAME_ENTRY_BYTES + size;
}

/* A connection's part: pieces arrive, entries are carried out, what is left is dropped. */
static void deliver(struct script *script, const struct batch *batch)
{
    struct session_batch *under_way = &world.session.batch;
    size_t sent = 0, done = 0;
    while (under_way->frame.count > 0 && sent < batch->size_bytes) {
        size_t need = 0, piece = 1 + next16(script) % 6000;
        sent += piece < batch->size_bytes - sent ? piece : batch->size_bytes - sent;
        for (size_t before = done + 1; before != done && under_way->frame.count > 0;) {
            struct slice tight = tight_create(batch->body + done, sent - done), input = tight;
            before = done;
            (void)!dispatch_entries(&world.dispatcher, &world.session, &input, &need, &output);
            done += tight.size_bytes - input.size_bytes;
            tight_destroy(&tight);
        }
    }
    /* A client that goes away here leaves it so; ours goes on as if it had been refused memory. */
    if (under_way->frame.count > 0) dispatch_entries_no_memory(&world.session, &output);
}

static void expect_stored(const struct batch *batch, uint32_t index, const struct frame *reply)
{
    if (reply->status != FRAME_OK) return;
    fp_assert(reply->slot < SLOTS);
    int page = UNKNOWN;
    if (batch->honest) {
        fp_assert(index < batch->count && reply->slot == batch->made[index].slot);
        page = batch->made[index].page;
    }
    world.slots[reply->slot] = page;
}

static void store_some(struct script *script)
{
    static struct batch batch;
    batch = (struct batch){.honest = true};
    for (unsigned i = 0, count = next8(script) % ENTRIES_MAX + 1; i < count; i++)
        add_entry(script, &batch);
    struct slice body = slice_of(batch.body, batch.size_bytes), answer;
    struct frame frame = request(FRAME_STORE_BATCH, 0, batch.count, body);
    uint8_t lie = next8(script);
    if (lie >= 250) frame.count += lie - 252u;
    if (lie >= 240 && lie < 250) frame.body_bytes += lie - 245u;
    batch.honest &= lie < 240;
    frame.body_crc = 0;
    fp_assert(output_init(&output, NULL));
    fp_assert(dispatch_store_batch(&world.dispatcher, &world.session, &frame, &output) ==
              DISPATCH_DONE);
    uint32_t expected = world.session.batch.frame.count; /* 0: refused as a whole */
    if (expected == 0) batch.size_bytes = 0;
    if (batch.size_bytes > frame.body_bytes) batch.size_bytes = frame.body_bytes;
    deliver(script, &batch);
    struct slice replies = output_contiguous(&output);
    if (expected == 0) fp_assert(next_reply(&replies, &answer).count == 0);
    for (uint32_t i = 0; i < expected; i++) {
        struct frame reply = next_reply(&replies, &answer);
        fp_assert(reply.count == expected - i - 1 && reply.body_bytes == 0);
        expect_stored(&batch, i, &reply);
    }
    fp_assert(replies.size_bytes == 0 && world.session.batch.frame.count == 0);
    output_fini(&output);
}

/* --- loads ------------------------------------------------------------------------------------ */

static bool unpacks_to(struct slice body, const uint8_t *page)
{
    struct frame_packed packed;
    struct slice bytes;
    uint8_t out[PAGE];
    struct space space = {out, PAGE};
    fp_assert(frame_packed_decode(body, &packed, &bytes));
    fp_assert(bytes.size_bytes < PAGE);
    if (page == NULL) return true; /* a liar's */
    fp_assert(packed.page_crc == (crc32c(page, PAGE) & FRAME_PACKED_CRC_MASK));
    if (packed.codec == FRAME_CODEC_WORD) {
        uint64_t word;
        fp_assert(bytes.size_bytes == sizeof word);
        memcpy(&word, bytes.bytes, sizeof word);
        plain_fill(space, word);
        return memcmp(out, page, PAGE) == 0;
    }
    bool with = packed.dictionary_id != 0;
    fp_assert(!with || packed.dictionary_id == dictionary_id(world.dictionary));
    struct codec_solo *tool =
        &world.tools[packed.codec == FRAME_CODEC_ZSTD ? TOOL_ZSTD : TOOL_LZ4][with];
    struct packed object = {bytes.bytes, bytes.size_bytes};
    return codec_solo_unpack(tool, object, space) == FP_OK && memcmp(out, page, PAGE) == 0;
}

static void expect_loaded(uint64_t slot, const struct frame *reply, struct slice body)
{
    int known = slot < SLOTS ? world.slots[slot] : ABSENT;
    if (slot >= SLOTS) {
        fp_assert(reply->status == FRAME_RANGE);
    } else if (known == ABSENT) {
        fp_assert(reply->status == FRAME_ABSENT);
    } else if (reply->status == FRAME_PACKED) {
        fp_assert(unpacks_to(body, known == UNKNOWN ? NULL : world.pages[known]));
    } else if (known == UNKNOWN && reply->status == FRAME_CORRUPT) {
        fp_assert(body.size_bytes == 0);
    } else {
        fp_assert(reply->status == FRAME_OK && body.size_bytes == PAGE);
        fp_assert(known == UNKNOWN || memcmp(body.bytes, world.pages[known], PAGE) == 0);
    }
}

static void load_some(struct script *script, uint32_t flags)
{
    uint64_t slots[ENTRIES_MAX * 4];
    uint8_t bytes[FRAME_SLOTS_MAX_BYTES];
    uint32_t count = next8(script) % (ENTRIES_MAX * 4) + 1;
    for (uint32_t i = 0; i < count; i++) slots[i] = next8(script) % (SLOTS + 2);
    struct slice body = slice_of(bytes, frame_slots_encode(flags, slots, count, bytes)), answer;
    struct frame frame = request(FRAME_LOAD_BATCH, 0, count, body);
    struct slice replies = ask(&frame, body);
    for (uint32_t i = 0; i < count; i++) {
        struct frame reply = next_reply(&replies, &answer);
        fp_assert(reply.slot == slots[i] && reply.count == count - i - 1);
        fp_assert(reply.status != FRAME_PACKED || (flags & FRAME_LOAD_PACKED) != 0);
        expect_loaded(slots[i], &reply, answer);
    }
    fp_assert(replies.size_bytes == 0);
    output_fini(&output);
}

static void load_one(struct script *script)
{
    uint64_t slot = next8(script) % (SLOTS + 2);
    struct slice answer;
    struct frame frame = request(FRAME_LOAD, slot, 1, slice_of(NULL, 0));
    struct frame reply = ask_one(&frame, slice_of(NULL, 0), &answer);
    fp_assert(reply.status != FRAME_PACKED);
    expect_loaded(slot, &reply, answer);
    output_fini(&output);
}

static void invalidate_some(struct script *script)
{
    uint64_t slots[2] = {next8(script) % (SLOTS + 2), next8(script) % (SLOTS + 2)};
    uint8_t bytes[FRAME_SLOTS_MAX_BYTES];
    struct slice body = slice_of(bytes, frame_slots_encode(0, slots, 2, bytes)), answer;
    struct frame frame = request(FRAME_INVALIDATE_BATCH, 0, 2, body);
    struct frame reply = ask_one(&frame, body, &answer);
    bool within = slots[0] < SLOTS && slots[1] < SLOTS;
    fp_assert(reply.status == (within ? FRAME_OK : FRAME_RANGE) && reply.count == 0);
    for (int i = 0; within && i < 2; i++) world.slots[slots[i]] = ABSENT;
    output_fini(&output);
}

static void ask_dictionary(struct script *script)
{
    uint32_t id = dictionary_id(world.dictionary) ^ (next8(script) == 0);
    struct slice answer;
    struct frame frame = request(FRAME_DICTIONARY, id, 0, slice_of(NULL, 0));
    struct frame reply = ask_one(&frame, slice_of(NULL, 0), &answer);
    if (id != dictionary_id(world.dictionary)) fp_assert(reply.status == FRAME_NO_DICTIONARY);
    if (world.kept && id == dictionary_id(world.dictionary)) fp_assert(reply.status == FRAME_OK);
    if (reply.status == FRAME_OK)
        fp_assert(slice_equal(answer, dictionary_bytes(world.dictionary)));
    output_fini(&output);
}

/* --- changes ---------------------------------------------------------------------------------- */

static struct area *area_of_world(void)
{
    return session_area(&world.session, world.area);
}

static void squeeze(bool full)
{
    struct budget *budget = store_budget(world.shared->store);
    budget_return(budget, BUDGET_FIXED, world.squeezed);
    world.squeezed = full ? budget_limit(budget) - budget_total(budget) : 0;
    budget_charge_anyway(budget, BUDGET_FIXED, world.squeezed);
}

static void turn_dictionary(bool keep)
{
    struct store *store = world.shared->store;
    if (keep && !world.kept)
        world.kept = store_dictionary_keep(store, area_of_world(), world.dictionary) == FP_OK;
    if (!keep && world.kept) world.kept = !store_dictionary_drop(store, area_of_world());
}

static void change(struct script *script)
{
    static const struct compressor_config choices[] = {
        {"lz4", 1, NULL}, {"zstd", 1, NULL}, {"none", 0, NULL}, {"lz4hc", 3, NULL}};
    struct compressor_pool *pool = store_compressors(world.shared->store);
    uint8_t what = next8(script);
    if (what < 64) (void)!compressor_pool_swap(pool, &choices[what % 4]);
    else if (what < 128) turn_dictionary(what % 2 == 0);
    else if (what < 192) compressor_pool_upkeep(pool);
    else if (what < 224) squeeze(what % 2 == 0);
    else atomic_store(&world.shared->settings.from_clients, what % 2);
}

static void begin(void)
{
    struct area *area = area_of_world();
    squeeze(false);
    turn_dictionary(false);
    (void)!compressor_pool_swap(store_compressors(world.shared->store),
                                &(struct compressor_config){"lz4", 1, NULL});
    atomic_store(&world.shared->settings.from_clients, CONFIG_SWITCH_ON);
    for (uint64_t slot = 0; slot < SLOTS;)
        fp_assert(store_page_invalidate_some(world.shared->store, world.dispatcher.scratch, area,
                                             &slot, SLOTS) == FP_OK);
    for (unsigned i = 0; i < SLOTS; i++) world.slots[i] = ABSENT;
    for (int i = 0; i < 3; i++) compressor_pool_upkeep(store_compressors(world.shared->store));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    if (world.shared == NULL) {
        make_world();
        atomic_store(&world.shared->settings.from_clients, CONFIG_SWITCH_ON);
        greet();
    }
    struct script script = {data, size_bytes, 0};
    begin();
    for (int step = 0; step < STEPS_MAX && script.at < size_bytes; step++) {
        uint8_t what = next8(&script) % 16;
        if (what < 6) store_some(&script);
        else if (what < 10) load_some(&script, what % 2 == 0 ? FRAME_LOAD_PACKED : 0);
        else if (what < 11) load_one(&script);
        else if (what < 12) invalidate_some(&script);
        else if (what < 13) ask_dictionary(&script);
        else change(&script);
    }
    squeeze(false);
    store_check(world.shared->store);
    return 0;
}
