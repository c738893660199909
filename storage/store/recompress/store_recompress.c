/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a rewriting:
 *   a slot names an object -> copied out under the slot's lock -> unpacked, checked and packed with
 *   no lock -> the slot's lock again: does it still name these very bytes? -> replaced, or dropped
 *
 * The last question is asked of the object itself: same note, same size, same bytes. A version
 * counter would have to be as fine as a slot, or every store nearby would spoil the work; the place
 * alone may be another object's by now, and compaction may have changed that of the same object.
 * Equal bytes under an equal seat and checksum are the same page, whoever stored them, and to
 * compare them costs what copying them out did.
 */
#include <stdlib.h>

#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"
#include "storage/store/page/store_area.h"
#include "storage/store/page/store_page_walk.h"
#include "storage/store/recompress/store_recompress_internal.h"
#include "storage/store/store_dictionary.h"

enum {
    ROOM_PART = 8,           /* of the memory limit stays free where things become dearer */
    PLAIN_ENTROPY_PART = 194, /* 2^7.6: see looks_random() */
};

enum fp_status recompress_create(struct store *store, struct recompress **out)
{
    struct recompress *walk = calloc(1, sizeof *walk);
    if (walk == NULL) return FP_NO_MEMORY;
    walk->store = store;
    walk->plain = malloc(ZPOOL_OBJECT_BYTES_MAX);
    walk->before = malloc(ZPOOL_OBJECT_BYTES_MAX);
    if (walk->plain == NULL || walk->before == NULL) {
        recompress_destroy(&walk);
        return FP_NO_MEMORY;
    }
    *out = walk;
    return FP_OK;
}

void recompress_destroy(struct recompress **walk)
{
    if (*walk == NULL) return;
    free((*walk)->plain);
    free((*walk)->before);
    free(*walk);
    *walk = NULL;
}

#if FARPAGE_DEBUG_HOOKS
void recompress_hook(struct recompress *walk, void (*between)(void *context), void *context)
{
    walk->between = between;
    walk->between_context = context;
}
void recompress_between(struct recompress *walk)
{
    if (walk->between != NULL) walk->between(walk->between_context);
}
#else
void recompress_between(struct recompress *walk)
{
    (void)walk;
}
#endif

uint64_t recompress_begin(struct recompress *walk, const struct recompress_plan *plan)
{
    walk->plan = *plan;
    walk->pages = (struct store_page_walk){.slot = 0};
    walk->shard = 0;
    walk->position = 0;
    walk->areas_done = false;
    return keydir_item_count(&walk->store->keydir) + store_page_count(walk->store);
}

/* --- what is to be done ----------------------------------------------------------------------- */

static struct recompress_want want_packed(const struct recompress *walk, uint8_t seat, bool cold)
{
    const struct recompress_plan *plan = &walk->plan;
    bool current = compressor_seat_is_current(walk->store->compressors, seat);
    bool draining = plan->drain && !current;
    if (plan->cold != NULL && seat == compressor_id(plan->cold))
        return (struct recompress_want){NULL, false};
    if (plan->cold != NULL && cold && (draining || (plan->cool && current)))
        return (struct recompress_want){plan->cold, draining};
    if (draining) return (struct recompress_want){walk->current, plan->asked || !cold};
    /* Before the area had its dictionary, or since it has none. */
    bool otherwise = seat != compressor_id(walk->current);
    return (struct recompress_want){plan->asked && otherwise ? walk->current : NULL, false};
}

struct recompress_want recompress_want(const struct recompress *walk, uint32_t note, bool touched)
{
    const struct recompress_plan *plan = &walk->plan;
    switch (entry_form(note)) {
    case ENTRY_PACKED:
        return want_packed(walk, entry_seat(note), !touched);
    case ENTRY_PLAIN:
    case ENTRY_WHOLE:
        if (plan->cold != NULL && plan->cool && !touched)
            return (struct recompress_want){plan->cold, false};
        return (struct recompress_want){plan->plain ? walk->current : NULL, false};
    case ENTRY_WORD:
        break;
    }
    return (struct recompress_want){NULL, false};
}

