/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The life of a dictionary in a seat, played with each of its allocations failing in turn.
 *
 * Proven each time: no crash; each call succeeds or says FP_NO_MEMORY; the seat that was current
 * still is where a swap failed; what was packed comes back, for unpacking needs no allocation; and
 * nothing is left behind. */
#include <inttypes.h>

#include "base/crc32c.h"
#include "storage/compress/compressor.h"
#include "codec/dictionary.h"
#include "codec/dictionary_gain.h"
#include "storage/store/page/store_area.h"
#include "storage/store/store_dictionary.h"
#include "tests/fault/fault.h"
#include "tests/unit/storage/kit_dictionary.h"

static const char *const algorithms[] = {"lz4", "lz4hc", "zstd"};

static struct {
    struct dictionary *trained; /* once, in good weather */
    uint8_t *sample;
} fixture;

static bool done(enum fp_status status)
{
    fp_assert(status == FP_OK || status == FP_NO_MEMORY);
    return status == FP_OK;
}

static void pack_and_unpack(struct compressor_pool *pool, struct codec_scratch *scratch)
{
    uint8_t room[KIT_PAGE_BYTES], out[KIT_PAGE_BYTES];
    struct packed packed;
    struct compressor *seat = compressor_acquire(pool, scratch);
    struct space space = {room, sizeof room - 1};
    struct plain plain = {fixture.sample, KIT_PAGE_BYTES};
    if (done(compressor_pack(seat, scratch, plain, space, &packed))) {
        struct space back = {out, sizeof out};
        fp_assert(compressor_unpack(seat, scratch, packed, back) == FP_OK);
        fp_assert(memcmp(out, plain.bytes, sizeof out) == 0);
    }
    compressor_release(&seat, scratch);
}

static bool swap_in(struct compressor_pool *pool, const struct compressor_config *next)
{
    struct compressor_row row;
    compressor_row(pool, 0, &row);
    bool at_first = row.state == COMPRESSOR_CURRENT;
    bool swapped = done(compressor_pool_swap(pool, next));
    compressor_row(pool, 0, &row);
    fp_assert(swapped ? (row.state == COMPRESSOR_CURRENT) != at_first
                      : (row.state == COMPRESSOR_CURRENT) == at_first);
    return swapped;
}

static void live(const char *algorithm, struct dictionary *dictionary)
{
    struct compressor_config none = {"none"}, with = {algorithm, 0, dictionary};
    struct compressor_pool *pool = NULL;
    struct codec_scratch *scratch = NULL;
    if (!done(compressor_pool_create(&with, NULL, &pool))) return;
    if (done(codec_scratch_create(pool, &scratch))) {
        pack_and_unpack(pool, scratch);
        enum fp_status again = compressor_pool_swap(pool, &with);
        fp_assert(again == FP_EXISTS || again == FP_NO_MEMORY);
        fp_assert(swap_in(pool, &none)); /* which needs nothing */
        if (swap_in(pool, &with)) pack_and_unpack(pool, scratch);
    }
    codec_scratch_destroy(&scratch);
    compressor_pool_destroy(&pool);
}

/* --- an area that learns ---------------------------------------------------------------------- */

enum { AREA_PAGES = 160 };

/* Stores that are refused leave the old page, or none. */
static void store_pages(struct store *store, struct store_scratch *scratch, struct area *area)
{
    uint8_t out[KIT_PAGE_BYTES];
    for (uint64_t slot = 0; slot < AREA_PAGES; slot += 16) {
        const uint8_t *page = fixture.sample + slot * KIT_PAGE_BYTES;
        uint32_t crc = crc32c(page, KIT_PAGE_BYTES);
        struct page_place place = {area, slot};
        bool stored = done(store_page_store(store, scratch, place, page, crc));
        enum fp_status status = store_page_load(store, scratch, place, out, &crc);
        fp_assert(status == FP_OK || (!stored && status == FP_ABSENT));
        if (status == FP_OK) fp_assert(memcmp(out, page, sizeof out) == 0);
    }
}

static void learn(struct store *store, struct store_scratch *scratch, struct area *area)
{
    struct store_dictionary look;
    struct store_sampler sampler = {.area = area, .wanted = AREA_PAGES};
    sampler.pages = malloc((size_t)AREA_PAGES * KIT_PAGE_BYTES);
    if (sampler.pages == NULL) return;
    while (!store_sampler_step(store, scratch, &sampler)) {}
    free(sampler.pages);
    bool kept = done(store_dictionary_keep(store, area, fixture.trained));
    store_dictionary_look(store, area, &look);
    fp_assert(kept == (look.id != 0) && kept == look.packs);
    store_pages(store, scratch, area);
    struct compressor_config zstd = {"zstd"};
    if (done(compressor_pool_swap(store_compressors(store), &zstd))) {
        compressor_pool_upkeep(store_compressors(store));
        store_pages(store, scratch, area);
    }
    fp_assert(store_dictionary_drop(store, area) == kept);
    store_pages(store, scratch, area);
}

static void play_area(void)
{
    struct store *store = NULL;
    struct store_scratch *scratch = NULL;
    struct area *area;
    struct store_options options = {.memory_limit_bytes = 64 << 20,
                                    .page_bytes = KIT_PAGE_BYTES,
                                    .allocator = kit_allocator(),
                                    .compressor = {"lz4"}};
    if (!done(store_create(&options, &store))) return;
    if (done(store_scratch_create(store, &scratch))) {
        scratch->now_ms = 2000;
        if (done(store_area_open(store, slice_text("learns"), AREA_PAGES, &area))) {
            store_pages(store, scratch, area);
            learn(store, scratch, area);
        }
    }
    store_scratch_destroy(&scratch);
    store_destroy(&store);
}

static void play(void)
{
    const char *reason;
    struct dictionary *dictionary = NULL, *kept = NULL;
    struct dictionary_gain gain;
    struct dictionary_samples samples = {fixture.sample, KIT_PAGE_BYTES, 160};
    struct compressor_config lz4 = {"lz4"};
    if (done(dictionary_create(dictionary_bytes(fixture.trained), &dictionary, &reason)))
        for (size_t i = 0; i < FP_COUNT_OF(algorithms); i++) live(algorithms[i], dictionary);
    dictionary_release(&dictionary);
    (void)done(dictionary_gain_try(&samples, &lz4, 4096, &kept, &gain));
    dictionary_release(&kept);
    play_area();
}

int main(void)
{
    fixture.trained = kit_dictionary(1);
    fixture.sample = kit_sample();
    play();
    printf("each of %" PRIu64 " allocations failed once\n", fault_each(play, false));
    printf("all allocations failed from each of %" PRIu64 " on\n", fault_each(play, true));
    dictionary_release(&fixture.trained);
    free(fixture.sample);
    return 0;
}
