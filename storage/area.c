/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a chunk: unused (zeros, not resident) -(first entry put)-> used, charged
 *                  -(last entry taken out)-> unused, its pages back at the OS
 */
#include "storage/area.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "storage/pages.h"

struct area_chunk {
    uint64_t words[AREA_CHUNK_SLOTS];
    uint32_t metas[AREA_CHUNK_SLOTS];
};
_Static_assert(sizeof(struct area_chunk) % PAGES_BYTES == 0, "chunks are given back in pages");

static struct area_chunk *chunk_at(const struct area *area, uint64_t index)
{
    return (struct area_chunk *)area->table + index;
}

/* Read without the stripe's lock it is a hint. */
static unsigned used_of(const struct area *area, uint64_t index)
{
    return atomic_load_explicit(&area->used_slots[index], memory_order_relaxed);
}

static void set_used_locked(struct area *area, uint64_t index, unsigned used)
{
    atomic_store_explicit(&area->used_slots[index], (uint16_t)used, memory_order_relaxed);
}

static struct lock *stripe_of(struct area *area, uint64_t slot)
{
    return &area->stripes[slot / AREA_CHUNK_SLOTS % AREA_STRIPES];
}

enum fp_status area_create(struct budget *budget, const struct area_options *options,
                           struct area **out)
{
    fp_assert(options->slot_count > 0 && options->name.size_bytes < AREA_NAME_CAPACITY);
    /* Beyond 48 bits there is no address space anyway, and no product below wraps. */
    if (options->slot_count >> 48 != 0) return FP_NO_MEMORY;
    struct area *area = calloc(1, sizeof *area);
    if (area == NULL) return FP_NO_MEMORY;
    memcpy(area->name, options->name.bytes, options->name.size_bytes);
    area->slot_count = options->slot_count;
    area->page_bytes = options->page_bytes;
    area->generation = options->generation;
    area->budget = budget;
    area->chunk_count = div_up_u64(area->slot_count, AREA_CHUNK_SLOTS);
    area->table = pages_reserve(area->chunk_count * sizeof(struct area_chunk));
    area->used_slots = pages_reserve(area->chunk_count * sizeof *area->used_slots);
    if (area->table == NULL || area->used_slots == NULL) {
        pages_release(area->table, area->chunk_count * sizeof(struct area_chunk));
        pages_release(area->used_slots, area->chunk_count * sizeof *area->used_slots);
        free(area);
        return FP_NO_MEMORY;
    }
    for (unsigned i = 0; i < AREA_STRIPES; i++) lock_init(&area->stripes[i], RANK_SLOTS);
    *out = area;
    return FP_OK;
}

void area_destroy(struct area **area_ptr)
{
    struct area *area = *area_ptr;
    if (area == NULL) return;
    fp_assert(atomic_load(&area->counters.stored) == 0);
    for (unsigned i = 0; i < AREA_STRIPES; i++) lock_fini(&area->stripes[i]);
    pages_release(area->table, area->chunk_count * sizeof(struct area_chunk));
    pages_release(area->used_slots, area->chunk_count * sizeof *area->used_slots);
    free(area);
    *area_ptr = NULL;
}

void area_slot_take(struct area *area, uint64_t slot)
{
    fp_assert(slot < area->slot_count);
    lock_take(stripe_of(area, slot));
}

void area_slot_drop(struct area *area, uint64_t slot)
{
    lock_drop(stripe_of(area, slot));
}

struct entry area_get_locked(const struct area *area, uint64_t slot)
{
    uint64_t index = slot / AREA_CHUNK_SLOTS;
    /* An unused chunk is not looked at: even a read would make its pages resident. */
    if (used_of(area, index) == 0) return (struct entry){0};
    const struct area_chunk *chunk = chunk_at(area, index);
    return (struct entry){.word = chunk->words[slot % AREA_CHUNK_SLOTS],
                          .meta = chunk->metas[slot % AREA_CHUNK_SLOTS]};
}

/* Adds what an entry is to the counters, or takes it off again. */
static void count_entry(struct area *area, struct entry entry, uint64_t sign)
{
    if (entry_kind(entry) == ENTRY_ABSENT) return;
    struct area_counters *counters = &area->counters;
    atomic_fetch_add_explicit(&counters->stored, sign, memory_order_relaxed);
    if (entry_kind(entry) == ENTRY_SAME_FILLED)
        atomic_fetch_add_explicit(&counters->same_filled, sign, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&counters->packed_bytes, sign * entry_size_bytes(entry),
                                  memory_order_relaxed);
    if (entry_kind(entry) == ENTRY_PLAIN)
        atomic_fetch_add_explicit(&counters->incompressible, sign, memory_order_relaxed);
}

static void count_change(struct area *area, struct entry old, struct entry next)
{
    count_entry(area, next, 1);
    count_entry(area, old, (uint64_t)-1);
}

