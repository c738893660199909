/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/compress/compressor.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/crc32c.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/kit_dictionary.h"
#include "tests/unit/storage/kit_seats.h"

enum { BYTES_MAX = 64 << 10, CANARY_BYTES = 16, CANARY = 0xc5, THREADS = 3 };

/* Every algorithm at its levels: to add a compressor, add its rows here. */
static const struct compressor_config all_configs[] = {
    {"lz4", 0},  {"lz4", 1},  {"lz4", 8},   {"lz4", 65537}, {"zstd", 0},
    {"zstd", 1}, {"zstd", 3}, {"zstd", 19}, {"zstd", -5},   {"zstd", -50},
    {"lz4hc", 0}, {"lz4hc", 1}, {"lz4hc", 3}, {"lz4hc", 10}, {"lz4hc", 12},
};

/* Loops over algorithms go round twice: without a dictionary, then with one. */
static const char *const all_algorithms[] = {"lz4", "lz4hc", "zstd"};
enum { CONFIGS = FP_COUNT_OF(all_configs), ALGORITHMS = FP_COUNT_OF(all_algorithms) };

static struct dictionary *dictionary; /* made in main */

static struct compressor_config config_at(int i)
{
    struct compressor_config config = all_configs[i % CONFIGS];
    config.dictionary = i < CONFIGS ? NULL : dictionary;
    return config;
}

static struct compressor_config algorithm_at(int i)
{
    return (struct compressor_config){.algorithm = all_algorithms[i % ALGORITHMS],
                                      .dictionary = i < ALGORITHMS ? NULL : dictionary};
}

struct bench { /* one seat, held, with room for what goes in and out */
    struct compressor_pool *pool;
    struct compressor *seat;
    struct codec_scratch *scratch;
    uint8_t *packed, *out; /* BYTES_MAX * 2, then the canary */
};

static void setup(struct bench *bench, struct compressor_config config)
{
    ck_assert_int_eq(compressor_pool_create(&config, NULL, &bench->pool), FP_OK);
    ck_assert_int_eq(codec_scratch_create(bench->pool, &bench->scratch), FP_OK);
    bench->seat = compressor_acquire(bench->pool, bench->scratch);
    bench->packed = malloc(BYTES_MAX * 2 + CANARY_BYTES);
    bench->out = malloc(BYTES_MAX * 2 + CANARY_BYTES);
}

static void teardown(struct bench *bench)
{
    compressor_release(&bench->seat, bench->scratch);
    ck_assert_ptr_null(bench->seat);
    codec_scratch_destroy(&bench->scratch);
    compressor_pool_destroy(&bench->pool);
    ck_assert_ptr_null(bench->pool);
    free(bench->packed);
    free(bench->out);
}

static bool canary_lives(const uint8_t *bytes)
{
    for (int i = 0; i < CANARY_BYTES; i++)
        if (bytes[i] != CANARY) return false;
    return true;
}

/* Packs into exactly `capacity` bytes; 0: it did not fit. */
static size_t pack(struct bench *bench, const uint8_t *plain, size_t size, size_t capacity)
{
    struct packed packed = {0};
    memset(bench->packed + capacity, CANARY, CANARY_BYTES);
    struct space space = {.bytes = bench->packed, .capacity_bytes = capacity};
    enum fp_status status = compressor_pack(bench->seat, bench->scratch,
                                            (struct plain){plain, size}, space, &packed);
    ck_assert(canary_lives(bench->packed + capacity));
    ck_assert(status == FP_OK || status == FP_TOO_BIG);
    if (status == FP_OK) ck_assert(packed.bytes == bench->packed && packed.size_bytes <= capacity);
    return status == FP_OK ? packed.size_bytes : 0;
}

static bool unpack(struct bench *bench, const uint8_t *packed, size_t size, size_t out_bytes)
{
    memset(bench->out + out_bytes, CANARY, CANARY_BYTES);
    struct space space = {.bytes = bench->out, .capacity_bytes = out_bytes};
    enum fp_status status = compressor_unpack(bench->seat, bench->scratch,
                                              (struct packed){packed, size}, space);
    ck_assert(canary_lives(bench->out + out_bytes));
    ck_assert(status == FP_OK || status == FP_CORRUPT);
    return status == FP_OK;
}

