/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a row here: told by the server with its count of changes -> copied, piece by piece ->
 * told again with another count -> copied again; what it does not hold any more is forgotten.
 * The count is taken before the pages are loaded: a page stored meanwhile makes it another. */
#include "client/cli/drain/mover.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/cli/interrupt.h"
#include "client/cli/say/progress.h"

enum {
    PIECE_BYTES = 1 << 20,
    ROUNDS_MAX = 10,       /* what changes faster than it is copied is frozen all the same */
    ROWS_TO_FREEZE_AT = 8, /* so few are copied while its users hardly notice */
    ROW_BITS_BYTES = FARPAGE_ROW_SLOTS / 8,
};

struct moved_row { /* in the order of first */
    uint64_t first;
    uint32_t changes, used_slots;
    uint8_t used[ROW_BITS_BYTES];
};

static bool has(const uint8_t *bits, uint32_t index)
{
    return (bits[index / 8] >> index % 8 & 1) != 0;
}

/* --- the rows that are copied already ------------------------------------------------------- */

/* Where the row is, or where it belongs. */
static size_t place_of(const struct mover *mover, uint64_t first)
{
    size_t low = 0, high = mover->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mover->rows[middle].first < first) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool is_at(const struct mover *mover, size_t place, uint64_t first)
{
    return place < mover->row_count && mover->rows[place].first == first;
}

static struct moved_row *insert_row(struct mover *mover, size_t place, uint64_t first)
{
    if (mover->row_count == mover->row_room) {
        size_t room = mover->row_room == 0 ? 64 : 2 * mover->row_room;
        struct moved_row *grown = realloc(mover->rows, room * sizeof *grown);
        if (grown == NULL) return NULL;
        mover->rows = grown;
        mover->row_room = room;
    }
    struct moved_row *at = &mover->rows[place];
    memmove(at + 1, at, (mover->row_count - place) * sizeof *at);
    mover->row_count++;
    *at = (struct moved_row){.first = first};
    return at;
}

uint64_t mover_pages(const struct mover *mover)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < mover->row_count; i++) sum += mover->rows[i].used_slots;
    return sum;
}

/* --- one row ---------------------------------------------------------------------------------- */

static bool fail_slot(const struct mover *mover, const struct farpage_op *op,
                      struct complaint *complaint)
{
    complain(complaint, "loading slot %llu of area '%.64s': %.160s", (unsigned long long)op->slot,
             mover->name,
             op->status == FARPAGE_CORRUPT ? "the page is corrupt; nothing was moved"
                                           : farpage_area_error(mover->area));
    return false;
}

/* Loads the used slots of the piece; what went since the row was told is absent, and its row has
 * changed. */
static bool load_piece(struct mover *mover, const uint8_t *used, struct complaint *complaint)
{
    struct piece *piece = &mover->piece;
    size_t count = 0;
    for (uint32_t i = 0; i < piece->count; i++) {
        mover->absent[i] = !has(used, (uint32_t)(piece->first % FARPAGE_ROW_SLOTS) + i);
        if (mover->absent[i]) continue;
        mover->ops[count++] = (struct farpage_op){.kind = FARPAGE_OP_LOAD,
                                                  .slot = piece->first + i,
                                                  .page = piece->pages +
                                                          (size_t)i * piece->page_bytes};
    }
    if (farpage_batch(mover->area, mover->ops, count, 0) != FARPAGE_OK) {
        complain(complaint, "%s", farpage_area_error(mover->area));
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct farpage_op *op = &mover->ops[i];
        if (op->status == FARPAGE_ABSENT) mover->absent[op->slot - piece->first] = 1;
        else if (op->status != FARPAGE_OK) return fail_slot(mover, op, complaint);
        else mover->copied_pages++;
    }
    return true;
}

/* Slots that an earlier copy has and this one has not. */
static bool forget_gone(struct mover *mover, const struct moved_row *before,
                        const struct moved_row *now, struct complaint *complaint)
{
    uint32_t begun = 0, i;
    bool good = true;
    for (i = 0; i <= FARPAGE_ROW_SLOTS && good; i++) {
        bool gone = i < FARPAGE_ROW_SLOTS && has(before->used, i) && !has(now->used, i);
        if (gone) continue;
        if (i > begun)
            good = mover->sink.forget(mover->sink.context, now->first + begun, i - begun,
                                      complaint);
        begun = i + 1;
    }
    return good;
}