uint64_t recompress_cost(const struct recompress *walk, const struct fetched *fetched,
                         size_t plain_bytes)
{
    if (fetched->name.what != ZOBJECT) return 0;
    enum entry_form form = entry_form(fetched->name.note);
    size_t bytes = form == ENTRY_PACKED ? fetched->packed.size_bytes
                   : form == ENTRY_WORD ? ENTRY_WORD_BYTES
                                        : plain_bytes;
    return zpool_cost_bytes(walk->store->zpool, entry_head_bytes(form) + bytes);
}

bool recompress_room(const struct recompress *walk)
{
    uint64_t limit = budget_limit(&walk->store->budget);
    return budget_total(&walk->store->budget) <= limit - limit / ROOM_PART;
}

void recompress_published(struct recompress *walk, uint64_t old_cost, uint64_t new_cost)
{
    walk->counts->rewritten++;
    if (new_cost <= old_cost) walk->counts->saved_bytes += old_cost - new_cost;
    else walk->counts->added_bytes += new_cost - old_cost;
}

/* Tells noise apart before it is packed for nothing, at each turn again: two random bytes of it are
 * equal hardly more often than of 7.6 bits of entropy, where the best of coders saves a twentieth
 * and the allocator nothing. Repetitions far apart escape it, as they did the first compressor. */
static bool looks_random(const uint8_t *bytes, size_t size)
{
    uint32_t seen[256] = {0};
    uint64_t pairs = 0;
    for (size_t i = 0; i < size; i++) pairs += seen[bytes[i]]++;
    return 2 * pairs * PLAIN_ENTROPY_PART <= (uint64_t)size * size;
}

/* --- a page ----------------------------------------------------------------------------------- */

struct page_work {
    struct page_place place;
    struct recompress_want want;
    struct fetched fetched;
    struct slice before; /* the object's bytes without its head */
    uint64_t old_cost;
    bool spilled; /* and has to leave its seat */
};

/* True: the page is to be rewritten, and was copied out. A turn of the clock takes its hint. */
static bool take_page(struct recompress *walk, struct page_work *work)
{
    struct zpool *pool = walk->store->zpool;
    struct area *area = work->place.area;
    bool taken = false;
    area_slot_take(area, work->place.slot);
    struct zhandle handle = area_handle_locked(area, work->place.slot);
    struct zname name = zpool_look(pool, handle);
    walk->counts->looked += name.what != ZNOTHING;
    if (name.what == ZSPILLED)
        work->spilled = recompress_want_spilled(walk, name.note).target != NULL;
    if (name.what == ZOBJECT) {
        struct space space = {.bytes = walk->plain, .capacity_bytes = area->page_bytes};
        work->want = recompress_want(walk, name.note, zpool_touched(pool, handle));
        if (walk->plan.cool) zpool_untouch(pool, handle);
        if (work->want.target != NULL && area_pinned_locked(area, work->place.slot)) {
            walk->counts->skipped_in_use++;
        } else if (work->want.target != NULL) {
            enum fp_status status =
                store_fetch(walk->store, walk->scratch, handle, space, &work->fetched);
            taken = status == FP_OK;
            walk->counts->corrupt += !taken;
        }
    }
    area_slot_drop(area, work->place.slot);
    return taken;
}

/* Packing writes where the packed bytes were copied to, so they are put aside. */
static void keep_before(struct recompress *walk, struct page_work *work)
{
    size_t page_bytes = work->place.area->page_bytes;
    struct slice bytes = slice_of(walk->plain, page_bytes);
    work->old_cost = recompress_cost(walk, &work->fetched, page_bytes);
    if (entry_form(work->fetched.name.note) == ENTRY_PACKED) {
        bytes = slice_of(walk->before, work->fetched.packed.size_bytes);
        memcpy(walk->before, work->fetched.packed.bytes, bytes.size_bytes);
    }
    work->before = bytes;
}

static bool is_unchanged_locked(struct recompress *walk, const struct page_work *work,
                                struct zhandle handle)
{
    struct zpool *pool = walk->store->zpool;
    struct zname name = zpool_look(pool, handle);
    struct zmap map;
    if (name.what != ZOBJECT || name.note != work->fetched.name.note) return false;
    if (zpool_map(pool, handle, ZACCESS_READ, &map) != FP_OK) return false;
    uint32_t head_bytes = entry_head_bytes(entry_form(name.note));
    bool same = map.size_bytes == head_bytes + work->before.size_bytes &&
                memcmp(map.bytes, &work->fetched.head, head_bytes) == 0 &&
                memcmp(map.bytes + head_bytes, work->before.bytes, work->before.size_bytes) == 0;
    zpool_unmap(pool, &map);
    return same;
}

