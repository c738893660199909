/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/store/page/store_block.h"

#include <pthread.h>

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/bench.h"

enum { SLOTS = 40, TURNS = 4000, WRITERS = 4, ROUNDS = 60, SHARED_SLOTS = 3 };

static const uint32_t page_sizes[] = {4 << 10, 16 << 10, 64 << 10};

struct disk {
    struct bench bench;
    uint32_t page_bytes;
    uint8_t *shadow, *room, *out;
};

static void disk_setup(struct disk *disk, uint32_t page_bytes)
{
    bench_setup(&disk->bench, (struct store_options){.page_bytes = page_bytes}, SLOTS);
    disk->page_bytes = page_bytes;
    disk->shadow = calloc(SLOTS, page_bytes);
    disk->room = malloc(page_bytes);
    disk->out = malloc(page_bytes);
    ck_assert(disk->shadow != NULL && disk->room != NULL && disk->out != NULL);
}

static void disk_teardown(struct disk *disk)
{
    bench_teardown(&disk->bench);
    free(disk->shadow);
    free(disk->room);
    free(disk->out);
}

static struct page_place place_of(const struct disk *disk, uint64_t slot)
{
    return (struct page_place){disk->bench.area, slot};
}

static const uint8_t *read_back(struct disk *disk, uint64_t slot)
{
    bool zeros;
    ck_assert_int_eq(store_block_read(disk->bench.store, disk->bench.scratch, place_of(disk, slot),
                                      disk->out, &zeros),
                     FP_OK);
    if (zeros) memset(disk->out, 0, disk->page_bytes);
    return disk->out;
}

static uint64_t stored(const struct disk *disk)
{
    return atomic_load(&disk->bench.area->counters.stored);
}

static void write_part(struct disk *disk, struct rng *rng, uint64_t slot)
{
    uint8_t *at = disk->shadow + slot * disk->page_bytes;
    uint32_t offset = (uint32_t)rng_below(rng, disk->page_bytes);
    uint32_t size = (uint32_t)rng_below(rng, disk->page_bytes - offset + 1);
    bool zeros = rng_below(rng, 3) == 0;
    if (zeros) memset(at + offset, 0, size);
    else rng_fill_text(rng, at + offset, size);
    struct block_part part = {offset, size, zeros ? NULL : at + offset};
    ck_assert_int_eq(store_block_write_part(disk->bench.store, disk->bench.scratch,
                                            place_of(disk, slot), &part, disk->room),
                     FP_OK);
}

static void write_whole(struct disk *disk, struct rng *rng, uint64_t slot)
{
    uint8_t *at = disk->shadow + slot * disk->page_bytes;
    if (rng_below(rng, 3) == 0) memset(at, 0, disk->page_bytes);
    else rng_fill_text(rng, at, disk->page_bytes);
    ck_assert_int_eq(store_block_write(disk->bench.store, disk->bench.scratch,
                                       place_of(disk, slot), at),
                     FP_OK);
}

static bool is_zeros(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static void check_all(struct disk *disk)
{
    uint64_t held = 0;
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        const uint8_t *wanted = disk->shadow + slot * disk->page_bytes;
        ck_assert(memcmp(read_back(disk, slot), wanted, disk->page_bytes) == 0);
        held += !is_zeros(wanted, disk->page_bytes);
    }
    ck_assert_uint_eq(stored(disk), held);
}

START_TEST(parts_and_whole_pages_are_as_in_an_array_and_zeros_are_not_kept)
{
    struct disk disk;
    struct rng rng = {.state = 5};
    disk_setup(&disk, page_sizes[_i]);
    for (int turn = 0; turn < TURNS; turn++) {
        uint64_t slot = rng_below(&rng, SLOTS);
        if (rng_below(&rng, 2) == 0) write_part(&disk, &rng, slot);
        else write_whole(&disk, &rng, slot);
        if (turn % 500 == 0) check_all(&disk);
    }
    check_all(&disk);
    disk_teardown(&disk);
}
END_TEST

START_TEST(zeros_that_are_kept_are_told_apart_from_nothing)
{
    struct disk disk;
    struct rng rng = {.state = 6};
    uint32_t rows = 10;
    bool zeros;
    disk_setup(&disk, page_sizes[_i]);
    struct area *area = disk.bench.area;
    struct block_run run = store_block_look(disk.bench.store, area, 3, SLOTS, &rows);
    ck_assert(run.kind == BLOCK_ABSENT && run.end == SLOTS);
    for (uint64_t slot = 10; slot < 13; slot++)
        ck_assert_int_eq(store_block_zero(disk.bench.store, disk.bench.scratch,
                                          place_of(&disk, slot)),
                         FP_OK);
    rng_fill_text(&rng, disk.room, disk.page_bytes);
    ck_assert_int_eq(store_block_write(disk.bench.store, disk.bench.scratch, place_of(&disk, 13),
                                       disk.room),
                     FP_OK);
    ck_assert_int_eq(store_block_read(disk.bench.store, disk.bench.scratch, place_of(&disk, 11),
                                      disk.out, &zeros),
                     FP_OK);
    ck_assert(zeros && stored(&disk) == 4);
    static const struct block_run wanted[] = {
        {10, BLOCK_ABSENT}, {13, BLOCK_ZEROS}, {14, BLOCK_DATA}, {SLOTS, BLOCK_ABSENT}};
    uint64_t slot = 0;
    for (size_t i = 0; i < FP_COUNT_OF(wanted); i++) {
        rows = 10;
        run = store_block_look(disk.bench.store, area, slot, SLOTS, &rows);
        ck_assert(run.end == wanted[i].end && run.kind == wanted[i].kind);
        slot = run.end;
    }
    rows = 10;
    run = store_block_look(disk.bench.store, area, 11, 12, &rows);
    ck_assert(run.end == 12 && run.kind == BLOCK_ZEROS);
    disk_teardown(&disk);
}
END_TEST