/* Whatever fits comes back; what was packed with room to spare always fits. */
static void round_trip(struct bench *bench, const uint8_t *plain, size_t size)
{
    for (int tight = 0; tight < 2; tight++) {
        size_t packed = pack(bench, plain, size, tight ? size - 1 : size * 2 - size / 2 + 64);
        ck_assert(tight || packed > 0);
        if (packed == 0) continue;
        memset(bench->out, 0, size);
        ck_assert(unpack(bench, bench->packed, packed, size));
        ck_assert_mem_eq(bench->out, plain, size);
    }
}

START_TEST(real_pages_come_back_byte_for_byte)
{
    struct bench bench;
    uint8_t *sample = kit_sample();
    setup(&bench, config_at(_i));
    for (int page = 0; page < KIT_SAMPLE_PAGES; page++)
        round_trip(&bench, sample + (size_t)page * KIT_PAGE_BYTES, KIT_PAGE_BYTES);
    size_t end = (size_t)KIT_SAMPLE_PAGES * KIT_PAGE_BYTES;
    for (size_t at = 0; at + BYTES_MAX <= end; at += BYTES_MAX) {
        round_trip(&bench, sample + at, BYTES_MAX);
        round_trip(&bench, sample + at, 16 << 10);
    }
    teardown(&bench);
    free(sample);
}
END_TEST

START_TEST(random_zero_and_short_bytes_come_back)
{
    struct bench bench;
    struct rng rng = {.state = 11};
    uint8_t *bytes = malloc(BYTES_MAX);
    setup(&bench, config_at(_i));
    for (size_t size = 1; size <= BYTES_MAX; size = size < 130 ? size + 1 : size * 2 - 1) {
        rng_fill(&rng, bytes, size);
        round_trip(&bench, bytes, size);
        ck_assert(size < 4096 || pack(&bench, bytes, size, size - 1) == 0);
        rng_fill_text(&rng, bytes, size);
        round_trip(&bench, bytes, size);
        ck_assert(size < 4096 || all_configs[_i % CONFIGS].level == 65537 ||
                  pack(&bench, bytes, size, size - 1) > 0);
        memset(bytes, 0, size);
        round_trip(&bench, bytes, size);
        ck_assert(size < 4096 || pack(&bench, bytes, size, size / 10) > 0);
    }
    teardown(&bench);
    free(bytes);
}
END_TEST

START_TEST(none_keeps_everything_as_it_is)
{
    struct bench bench;
    static const uint8_t zeros[4096];
    setup(&bench, (struct compressor_config){"none", 0});
    ck_assert(pack(&bench, zeros, sizeof zeros, sizeof zeros) == 0);
    ck_assert(!unpack(&bench, zeros, sizeof zeros, sizeof zeros));
    teardown(&bench);
}
END_TEST

START_TEST(names_and_levels_that_do_not_exist_are_refused)
{
    static const struct compressor_config wrong[] = {
        {"lz4", -1}, {"lz4", 65538}, {"zstd", 20}, {"zstd", -51},
        {"none", 1}, {"snappy", 0},  {"", 0},      {"LZ4", 0},  {"lz4hc", -1}, {"lz4hc", 13},
    };
    static const struct compressor_config good = {"lz4", 0};
    struct compressor_pool *pool = NULL;
    for (size_t i = 0; i < FP_COUNT_OF(wrong); i++)
        ck_assert_int_eq(compressor_pool_create(&wrong[i], NULL, &pool), FP_INVALID);
    ck_assert_ptr_null(pool);
    ck_assert_int_eq(compressor_pool_create(&good, NULL, &pool), FP_OK);
    for (size_t i = 0; i < FP_COUNT_OF(wrong); i++)
        ck_assert_int_eq(compressor_pool_swap(pool, &wrong[i]), FP_INVALID);
    ck_assert(compressor_swap_count(pool) == 0);
    compressor_pool_destroy(&pool);
}
END_TEST

/* True: refused, or undone by the checksum, or harmless. */
static bool is_found_out(struct bench *bench, size_t packed_size, const uint8_t *plain, size_t size)
{
    if (!unpack(bench, bench->packed, packed_size, size)) return true;
    return memcmp(bench->out, plain, size) == 0 || crc32c(bench->out, size) != crc32c(plain, size);
}

