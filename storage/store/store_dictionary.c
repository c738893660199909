/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The pool of compressors has the seats and lets them follow a swap; here is which area has what.
 */
#include "storage/store/store_dictionary.h"

#include "storage/store/store_internal.h"

enum {
    RUN_PAGES = 16,
    RUNS = AREA_ROW_SLOTS / RUN_PAGES,
    RUN_STRIDE = 23, /* odd, hence each run of a row comes once */
};

struct compressor *store_compressor_acquire(struct store *store, struct store_scratch *scratch,
                                            const struct area *area)
{
    if (area == NULL) return compressor_acquire(store->compressors, scratch->codec);
    return compressor_acquire_with(store->compressors, &area->dictionary.seat, scratch->codec);
}

/* --- what an area has ------------------------------------------------------------------------- */

/* Notes what the area has now, takes a use of it, and ends the use of what it had. */
static bool note(struct store *store, struct area *area, struct dictionary *dictionary)
{
    lock_take(&store->dictionaries_lock);
    struct dictionary *old = area->dictionary.kept;
    area->dictionary.kept = dictionary != NULL ? dictionary_acquire(dictionary) : NULL;
    lock_drop(&store->dictionaries_lock);
    bool had = old != NULL;
    dictionary_release(&old);
    return had;
}

enum fp_status store_dictionary_keep(struct store *store, struct area *area,
                                     struct dictionary *dictionary)
{
    dictionary_set_owner(dictionary, area->generation);
    enum fp_status status =
        compressor_dictionary_set(store->compressors, &area->dictionary.seat, dictionary);
    if (status == FP_OK) (void)note(store, area, dictionary);
    return status;
}

bool store_dictionary_drop(struct store *store, struct area *area)
{
    enum fp_status status =
        compressor_dictionary_set(store->compressors, &area->dictionary.seat, NULL);
    fp_assert(status == FP_OK); /* to take one away needs nothing */
    return note(store, area, NULL);
}

static bool packs_with_it(struct store *store, const struct area *area)
{
    struct compressor_row row;
    struct compressor *seat =
        compressor_acquire_with(store->compressors, &area->dictionary.seat, NULL);
    if (seat == NULL) return false;
    compressor_row(store->compressors, compressor_id(seat), &row);
    compressor_release(&seat, NULL);
    return row.dictionary_id != 0;
}

void store_dictionary_look(struct store *store, struct area *area, struct store_dictionary *look)
{
    *look = (struct store_dictionary){.id = 0};
    lock_take(&store->dictionaries_lock);
    const struct dictionary *kept = area->dictionary.kept;
    if (kept != NULL) {
        look->id = dictionary_id(kept);
        look->bytes = dictionary_bytes(kept).size_bytes;
    }
    lock_drop(&store->dictionaries_lock);
    look->packs = look->id != 0 && packs_with_it(store, area);
}

/* --- learning --------------------------------------------------------------------------------- */

static void take_run(struct store *store, struct store_scratch *scratch,
                     struct store_sampler *sampler, uint64_t first)
{
    const struct area *area = sampler->area;
    for (uint64_t slot = first; slot < first + RUN_PAGES && slot < area->slot_count; slot++) {
        struct page_place place = {.area = sampler->area, .slot = slot};
        uint8_t *out = sampler->pages + sampler->count * area->page_bytes;
        if (sampler->count == sampler->wanted) return;
        if (store_page_sample(store, scratch, place, out) != FP_OK) continue;
        sampler->count++;
        sampler->credit -= 1;
    }
}

/* Its share of what is wanted, from runs that lie all over it. */
static void take_from_row(struct store *store, struct store_scratch *scratch,
                          struct store_sampler *sampler)
{
    uint64_t stored = atomic_load(&sampler->area->counters.stored);
    double share = (double)sampler->wanted / (double)(stored > 0 ? stored : 1);
    /* What a row of same-filled pages does not give is taken from the next ones. */
    sampler->credit += share * area_row_used(sampler->area, sampler->row);
    uint64_t run = sampler->row % RUNS;
    for (unsigned i = 0; i < RUNS && sampler->credit >= 1; i++) {
        take_run(store, scratch, sampler, sampler->row * AREA_ROW_SLOTS + run * RUN_PAGES);
        run = (run + RUN_STRIDE) % RUNS;
    }
}

bool store_sampler_step(struct store *store, struct store_scratch *scratch,
                        struct store_sampler *sampler)
{
    const struct area *area = sampler->area;
    for (unsigned skipped = 0; skipped < AREA_SKIP_ROWS; skipped++, sampler->row++) {
        if (sampler->row == area->row_count || sampler->count == sampler->wanted) return true;
        if (area_row_used(area, sampler->row) == 0) continue;
        take_from_row(store, scratch, sampler);
        sampler->row++;
        return false;
    }
    return false;
}
