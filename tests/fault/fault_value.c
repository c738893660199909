/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Long values in and out, from the bytes of a connection to the store and back, with each
 * allocation failing in turn.
 *
 * Proven each time: the answer is that it was stored or that memory is out; the value is the new
 * one, the old one or, where items gave way or a set was refused, gone; nothing is left behind.
 */
#include <inttypes.h>

#include "server/conn/conn_value.h"
#include "server/dispatch/dispatch_value_out.h"
#include "tests/fault/fault.h"
#include "tests/unit/storage/bench.h"

enum { LONG_BYTES = 5 * ITEM_PIECE_BYTES + 100, SUM_BYTES_MAX = 8 * LONG_BYTES };

static struct shared shared;

static struct script {
    struct worker_counters counters;
    struct dispatcher dispatcher;
    struct conn_row row;
    struct session session;
    struct output output;
    uint8_t expected[SUM_BYTES_MAX]; /* what the key holds, unless it gave way */
    size_t expected_bytes;
    bool there;
} script;

static uint8_t value[LONG_BYTES];

static struct slice said(void)
{
    return output_contiguous(&script.output);
}

static bool answers(const char *text)
{
    return slice_is(said(), text);
}

static struct request read_line(struct slice line, enum request_parse expected)
{
    static const struct request_limits limits = {.item_bytes_max = SUM_BYTES_MAX,
                                                 .whole_bytes_max = ITEM_WHOLE_BYTES_MAX};
    struct request request;
    size_t more_bytes;
    const char *refusal;
    fp_assert(request_parse(line, &limits, &request, &more_bytes, &refusal) == expected);
    return request;
}

/* As a connection does that has all of it in its buffer. */
static void send_value(const char *line)
{
    static uint8_t sent[200 + LONG_BYTES];
    size_t line_bytes = strlen(line);
    memcpy(sent, line, line_bytes);
    memcpy(sent + line_bytes, value, LONG_BYTES);
    memcpy(sent + line_bytes + LONG_BYTES, "\r\n", 2);
    struct slice input = slice_of(sent, line_bytes + LONG_BYTES + 2);
    struct request request = read_line(input, REQUEST_VALUE);
    struct conn_value turn = {&script.dispatcher, &script.session, &script.output, 0, 0};
    fp_assert(conn_value_begin(&turn, &request, &input) == DISPATCH_DONE);
    while (script.session.value_in != NULL) {
        enum dispatch result = conn_value_go_on(&turn, &input);
        fp_assert(result == DISPATCH_DONE || result == DISPATCH_MORE);
        fp_assert(turn.need_bytes == 0);
    }
    fp_assert(turn.swallow_bytes == input.size_bytes);
    fp_assert(script.session.join == NULL);
}

static void check_value(void)
{
    static const char line[] = "get k\r\n";
    char head[64];
    if (!output_init(&script.output, NULL)) return;
    struct request request = read_line(slice_text(line), REQUEST_READY);
    enum dispatch result;
    do result = dispatch_text(&script.dispatcher, &script.session, &request, &script.output);
    while (result == DISPATCH_MORE);
    fp_assert(result == DISPATCH_DONE && !value_out_is_under_way(&script.session));
    if (answers("END\r\n")) {
        script.there = false;
    } else {
        int size = snprintf(head, sizeof head, "VALUE k 0 %zu\r\n", script.expected_bytes);
        struct slice got = said();
        fp_assert(script.there);
        fp_assert(got.size_bytes == (size_t)size + script.expected_bytes + 7);
        fp_assert(memcmp(got.bytes, head, (size_t)size) == 0);
        fp_assert(memcmp(got.bytes + size, script.expected, script.expected_bytes) == 0);
    }
    output_fini(&script.output);
    if (!script.there) script.expected_bytes = 0;
}

/* What a command that stored made of it. */
static void change(char mode)
{
    bool sets = mode == 'S' || mode == 'M';
    size_t old_bytes = sets ? 0 : script.expected_bytes;
    size_t at = mode == 'A' ? old_bytes : 0;
    memmove(script.expected + at + LONG_BYTES, script.expected + at, old_bytes - at);
    memcpy(script.expected + at, value, LONG_BYTES);
    script.expected_bytes = old_bytes + LONG_BYTES;
    script.there = true;
}