static bool copy_pieces(struct mover *mover, struct moved_row *row, struct complaint *complaint)
{
    struct piece *piece = &mover->piece;
    for (uint32_t at = 0; at < FARPAGE_ROW_SLOTS; at += mover->piece_pages) {
        bool any = false;
        piece->first = row->first + at;
        piece->count = (uint32_t)min_u64(mover->piece_pages, FARPAGE_ROW_SLOTS - at);
        for (uint32_t i = 0; i < piece->count && !any; i++) any = has(row->used, at + i);
        if (!any) continue;
        mover->interrupted = interrupt_came();
        if (mover->interrupted) {
            complain(complaint, "interrupted; the area is where it was");
            return false;
        }
        if (!load_piece(mover, row->used, complaint) ||
            !mover->sink.keep(mover->sink.context, piece, complaint))
            return false;
    }
    return true;
}

/* --- a round ---------------------------------------------------------------------------------- */

struct round {
    struct mover *mover;
    struct moved_row *told; /* what the server told in one go */
    size_t told_count, told_room;
    uint64_t copied_rows;
    struct progress progress;
    bool no_memory;
};

static void note_row(void *context, const struct farpage_row *row)
{
    struct round *round = context;
    if (round->told_count == round->told_room) {
        size_t room = round->told_room == 0 ? 64 : 2 * round->told_room;
        struct moved_row *grown = realloc(round->told, room * sizeof *grown);
        round->no_memory |= grown == NULL;
        if (grown == NULL) return;
        round->told = grown;
        round->told_room = room;
    }
    struct moved_row *to = &round->told[round->told_count++];
    *to = (struct moved_row){
        .first = row->first, .changes = row->changes, .used_slots = row->used_slots};
    memcpy(to->used, row->used, sizeof to->used);
}

static bool copy_row(struct round *round, struct moved_row *told, struct complaint *complaint)
{
    struct mover *mover = round->mover;
    size_t place = place_of(mover, told->first);
    bool known = is_at(mover, place, told->first);
    if (known && mover->rows[place].changes == told->changes) return true;
    struct moved_row *row = known ? &mover->rows[place] : insert_row(mover, place, told->first);
    if (row == NULL) {
        complain(complaint, "out of memory");
        return false;
    }
    round->copied_rows++;
    if (known && !forget_gone(mover, row, told, complaint)) return false;
    *row = *told;
    if (!copy_pieces(mover, row, complaint)) return false;
    progress_show(&round->progress, mover_pages(mover));
    return true;
}

static bool run_round(struct round *round, struct complaint *complaint)
{
    struct mover *mover = round->mover;
    uint64_t slot = 0, slots = farpage_area_slots(mover->area);
    round->copied_rows = 0;
    mover->rounds++;
    while (slot < slots) {
        round->told_count = 0;
        if (farpage_area_rows(mover->area, &slot, note_row, round) != FARPAGE_OK) {
            complain(complaint, "%s", farpage_area_error(mover->area));
            return false;
        }
        if (round->no_memory) {
            complain(complaint, "out of memory");
            return false;
        }
        for (size_t i = 0; i < round->told_count; i++)
            if (!copy_row(round, &round->told[i], complaint)) return false;
    }
    return true;
}

static bool run_rounds(struct round *round, struct complaint *complaint)
{
    struct mover *mover = round->mover;
    uint64_t before = UINT64_MAX;
    while (mover->sink.forget != NULL && mover->rounds < ROUNDS_MAX) {
        if (!run_round(round, complaint)) return false;
        if (round->copied_rows <= ROWS_TO_FREEZE_AT || round->copied_rows >= before) break;
        before = round->copied_rows;
    }
    if (farpage_area_freeze(mover->area) != FARPAGE_OK) {
        complain(complaint, "%s", farpage_area_error(mover->area));
        return false;
    }
    mover->frozen_ns = clock_monotonic_ns();
    return run_round(round, complaint);
}

bool mover_run(struct mover *mover, struct complaint *complaint)
{
    struct farpage_area_info info;
    farpage_area_info(mover->area, &info);
    mover->piece_pages =
        (uint32_t)min_u64(FARPAGE_ROW_SLOTS, max_u64(PIECE_BYTES / info.page_bytes, 1));
    mover->piece.page_bytes = info.page_bytes;
    mover->piece.pages = calloc(mover->piece_pages, info.page_bytes);
    mover->piece.absent = mover->absent = calloc(mover->piece_pages, 1);
    mover->ops = calloc(mover->piece_pages, sizeof *mover->ops);
    if (mover->piece.pages == NULL || mover->absent == NULL || mover->ops == NULL) {
        complain(complaint, "out of memory");
        return false;
    }
    struct round round = {.mover = mover};
    progress_init(&round.progress, "moving", info.stored_pages, info.page_bytes);
    bool good = run_rounds(&round, complaint);
    progress_fini(&round.progress);
    free(round.told);
    return good;
}

void mover_fini(struct mover *mover)
{
    free(mover->rows);
    free(mover->piece.pages);
    free(mover->absent);
    free(mover->ops);
    mover->rows = NULL;
    mover->piece.pages = NULL;
    mover->absent = NULL;
    mover->ops = NULL;
}