static void damage(struct bench *bench, const uint8_t *plain, size_t size)
{
    size_t packed = pack(bench, plain, size, size - 1);
    if (packed == 0) return;
    for (size_t cut = 0; cut < packed; cut++)
        ck_assert(!unpack(bench, bench->packed, cut, size));
    ck_assert(!unpack(bench, bench->packed, packed, size - 1));
    ck_assert(!unpack(bench, bench->packed, packed, size + 1));
    for (size_t more = 1; more <= 8; more++) {
        memset(bench->packed + packed, more % 2 ? 0 : 0xff, more);
        ck_assert(is_found_out(bench, packed + more, plain, size));
    }
    for (size_t bit = 0; bit < packed * 8; bit++) {
        bench->packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert(is_found_out(bench, packed, plain, size));
        bench->packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert(unpack(bench, bench->packed, packed, size));
    ck_assert_mem_eq(bench->out, plain, size);
}

START_TEST(damaged_bytes_are_refused_or_found_out_by_the_checksum)
{
    struct bench bench;
    uint8_t *sample = kit_sample();
    setup(&bench, algorithm_at(_i));
    for (int page = 0; page < KIT_SAMPLE_PAGES; page += 100)
        damage(&bench, sample + (size_t)page * KIT_PAGE_BYTES, KIT_PAGE_BYTES);
    teardown(&bench);
    free(sample);
}
END_TEST

/* No byte behind an object's own is taken, whatever it is; nor is a second object. */
START_TEST(bytes_behind_the_end_are_refused)
{
    struct bench bench;
    uint8_t *sample = kit_sample();
    uint8_t twice[2 * KIT_PAGE_BYTES];
    enum { HALF = KIT_PAGE_BYTES / 2, PAGE = 123 };
    const uint8_t *page = sample + (size_t)PAGE * KIT_PAGE_BYTES;
    setup(&bench, algorithm_at(_i));
    size_t first = pack(&bench, page, HALF, HALF - 1);
    memcpy(twice, bench.packed, first);
    size_t second = pack(&bench, page + HALF, HALF, HALF - 1);
    memcpy(twice + first, bench.packed, second);
    ck_assert(first > 0 && second > 0);
    ck_assert(unpack(&bench, twice, first, HALF) && unpack(&bench, twice + first, second, HALF));
    ck_assert(!unpack(&bench, twice, first + second, KIT_PAGE_BYTES));
    ck_assert(!unpack(&bench, twice, first + second, HALF));
    for (unsigned more = 1; more <= 8; more++)
        for (unsigned byte = 0; byte < 256; byte++) {
            memset(twice + first, (int)byte, more);
            ck_assert(!unpack(&bench, twice, first + more, HALF));
        }
    teardown(&bench);
    free(sample);
}
END_TEST

START_TEST(bytes_of_any_kind_never_harm)
{
    struct bench bench;
    struct rng rng = {.state = 5};
    uint8_t noise[4096];
    setup(&bench, algorithm_at(_i));
    for (int i = 0; i < 5000; i++) {
        size_t size = rng_below(&rng, sizeof noise);
        rng_fill(&rng, noise, size);
        (void)unpack(&bench, noise, size, 4096);
    }
    teardown(&bench);
}
END_TEST

/* --- seats ----------------------------------------------------------------------------------- */

START_TEST(a_seat_drains_until_its_last_user_and_its_last_object_are_gone)
{
    for (int user_first = 0; user_first < 2; user_first++) {
        struct compressor_pool *pool = pool_of("lz4", 1);
        struct compressor *seat = compressor_acquire(pool, NULL);
        uint8_t id = compressor_id(seat);
        (void)!compressor_object_born(seat, NULL);
        ck_assert_int_eq(row_of(pool, id).state, COMPRESSOR_CURRENT);
        ck_assert_int_eq(swap(pool, "zstd", 3), FP_OK);
        ck_assert_int_eq(row_of(pool, id).state, COMPRESSOR_DRAINING);
        ck_assert(row_of(pool, id).users == 1 && row_of(pool, id).objects == 1);
        if (user_first) compressor_release(&seat, NULL);
        else compressor_object_died(pool, id, NULL);
        settle(pool);
        ck_assert_int_eq(row_of(pool, id).state, COMPRESSOR_DRAINING);
        if (user_first) compressor_object_died(pool, id, NULL);
        else compressor_release(&seat, NULL);
        settle(pool);
        ck_assert_int_eq(row_of(pool, id).state, COMPRESSOR_EMPTY);
        ck_assert_ptr_null(compressor_acquire_id(pool, id, NULL));
        compressor_pool_destroy(&pool);
    }
}
END_TEST

START_TEST(a_seat_nobody_uses_empties_by_itself)
{
    struct compressor_pool *pool = pool_of("lz4", 1);
    ck_assert_int_eq(swap(pool, "lz4", 2), FP_OK);
    settle(pool);
    ck_assert_int_eq(row_of(pool, 0).state, COMPRESSOR_EMPTY);
    ck_assert_int_eq(row_of(pool, 1).state, COMPRESSOR_CURRENT);
    ck_assert_int_eq(swap(pool, "zstd", 0), FP_OK); /* takes the empty seat again */
    ck_assert_int_eq(row_of(pool, 0).state, COMPRESSOR_CURRENT);
    ck_assert_str_eq(row_of(pool, 0).algorithm, "zstd");
    ck_assert_int_eq(row_of(pool, 0).level, 1);
    ck_assert(!row_of(pool, 0).resurrected);
    ck_assert(compressor_swap_count(pool) == 2);
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(swapping_to_what_is_current_changes_nothing)
{
    struct compressor_pool *pool = pool_of("lz4", 0);
    ck_assert_int_eq(swap(pool, "lz4", 1), FP_EXISTS); /* level 0 is lz4's own, 1 */
    ck_assert_int_eq(row_of(pool, 0).state, COMPRESSOR_CURRENT);
    ck_assert(compressor_swap_count(pool) == 0);
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(swapping_back_resurrects_the_draining_seat)
{
    struct compressor_pool *pool = pool_of("lz4", 1);
    struct compressor *seat = compressor_acquire(pool, NULL);
    (void)!compressor_object_born(seat, NULL);
    compressor_release(&seat, NULL);
    ck_assert_int_eq(swap(pool, "zstd", 1), FP_OK);
    ck_assert_int_eq(swap(pool, "lz4", 1), FP_OK);
    struct compressor_row row = row_of(pool, 0);
    ck_assert(row.state == COMPRESSOR_CURRENT && row.resurrected && row.objects == 1);
    compressor_object_died(pool, 0, NULL);
    settle(pool);
    ck_assert_int_eq(row_of(pool, 0).state, COMPRESSOR_CURRENT); /* current never empties */
    ck_assert_int_eq(row_of(pool, 1).state, COMPRESSOR_EMPTY);
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(when_all_seats_hold_objects_a_swap_is_refused_and_harmless)
{
    struct compressor_pool *pool = pool_of("lz4", 1);
    for (int level = 1; level <= COMPRESSOR_SEATS; level++) {
        if (level > 1) ck_assert_int_eq(swap(pool, "lz4", level), FP_OK);
        struct compressor *seat = compressor_acquire(pool, NULL);
        (void)!compressor_object_born(seat, NULL);
        compressor_release(&seat, NULL);
    }
    ck_assert_int_eq(swap(pool, "lz4", COMPRESSOR_SEATS + 1), FP_BUSY);
    struct compressor *seat = compressor_acquire(pool, NULL);
    ck_assert_uint_eq(compressor_id(seat), COMPRESSOR_SEATS - 1);
    compressor_release(&seat, NULL);
    ck_assert_int_eq(swap(pool, "lz4", 17), FP_OK); /* one of those that drain */
    ck_assert(row_of(pool, 16).resurrected);
    compressor_object_died(pool, 99, NULL);
    ck_assert_int_eq(swap(pool, "zstd", 1), FP_OK);
    ck_assert_int_eq(row_of(pool, 99).state, COMPRESSOR_CURRENT);
    for (int id = 0; id < COMPRESSOR_SEATS; id++)
        if (id != 99) compressor_object_died(pool, (uint8_t)id, NULL);
    settle(pool);
    for (int id = 0; id < COMPRESSOR_SEATS; id++)
        ck_assert_int_eq(row_of(pool, (uint8_t)id).state,
                         id == 99 ? COMPRESSOR_CURRENT : COMPRESSOR_EMPTY);
    compressor_pool_destroy(&pool);
}
END_TEST

START_TEST(a_row_counts_what_a_seat_did_and_starts_again_with_it)
{
    struct bench bench;
    struct rng rng = {.state = 2};
    uint8_t bytes[4096];
    setup(&bench, (struct compressor_config){"lz4", 1});
    rng_fill_text(&rng, bytes, sizeof bytes);
    size_t packed = pack(&bench, bytes, sizeof bytes, sizeof bytes - 1);
    ck_assert(packed > 0);
    ck_assert(unpack(&bench, bench.packed, packed, sizeof bytes));
    ck_assert(!unpack(&bench, bench.packed, packed - 1, sizeof bytes));
    rng_fill(&rng, bytes, sizeof bytes);
    ck_assert(pack(&bench, bytes, sizeof bytes, sizeof bytes - 1) == 0);
    struct compressor_row row = row_of(bench.pool, 0);
    ck_assert(row.packs == 2 && row.incompressible == 1 && row.unpacks == 2 && row.failures == 1);
    ck_assert(row.plain_bytes == sizeof bytes && row.packed_bytes == packed);
    compressor_release(&bench.seat, bench.scratch);
    ck_assert_int_eq(swap(bench.pool, "lz4", 2), FP_OK);
    settle(bench.pool);
    ck_assert_int_eq(swap(bench.pool, "lz4", 1), FP_OK);
    row = row_of(bench.pool, 0);
    ck_assert(row.state == COMPRESSOR_CURRENT && row.packs == 0 && row.failures == 0);
    bench.seat = compressor_acquire(bench.pool, bench.scratch);
    teardown(&bench);
}
END_TEST

START_TEST(a_threads_memory_comes_with_its_first_pack_and_stays_small)
{
    static const struct {
        struct compressor_config config;
        size_t bytes_max;
    } cases[] = {{{"lz4", 1}, 17 << 10},   {{"lz4hc", 9}, 257 << 10}, {{"zstd", -5}, 80 << 10},
                 {{"zstd", 1}, 80 << 10},  {{"zstd", 3}, 100 << 10},  {{"zstd", 9}, 110 << 10},
                 {{"zstd", 19}, 280 << 10}};
    uint8_t *sample = kit_sample();
    for (int with = 0; with < 2; with++)
        for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
            struct bench bench;
            struct compressor_config config = cases[i].config;
            config.dictionary = with ? dictionary : NULL;
            setup(&bench, config);
            size_t before = codec_scratch_bytes(bench.scratch);
            ck_assert_uint_lt(before, 100 << 10); /* zstd's unpacker, untouched */
            round_trip(&bench, sample, KIT_PAGE_BYTES);
            size_t grown = codec_scratch_bytes(bench.scratch) - before;
            ck_assert_msg(grown > 0 && grown <= cases[i].bytes_max, "%s:%d took %zu bytes",
                          config.algorithm, config.level, grown);
            for (int page = 1; page < 20; page++)
                round_trip(&bench, sample + page * KIT_PAGE_BYTES, KIT_PAGE_BYTES);
            ck_assert_uint_eq(codec_scratch_bytes(bench.scratch) - before, grown);
            teardown(&bench);
        }
    free(sample);
}
END_TEST

START_TEST(a_thread_follows_a_change_of_the_level)
{
    struct bench bench;
    uint8_t *sample = kit_sample();
    static const int levels[] = {-50, 19, -50};
    size_t sizes[3];
    setup(&bench, (struct compressor_config){"zstd", 3});
    for (int i = 0; i < 3; i++) {
        compressor_release(&bench.seat, bench.scratch);
        ck_assert_int_eq(swap(bench.pool, "zstd", levels[i]), FP_OK);
        bench.seat = compressor_acquire(bench.pool, bench.scratch);
        sizes[i] = pack(&bench, sample, BYTES_MAX, BYTES_MAX);
    }
    ck_assert(sizes[1] < sizes[0] * 3 / 4 && sizes[2] == sizes[0]);
    teardown(&bench);
    free(sample);
}
END_TEST

struct packer {
    pthread_t thread;
    struct compressor_pool *pool;
    _Atomic bool *stop;
    const uint8_t *sample;
    uint64_t seed, done;
};

struct object { /* what a store would keep of a page */
    uint8_t bytes[KIT_PAGE_BYTES];
    size_t size;
    uint64_t page;
    uint8_t seat;
};

static void object_make(struct packer *packer, struct codec_scratch *scratch, struct object *object)
{
    struct packed packed;
    struct compressor *seat = compressor_acquire(packer->pool, scratch);
    struct plain plain = {packer->sample + object->page * KIT_PAGE_BYTES, KIT_PAGE_BYTES};
    struct space space = {object->bytes, sizeof object->bytes - 1};
    object->size = 0;
    if (compressor_pack(seat, scratch, plain, space, &packed) == FP_OK) {
        object->size = packed.size_bytes;
        object->seat = compressor_id(seat);
        fp_assert(compressor_object_born(seat, scratch));
    }
    compressor_release(&seat, scratch);
}

static bool object_end(struct packer *packer, struct codec_scratch *scratch, struct object *object)
{
    uint8_t out[KIT_PAGE_BYTES];
    struct space space = {out, sizeof out};
    struct compressor *seat = compressor_acquire_id(packer->pool, object->seat, scratch);
    if (seat == NULL) return false;
    struct packed packed = {object->bytes, object->size};
    bool good = compressor_unpack(seat, scratch, packed, space) == FP_OK &&
                memcmp(out, packer->sample + object->page * KIT_PAGE_BYTES, sizeof out) == 0;
    compressor_release_id(&seat, scratch);
    compressor_object_died(packer->pool, object->seat, scratch);
    object->size = 0;
    return good;
}

static void *pack_and_unpack(void *argument)
{
    enum { HELD = 8 };
    struct packer *packer = argument;
    struct rng rng = {.state = packer->seed};
    struct object objects[HELD];
    struct codec_scratch *scratch = NULL;
    if (codec_scratch_create(packer->pool, &scratch) != FP_OK) return NULL;
    for (int i = 0; i < HELD; i++) objects[i].size = 0;
    bool good = true;
    while (good && !atomic_load(packer->stop)) {
        struct object *object = &objects[rng_below(&rng, HELD)];
        if (object->size != 0) good = object_end(packer, scratch, object);
        object->page = rng_below(&rng, KIT_SAMPLE_PAGES);
        object_make(packer, scratch, object);
        packer->done++;
    }
    for (int i = 0; i < HELD; i++)
        if (objects[i].size != 0) good = object_end(packer, scratch, &objects[i]) && good;
    codec_scratch_destroy(&scratch);
    return good ? packer : NULL;
}

START_TEST(swaps_under_load_lose_no_object_and_no_seat)
{
    const struct compressor_config turns[] = {
        {"lz4", 1},  {"zstd", 1}, {"lz4", 4, dictionary},   {"none", 0},
        {"zstd", -3, dictionary}, {"lz4", 9}, {"lz4hc", 4}, {"lz4hc", 4, dictionary}};
    enum { SWAPS = 3000 };
    struct compressor_pool *pool = pool_of("none", 0);
    struct packer packers[THREADS];
    _Atomic bool stop = false;
    uint8_t *sample = kit_sample();
    for (unsigned i = 0; i < THREADS; i++) {
        packers[i] = (struct packer){.pool = pool, .stop = &stop, .sample = sample, .seed = i};
        ck_assert_int_eq(pthread_create(&packers[i].thread, NULL, pack_and_unpack, &packers[i]), 0);
    }
    for (unsigned i = 0; i < SWAPS; i++) {
        enum fp_status status = compressor_pool_swap(pool, &turns[i % FP_COUNT_OF(turns)]);
        ck_assert(status == FP_OK || status == FP_EXISTS);
        if (i % 16 == 0) compressor_pool_upkeep(pool);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(packers[i].thread, &result), 0);
        ck_assert_ptr_eq(result, &packers[i]);
    }
    settle(pool);
    unsigned current = 0;
    for (int id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row = row_of(pool, (uint8_t)id);
        ck_assert(row.users == 0 && row.objects == 0 && row.failures == 0);
        ck_assert(row.state != COMPRESSOR_DRAINING);
        current += row.state == COMPRESSOR_CURRENT;
    }
    ck_assert_uint_eq(current, 1);
    compressor_pool_destroy(&pool);
    free(sample);
}
END_TEST

static void *acquire_and_release(void *argument)
{
    struct packer *packer = argument;
    struct codec_scratch *scratch = NULL;
    bool empty = false;
    if (codec_scratch_create(packer->pool, &scratch) != FP_OK) return NULL;
    while (!empty && !atomic_load(packer->stop)) {
        struct compressor *seat = compressor_acquire(packer->pool, scratch);
        struct compressor *again =
            compressor_acquire_id(packer->pool, compressor_id(seat), scratch);
        empty = again == NULL;
        if (!empty) compressor_release_id(&again, scratch);
        compressor_release(&seat, scratch);
    }
    codec_scratch_destroy(&scratch);
    return empty ? NULL : packer;
}

/* No objects here: a seat empties soon after its last user let go, and is filled again at once. */
START_TEST(an_acquired_seat_is_never_an_empty_one)
{
    enum { SWAPS = 50000 };
    struct compressor_pool *pool = pool_of("lz4", 3);
    struct packer packers[THREADS];
    _Atomic bool stop = false;
    for (unsigned i = 0; i < THREADS; i++) {
        packers[i] = (struct packer){.pool = pool, .stop = &stop};
        ck_assert_int_eq(
            pthread_create(&packers[i].thread, NULL, acquire_and_release, &packers[i]), 0);
    }
    for (int i = 0; i < SWAPS; i++) {
        (void)!swap(pool, "lz4", 1 + i % 3);
        compressor_pool_upkeep(pool);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(packers[i].thread, &result), 0);
        ck_assert_ptr_eq(result, &packers[i]);
    }
    compressor_pool_destroy(&pool);
}
END_TEST

static void destroy_with_an_object(void *argument)
{
    struct compressor_pool *pool = argument;
    struct compressor *seat = compressor_acquire(pool, NULL);
    (void)!compressor_object_born(seat, NULL);
    compressor_release(&seat, NULL);
    compressor_pool_destroy(&pool);
}

static void die_twice(void *argument)
{
    struct compressor_pool *pool = argument;
    compressor_object_died(pool, 0, NULL);
    compressor_pool_destroy(&pool);
}

START_TEST(a_count_that_does_not_add_up_stops_the_program)
{
    struct compressor_pool *pool = pool_of("lz4", 1);
    ck_assert(child_aborts(destroy_with_an_object, pool));
    ck_assert(child_aborts(die_twice, pool));
    compressor_pool_destroy(&pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compressor");
    TCase *codecs = tcase_create("codecs"), *seats = tcase_create("seats");
    dictionary = kit_dictionary(1);
    tcase_set_timeout(codecs, 110);
    tcase_add_loop_test(codecs, real_pages_come_back_byte_for_byte, 0, 2 * CONFIGS);
    tcase_add_loop_test(codecs, random_zero_and_short_bytes_come_back, 0, 2 * CONFIGS);
    tcase_add_test(codecs, none_keeps_everything_as_it_is);
    tcase_add_test(codecs, names_and_levels_that_do_not_exist_are_refused);
    tcase_add_loop_test(codecs, damaged_bytes_are_refused_or_found_out_by_the_checksum, 0,
                        2 * ALGORITHMS);
    tcase_add_loop_test(codecs, bytes_behind_the_end_are_refused, 0, 2 * ALGORITHMS);
    tcase_add_loop_test(codecs, bytes_of_any_kind_never_harm, 0, 2 * ALGORITHMS);
    tcase_add_test(seats, a_seat_drains_until_its_last_user_and_its_last_object_are_gone);
    tcase_add_test(seats, a_seat_nobody_uses_empties_by_itself);
    tcase_add_test(seats, swapping_to_what_is_current_changes_nothing);
    tcase_add_test(seats, swapping_back_resurrects_the_draining_seat);
    tcase_add_test(seats, when_all_seats_hold_objects_a_swap_is_refused_and_harmless);
    tcase_add_test(seats, a_row_counts_what_a_seat_did_and_starts_again_with_it);
    tcase_add_test(seats, a_thread_follows_a_change_of_the_level);
    tcase_add_test(seats, a_threads_memory_comes_with_its_first_pack_and_stays_small);
    tcase_add_test(seats, swaps_under_load_lose_no_object_and_no_seat);
    tcase_add_test(seats, an_acquired_seat_is_never_an_empty_one);
    tcase_add_test(seats, a_count_that_does_not_add_up_stops_the_program);
    suite_add_tcase(suite, codecs);
    suite_add_tcase(suite, seats);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    dictionary_release(&dictionary);
    return failed == 0 ? 0 : 1;
}