/* set, append, prepend, ms */
static void store(char mode)
{
    char line[64];
    const char *word = mode == 'S' ? "set" : mode == 'A' ? "append" : "prepend";
    if (mode == 'M') snprintf(line, sizeof line, "ms k %d\r\n", (int)LONG_BYTES);
    else snprintf(line, sizeof line, "%s k 0 0 %d\r\n", word, (int)LONG_BYTES);
    if (!output_init(&script.output, NULL)) return;
    send_value(line);
    if (answers("STORED\r\n") || answers("HD\r\n")) {
        change(mode);
    } else if (answers("NOT_STORED\r\n")) {
        script.there = false; /* it gave way */
    } else {
        fp_assert(answers("SERVER_ERROR out of memory storing object\r\n"));
        if (mode == 'S' || mode == 'M') script.there = false;
    }
    if (!script.there) script.expected_bytes = 0;
    output_fini(&script.output);
    check_value();
}

/* A client that ends in the middle, of a value and of a join. */
static void give_up(void)
{
    char line[64];
    int size = snprintf(line, sizeof line, "append k 0 0 %d\r\n", (int)LONG_BYTES);
    struct slice input = slice_of(line, (size_t)size);
    struct request request = read_line(input, REQUEST_VALUE);
    struct conn_value turn = {&script.dispatcher, &script.session, &script.output, 0, 0};
    if (!output_init(&script.output, NULL)) return;
    (void)!conn_value_begin(&turn, &request, &input);
    input = slice_of(value, LONG_BYTES);
    for (int i = 0; i < 3 && script.session.value_in != NULL; i++)
        (void)!conn_value_go_on(&turn, &input);
    value_in_drop(&script.dispatcher, &script.session);
    output_fini(&script.output);
    check_value();
}

static void live(void)
{
    script.there = false;
    script.expected_bytes = 0;
    for (const char *mode = "SAPMPA"; *mode != '\0'; mode++) {
        store(*mode);
        give_up();
    }
}

static void play(void)
{
    struct store_options options = {.memory_limit_bytes = 16 * BENCH_MIB,
                                    .page_bytes = KIT_PAGE_BYTES,
                                    .allocator = kit_allocator(),
                                    .compressor = {"lz4", 0},
                                    .hash_seed = 1};
    if (store_create(&options, &shared.store) != FP_OK) return;
    if (store_scratch_create(shared.store, &script.dispatcher.scratch) == FP_OK) {
        script.dispatcher.scratch->now_ms = BENCH_START_MS;
        script.dispatcher.scratch->unix_s = BENCH_START_UNIX_S;
        live();
        while (store_evict_one(shared.store, script.dispatcher.scratch)) {}
        fp_assert(zpool_fill(store_zpool(shared.store)).object_count == 0);
        fp_assert(budget_held(store_budget(shared.store), BUDGET_ITEMS) == 0);
        fp_assert(budget_held(store_budget(shared.store), BUDGET_CONNECTIONS) == 0);
        fp_assert(store_values_packed_bytes(shared.store) == 0);
        store_scratch_destroy(&script.dispatcher.scratch);
    }
    store_destroy(&shared.store);
}

int main(void)
{
    struct rng rng = {.state = 1};
    rng_fill_text(&rng, value, LONG_BYTES);
    atomic_store(&shared.settings.item_bytes_max, SUM_BYTES_MAX);
    atomic_store(&shared.settings.output_buffer_max_bytes, BENCH_MIB);
    script.dispatcher.shared = &shared;
    script.dispatcher.counters = &script.counters;
    script.session.row = &script.row;
    play(); /* once in good weather: libraries allocate what they keep */
    fp_assert(script.there && script.expected_bytes == 3 * LONG_BYTES);
    printf("each of %" PRIu64 " allocations failed once\n", fault_each(play, false));
    printf("all allocations failed from each of %" PRIu64 " on\n", fault_each(play, true));
    return 0;
}