/* Who reads a slot's object maps it for a moment, under the slot's lock; who has it mapped for
 * longer is walked past. So the old one is not pinned here. */
static void publish_page(struct recompress *walk, const struct page_work *work,
                         struct stored *next)
{
    struct area *area = work->place.area;
    struct zname old = {.what = ZNOTHING};
    uint64_t new_cost = next->name.size_bytes == 0
                            ? 0
                            : zpool_cost_bytes(walk->store->zpool, next->name.size_bytes);
    area_slot_take(area, work->place.slot);
    bool same = !area_pinned_locked(area, work->place.slot) &&
                is_unchanged_locked(walk, work, area_handle_locked(area, work->place.slot));
    if (same) old = area_replace_locked(area, work->place.slot, next);
    area_slot_drop(area, work->place.slot);
    if (same) {
        store_name_ended(walk->store, walk->scratch, old);
        recompress_published(walk, work->old_cost, new_cost);
    } else {
        store_handle_end(walk->store, walk->scratch, next->handle);
        walk->counts->skipped_changed++;
    }
}

static void rewrite_page(struct recompress *walk, struct page_work *work)
{
    struct plain plain = {.bytes = walk->plain, .size_bytes = work->place.area->page_bytes};
    struct space space = {.bytes = walk->plain, .capacity_bytes = plain.size_bytes};
    struct known known = {.plain = plain};
    struct stored next;
    keep_before(walk, work);
    enum fp_status status =
        store_unpack(walk->store, walk->scratch, &work->fetched, space, &known.crc);
    if (status != FP_OK) {
        walk->counts->corrupt++;
        return;
    }
    bool dearer_too = work->want.leave && recompress_room(walk);
    struct repack repack = {work->want.target, dearer_too ? UINT64_MAX : work->old_cost};
    if (entry_incompressible(work->fetched.name) && looks_random(plain.bytes, plain.size_bytes))
        status = FP_TOO_BIG;
    else
        status = store_repack(walk->store, walk->scratch, &repack, known, &next);
    recompress_between(walk);
    if (status == FP_OK) publish_page(walk, work, &next);
    else if (status == FP_TOO_BIG && !work->want.leave) walk->counts->not_smaller++;
    else walk->counts->skipped_no_memory++;
}

/* --- the walk --------------------------------------------------------------------------------- */

static void step_page(struct recompress *walk, struct page_place place)
{
    struct page_work work = {.place = place};
    walk->left.looks--;
    walk->current = store_compressor_acquire(walk->store, walk->scratch, place.area);
    if (walk->current == NULL) return;
    if (take_page(walk, &work)) {
        walk->left.tries--;
        rewrite_page(walk, &work);
    } else if (work.spilled) {
        walk->left.tries--;
        recompress_spilled_page(walk, place);
    }
    compressor_release(&walk->current, walk->scratch->codec);
}

/* True: the shard is done. */
static bool step_items(struct recompress *walk)
{
    walk->current = store_compressor_acquire(walk->store, walk->scratch, NULL);
    if (walk->current == NULL) return true;
    bool done = recompress_items(walk);
    compressor_release(&walk->current, walk->scratch->codec);
    return done;
}

static void step_areas(struct recompress *walk)
{
    struct page_place place;
    switch (store_page_walk_next(walk->store, &walk->pages, true, &place)) {
    case PAGE_WALK_PLACE:
        step_page(walk, place);
        break;
    case PAGE_WALK_ON:
        break;
    case PAGE_WALK_DONE:
        walk->areas_done = true;
        break;
    }
}

bool recompress_step(struct recompress *walk, struct store_scratch *scratch,
                     struct recompress_limits limits, struct recompress_counts *counts)
{
    lock_assert_none();
    fp_assert(limits.looks > 0 && limits.tries > 0);
    walk->scratch = scratch;
    walk->left = limits;
    walk->counts = counts;
    while (walk->left.looks > 0 && walk->left.tries > 0 && walk->shard < KEYDIR_SHARDS) {
        if (!walk->areas_done) step_areas(walk);
        else if (step_items(walk)) walk->shard++;
    }
    store_page_walk_pause(&walk->pages);
    return walk->shard == KEYDIR_SHARDS;
}