START_TEST(what_does_not_match_its_checksum_is_no_part_of_a_page)
{
    struct disk disk;
    struct rng rng = {.state = 7};
    bool zeros;
    disk_setup(&disk, page_sizes[_i]);
    struct page_place place = place_of(&disk, 1);
    struct store *store = disk.bench.store;
    struct block_part part = {8, 1, (const uint8_t *)"x"};
    rng_fill_text(&rng, disk.out, disk.page_bytes);
    ck_assert_int_eq(store_block_write(store, disk.bench.scratch, place, disk.out), FP_OK);
#if FARPAGE_DEBUG_HOOKS
    ck_assert_int_eq(store_damage_page(store, place.area, 1), FP_OK);
    ck_assert_int_eq(store_block_read(store, disk.bench.scratch, place, disk.out, &zeros),
                     FP_CORRUPT);
    ck_assert_int_eq(store_block_write_part(store, disk.bench.scratch, place, &part, disk.room),
                     FP_CORRUPT);
    ck_assert_int_eq(store_block_zero(store, disk.bench.scratch, place), FP_OK);
    ck_assert_int_eq(store_damage_page(store, place.area, 1), FP_OK);
    ck_assert_int_eq(store_block_read(store, disk.bench.scratch, place, disk.out, &zeros),
                     FP_CORRUPT);
#endif
    place.slot = SLOTS;
    ck_assert_int_eq(store_block_read(store, disk.bench.scratch, place, disk.out, &zeros),
                     FP_RANGE);
    ck_assert_int_eq(store_block_write(store, disk.bench.scratch, place, disk.out), FP_RANGE);
    ck_assert_int_eq(store_block_write_part(store, disk.bench.scratch, place, &part, disk.room),
                     FP_RANGE);
    disk_teardown(&disk);
}
END_TEST

/* --- several writers of the same pages -------------------------------------------------------- */

struct writer {
    struct disk *disk;
    unsigned index;
    pthread_t thread;
};

/* Writes every WRITERS-th run of 64 bytes of a few pages, over and over. */
static void *write_stripes(void *opaque)
{
    struct writer *writer = opaque;
    struct disk *disk = writer->disk;
    struct store_scratch *scratch;
    uint8_t bytes[64], *room = malloc(disk->page_bytes);
    ck_assert(room != NULL && store_scratch_create(disk->bench.store, &scratch) == FP_OK);
    *scratch = (struct store_scratch){scratch->codec, scratch->packed, BENCH_START_MS,
                                      BENCH_START_UNIX_S};
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        memset(bytes, (int)(round * 16 + writer->index), sizeof bytes);
        for (uint32_t at = writer->index * 64; at < disk->page_bytes; at += WRITERS * 64 * 8) {
            struct block_part part = {at, sizeof bytes, bytes};
            ck_assert_int_eq(store_block_write_part(disk->bench.store, scratch,
                                                    place_of(disk, round % SHARED_SLOTS), &part,
                                                    room),
                             FP_OK);
        }
    }
    store_scratch_destroy(&scratch);
    free(room);
    return NULL;
}

START_TEST(writers_of_parts_of_one_page_lose_no_bytes)
{
    struct disk disk;
    struct writer writers[WRITERS];
    disk_setup(&disk, page_sizes[_i]);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.disk = &disk, .index = i};
        ck_assert(pthread_create(&writers[i].thread, NULL, write_stripes, &writers[i]) == 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) ck_assert(pthread_join(writers[i].thread, NULL) == 0);
    for (uint32_t slot = 0; slot < SHARED_SLOTS; slot++) {
        uint32_t last = ROUNDS;
        while (last % SHARED_SLOTS != slot) last--;
        const uint8_t *page = read_back(&disk, slot);
        for (uint32_t at = 0; at + 64 <= disk.page_bytes; at += 64) {
            uint32_t stripe = at / 64;
            bool written = stripe % (WRITERS * 8) < WRITERS;
            int wanted = written ? (uint8_t)(last * 16 + stripe % (WRITERS * 8)) : 0;
            for (int i = 0; i < 64; i++) ck_assert_int_eq(page[at + (uint32_t)i], wanted);
        }
    }
    disk_teardown(&disk);
}
END_TEST

int main(void)
{
    return suite_run_each("store_block", FP_COUNT_OF(page_sizes),
                          parts_and_whole_pages_are_as_in_an_array_and_zeros_are_not_kept,
                          zeros_that_are_kept_are_told_apart_from_nothing,
                          what_does_not_match_its_checksum_is_no_part_of_a_page,
                          writers_of_parts_of_one_page_lose_no_bytes);
}
