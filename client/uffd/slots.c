/* SPDX-License-Identifier: BSD-3-Clause
 * Slots are taken lowest first and used again last first; records come in pieces of 4096, so that
 * an area of any size costs its table of pieces. */
#include "client/uffd/slots.h"

#include <stdlib.h>

#include "base/arith.h"
#include "base/check.h"

enum { PIECE_BITS = 12, PIECE_SLOTS = 1 << PIECE_BITS };

bool slots_init(struct slots *slots, uint64_t count)
{
    *slots = (struct slots){.free = SLOT_NONE, .garbage = SLOT_NONE};
    slots->count = (uint32_t)min_u64(count, SLOT_NONE);
    size_t pieces = (size_t)div_up_u64(slots->count, PIECE_SLOTS);
    slots->pieces = calloc(pieces, sizeof *slots->pieces);
    slots->bytes = pieces * sizeof *slots->pieces;
    return slots->pieces != NULL;
}

void slots_fini(struct slots *slots)
{
    for (uint64_t i = 0; i < slots->touched; i += PIECE_SLOTS) free(slots->pieces[i >> PIECE_BITS]);
    free(slots->pieces);
    slots->pieces = NULL;
}

struct slot *slots_at(const struct slots *slots, uint32_t slot)
{
    fp_assert(slot < slots->touched);
    return &slots->pieces[slot >> PIECE_BITS][slot % PIECE_SLOTS];
}

static uint32_t untouched(struct slots *slots)
{
    if (slots->touched == slots->count) return SLOT_NONE;
    struct slot **piece = &slots->pieces[slots->touched >> PIECE_BITS];
    if (*piece == NULL) {
        *piece = calloc(PIECE_SLOTS, sizeof **piece);
        if (*piece == NULL) return SLOT_NONE;
        slots->bytes += PIECE_SLOTS * sizeof **piece;
    }
    return slots->touched++;
}

static uint32_t pop(struct slots *slots, uint32_t *head)
{
    uint32_t slot = *head;
    if (slot != SLOT_NONE) *head = slots_at(slots, slot)->index;
    return slot;
}

uint32_t slots_take(struct slots *slots)
{
    uint32_t taken = pop(slots, &slots->garbage);
    if (taken != SLOT_NONE) slots->garbage_count--;
    if (taken == SLOT_NONE) taken = pop(slots, &slots->free);
    if (taken == SLOT_NONE) taken = untouched(slots);
    if (taken == SLOT_NONE) return SLOT_NONE;
    struct slot *slot = slots_at(slots, taken);
    /* What a piece of garbage has on the server stays known, so that it goes if nothing follows. */
    slot->used = true;
    slot->pages = 1;
    slot->place = SLOT_NOWHERE;
    slots->used++;
    return taken;
}

void slots_keep(struct slots *slots, uint32_t slot)
{
    fp_assert(slots_at(slots, slot)->used);
    slots_at(slots, slot)->pages++;
}

/* Nobody names it and nothing is under way. */
static void end(struct slots *slots, uint32_t number)
{
    struct slot *slot = slots_at(slots, number);
    slot->used = false;
    slot->place = SLOT_NOWHERE;
    slots->used--;
    if (slot->spoilt) return;
    uint32_t *head = slot->stored ? &slots->garbage : &slots->free;
    slots->garbage_count += slot->stored;
    slot->index = *head;
    *head = number;
}

void slots_drop(struct slots *slots, uint32_t number)
{
    struct slot *slot = slots_at(slots, number);
    fp_assert(slot->used && slot->pages > 0);
    if (--slot->pages == 0 && !slot->busy) end(slots, number);
}

void slots_answered(struct slots *slots, uint32_t number)
{
    struct slot *slot = slots_at(slots, number);
    fp_assert(slot->busy);
    slot->busy = false;
    if (slot->used && slot->pages == 0) end(slots, number);
}

bool slots_stored(const struct slots *slots, uint32_t number)
{
    const struct slot *slot = slots_at(slots, number);
    return slot->stored && slot->life == slots->life;
}

void slots_store(struct slots *slots, uint32_t number, const struct fingerprint *fingerprint)
{
    struct slot *slot = slots_at(slots, number);
    slot->stored = true;
    slot->life = slots->life;
    slot->fingerprint = *fingerprint;
}

size_t slots_sweep(struct slots *slots, uint32_t *swept, size_t most)
{
    size_t count = 0;
    while (count < most) {
        uint32_t number = pop(slots, &slots->garbage);
        if (number == SLOT_NONE) break;
        slots->garbage_count--;
        struct slot *slot = slots_at(slots, number);
        slot->used = true;
        slot->busy = true;
        slot->stored = false;
        slot->pages = 0;
        slots->used++;
        swept[count++] = number;
    }
    return count;
}

void slots_new_life(struct slots *slots)
{
    slots->life++;
}
