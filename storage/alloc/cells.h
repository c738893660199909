/* SPDX-License-Identifier: BSD-3-Clause
 * cells - what each handle names: 8 bytes between those who own handles and the backend that keeps
 * the objects. Seen by zpool.c and the backends only.
 *
 *   bits 0-1  what: nothing, a value, an object, an object that is elsewhere
 *   value:    bits 2-63, the owner's number
 *   object:   bits 2-25 the owner's note, 26 whether it was touched, 27-63 its place, in the
 *             backend's own terms
 *   spilled:  bits 2-11 the lowest of the note, 12-25 the lower part of its place, 26 whether it
 *             was touched, 27-42 its size less one, 43-63 the upper part of its place
 *
 * An object is born touched. The bit is a hint, nothing else hangs on it: a move at the same moment
 * may lose one, and who compares two cells of an object leaves it out (cell_said).
 *
 * A handle is a cell's number + 1. Handles come one by one, or in rows of ZPOOL_ROW_HANDLES in
 * order, so that who needs thousands of them keeps no list: a row is one number. A row that is
 * given back leaves no memory behind; single cells are used again.
 *
 * Threads: any; lock-free but for what idpool does. A cell is written by its handle's owner while
 *          it names no object, and by the backend, under its own lock, while it does.
 */
#ifndef FARPAGE_STORAGE_CELLS_H
#define FARPAGE_STORAGE_CELLS_H
#include "base/status.h"
#include "storage/alloc/handle.h"
#include "storage/alloc/idpool.h"

enum {
    CELL_WHAT_BITS = 2,
    CELL_TOUCHED_SHIFT = CELL_WHAT_BITS + ZPOOL_NOTE_BITS,
    CELL_PLACE_SHIFT = CELL_TOUCHED_SHIFT + 1,
    CELL_PLACE_BITS = 64 - CELL_PLACE_SHIFT,
    CELL_LOW_SHIFT = CELL_WHAT_BITS + ZPOOL_SPILLED_NOTE_BITS, /* of one that is elsewhere */
    CELL_LOW_BITS = CELL_TOUCHED_SHIFT - CELL_LOW_SHIFT,
    CELL_SIZE_BITS = 16,
    CELL_HIGH_SHIFT = CELL_PLACE_SHIFT + CELL_SIZE_BITS,
};
_Static_assert(CELL_LOW_BITS + 64 - CELL_HIGH_SHIFT == ZPOOL_SPILLED_PLACE_BITS, "a place fits");
#define CELL_TOUCHED (1ull << CELL_TOUCHED_SHIFT)

struct cells {
    struct idpool singles;  /* handles 1 .. CELLS_SINGLES */
    struct idpool rows;     /* which rows are taken; row r has the handles from
                             * CELLS_SINGLES + 1 + r * ZPOOL_ROW_HANDLES on */
    _Atomic uint64_t *row_cells; /* a reservation */
    uint64_t row_bytes;     /* of the reservation */
    struct budget *budget;
};
#define CELLS_SINGLES 0x7fffffffu

/* Room for up to `count` (CELLS_SINGLES at most) of either kind. FP_NO_MEMORY: no address space. */
enum fp_status cells_init(struct cells *cells, struct budget *budget, uint64_t count) FP_MUST_CHECK;
void cells_fini(struct cells *cells);

/* A handle that names nothing. False: the budget refuses, or there are no more. */
bool cells_take(struct cells *cells, struct zhandle *handle) FP_MUST_CHECK;
void cells_give(struct cells *cells, struct zhandle handle); /* it must name nothing */
bool cells_row_take(struct cells *cells, struct zhandle *first) FP_MUST_CHECK;
void cells_row_give(struct cells *cells, struct zhandle first);

/* False: no such handle was ever given out. */
bool cells_has(const struct cells *cells, struct zhandle handle) FP_MUST_CHECK;
uint64_t cells_held_bytes(const struct cells *cells); /* singles and what tells rows apart */

static inline _Atomic uint64_t *cells_at(const struct cells *cells, uint32_t number)
{
    if (number > CELLS_SINGLES) return &cells->row_cells[number - CELLS_SINGLES - 1];
    return idpool_cell(&cells->singles, number - 1);
}
static inline uint64_t cells_load(const struct cells *cells, uint32_t number)
{
    return atomic_load_explicit(cells_at(cells, number), memory_order_acquire);
}
static inline void cells_store(const struct cells *cells, uint32_t number, uint64_t cell)
{
    atomic_store_explicit(cells_at(cells, number), cell, memory_order_release);
}

static inline enum zwhat cell_what(uint64_t cell)
{
    return (enum zwhat)(cell & 3);
}
static inline uint64_t cell_value(uint64_t value)
{
    return ZVALUE | value << CELL_WHAT_BITS;
}
static inline uint64_t cell_object(uint32_t note, uint64_t place)
{
    return ZOBJECT | (uint64_t)note << CELL_WHAT_BITS | CELL_TOUCHED | place << CELL_PLACE_SHIFT;
}
static inline uint32_t cell_note(uint64_t cell)
{
    return (uint32_t)(cell >> CELL_WHAT_BITS) & ((1u << ZPOOL_NOTE_BITS) - 1);
}
static inline uint64_t cell_place(uint64_t cell)
{
    return cell >> CELL_PLACE_SHIFT;
}
/* The same object elsewhere, as touched as it was. */
static inline uint64_t cell_moved(uint64_t cell, uint64_t place)
{
    return (cell & ((1ull << CELL_PLACE_SHIFT) - 1)) | place << CELL_PLACE_SHIFT;
}
static inline uint64_t cell_spilled(uint32_t note, uint32_t size_bytes, uint64_t place)
{
    uint64_t low = place & ((1u << CELL_LOW_BITS) - 1);
    return ZSPILLED |
           (uint64_t)(note & ((1u << ZPOOL_SPILLED_NOTE_BITS) - 1)) << CELL_WHAT_BITS |
           low << CELL_LOW_SHIFT | (uint64_t)(size_bytes - 1) << CELL_PLACE_SHIFT |
           place >> CELL_LOW_BITS << CELL_HIGH_SHIFT;
}
static inline struct zname cell_spilled_name(uint64_t cell)
{
    uint64_t low = cell >> CELL_LOW_SHIFT & ((1u << CELL_LOW_BITS) - 1);
    return (struct zname){
        .what = ZSPILLED,
        .note = (uint32_t)(cell >> CELL_WHAT_BITS) & ((1u << ZPOOL_SPILLED_NOTE_BITS) - 1),
        .size_bytes = (uint32_t)(cell >> CELL_PLACE_SHIFT & ((1u << CELL_SIZE_BITS) - 1)) + 1,
        .value = low | cell >> CELL_HIGH_SHIFT << CELL_LOW_BITS};
}
/* Whether it has the hint at all. */
static inline bool cell_has_hint(uint64_t cell)
{
    return cell_what(cell) >= ZOBJECT;
}
static inline bool cell_touched(uint64_t cell)
{
    return cell_has_hint(cell) && (cell & CELL_TOUCHED) != 0;
}
/* What it names, to be compared: all but the hint. */
static inline uint64_t cell_said(uint64_t cell)
{
    return cell_has_hint(cell) ? cell & ~CELL_TOUCHED : cell;
}

#endif