static void chunk_leave_locked(struct area *area, uint64_t index)
{
    pages_discard(chunk_at(area, index), sizeof(struct area_chunk));
    budget_return(area->budget, BUDGET_SLOTS, sizeof(struct area_chunk));
}

static enum fp_status put_locked(struct area *area, uint64_t slot, struct entry next,
                                 struct entry *old)
{
    uint64_t index = slot / AREA_CHUNK_SLOTS;
    bool storing = entry_kind(next) != ENTRY_ABSENT;
    *old = area_get_locked(area, slot);
    bool had = entry_kind(*old) != ENTRY_ABSENT;
    if (!storing && !had) return FP_OK;
    if (used_of(area, index) == 0 &&
        !budget_charge(area->budget, BUDGET_SLOTS, sizeof(struct area_chunk)))
        return FP_NO_MEMORY;
    struct area_chunk *chunk = chunk_at(area, index);
    chunk->words[slot % AREA_CHUNK_SLOTS] = next.word;
    chunk->metas[slot % AREA_CHUNK_SLOTS] = next.meta;
    set_used_locked(area, index, used_of(area, index) + storing - had);
    if (used_of(area, index) == 0) chunk_leave_locked(area, index);
    count_change(area, *old, next);
    return FP_OK;
}

enum fp_status area_put(struct area *area, uint64_t slot, struct entry next, struct entry *old)
{
    area_slot_take(area, slot);
    enum fp_status status = put_locked(area, slot, next, old);
    area_slot_drop(area, slot);
    return status;
}

/* Moves *slot over chunks that hold nothing. True: the caller has to come back, or it is the end.
 * What is stored there while this looks is stored after the clearing, in the order of things. */
static bool skip_unused(const struct area *area, uint64_t *slot, uint64_t end)
{
    if (atomic_load(&area->counters.stored) == 0) {
        *slot = end;
        return true;
    }
    for (unsigned i = 0; i < AREA_SKIP_CHUNKS && *slot < end; i++) {
        if (used_of(area, *slot / AREA_CHUNK_SLOTS) != 0) return false;
        *slot = min_u64((*slot / AREA_CHUNK_SLOTS + 1) * AREA_CHUNK_SLOTS, end);
    }
    return true;
}

unsigned area_clear_some(struct area *area, uint64_t *slot, uint64_t end, struct entry *entries,
                         unsigned max)
{
    fp_assert(*slot < end && end <= area->slot_count);
    if (skip_unused(area, slot, end)) return 0;
    uint64_t index = *slot / AREA_CHUNK_SLOTS;
    uint64_t stop = min_u64((index + 1) * AREA_CHUNK_SLOTS, end);
    unsigned taken = 0;
    area_slot_take(area, *slot);
    struct lock *stripe = stripe_of(area, *slot);
    while (*slot < stop && taken < max) {
        if (used_of(area, index) == 0) {
            *slot = stop;
            break;
        }
        struct entry old;
        fp_assert(put_locked(area, *slot, (struct entry){0}, &old) == FP_OK);
        if (entry_kind(old) != ENTRY_ABSENT) entries[taken++] = old;
        ++*slot;
    }
    lock_drop(stripe);
    return taken;
}

/* Adds up what the entries of one chunk are. */
static void tally_chunk_locked(const struct area *area, uint64_t index, struct area_counters *sum)
{
    uint64_t first = index * AREA_CHUNK_SLOTS, before = sum->stored;
    uint64_t end = min_u64(first + AREA_CHUNK_SLOTS, area->slot_count);
    if (used_of(area, index) == 0) return;
    for (uint64_t slot = first; slot < end; slot++) {
        struct entry entry = area_get_locked(area, slot);
        sum->stored += entry_kind(entry) != ENTRY_ABSENT;
        sum->same_filled += entry_kind(entry) == ENTRY_SAME_FILLED;
        sum->incompressible += entry_kind(entry) == ENTRY_PLAIN;
        if (entry_has_object(entry)) sum->packed_bytes += entry_size_bytes(entry);
    }
    fp_assert(sum->stored - before == used_of(area, index));
}

void area_check(struct area *area)
{
    struct area_counters sum = {0};
    for (uint64_t index = 0; index < area->chunk_count; index++) {
        area_slot_take(area, index * AREA_CHUNK_SLOTS);
        tally_chunk_locked(area, index, &sum);
        area_slot_drop(area, index * AREA_CHUNK_SLOTS);
    }
    fp_assert(sum.stored == atomic_load(&area->counters.stored));
    fp_assert(sum.same_filled == atomic_load(&area->counters.same_filled));
    fp_assert(sum.incompressible == atomic_load(&area->counters.incompressible));
    fp_assert(sum.packed_bytes == atomic_load(&area->counters.packed_bytes));
}
