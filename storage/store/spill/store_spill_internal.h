/* SPDX-License-Identifier: BSD-3-Clause
 * store_spill_internal - what the files of the file tier share. Seen by store_spill*.c,
 * and by store_page.c for what was read. */
#ifndef FARPAGE_STORAGE_STORE_SPILL_INTERNAL_H
#define FARPAGE_STORAGE_STORE_SPILL_INTERNAL_H
#include "storage/store/spill/store_spill.h"
#include "storage/store/store_internal.h"

enum {
    SPILL_RECORDS_MAX = 4096, /* of one filling of an extent */
    SPILL_LEAVERS_MAX = 1024, /* items of one filling */
    SPILL_ITEM_PIECES_MAX = 128, /* of an item that goes: all of it is read at once */
};
#define SPILL_OF_ITEM UINT32_MAX /* in the place of an area's index: then `generation` is the item's
                                  * hash, and `slot` the piece */
_Static_assert(STORE_AREAS_MAX < SPILL_OF_ITEM, "it is no area's index");

/* An item that is being written, with a reference; `at` is where its first record is. */
struct spill_leaver {
    struct item *item;
    uint32_t at;
};

enum spill_gets_on { SPILL_STANDS_STILL, SPILL_GETS_ON, SPILL_IF_EXTENTS_ARE_FREE };

struct store_spill {
    struct spill_file *file;
    struct spill_counters counters;
    _Atomic int gets_on; /* enum spill_gets_on */
    _Atomic uint32_t item_bytes_min; /* 0: no items are spilled */
    _Atomic uint64_t items, item_object_bytes, item_value_bytes; /* that are in the file */
    /* The writing thread's: */
    uint8_t *filling, *emptying; /* extent_bytes each, aligned */
    uint32_t extent_bytes;
    struct spill_extent extent;  /* that is being filled */
    uint32_t filled_bytes;
    uint32_t record_count;
    bool no_extent; /* none was free for the step under way */
    uint64_t said[SPILL_RECORDS_MAX]; /* of a record that is moved, what its handle says; else 0 */
    uint32_t leaver_count;
    struct spill_leaver leavers[SPILL_LEAVERS_MAX];
    uint64_t owed_bytes; /* to items: how much of a turn they have by what they hold */
    unsigned area;               /* whose hand moves: index, */
    uint64_t generation;
    uint32_t turn_looks;         /* since its turn began */
    uint64_t vain_looks;         /* at objects, since one was picked */
    uint8_t tenant;              /* whose pages go, unless any_tenant's */
    bool any_tenant;
    bool vain; /* all that his turn it was has are in use: others' go */
    uint32_t gaps_hand;          /* the extent that is looked at next for being sparse */
};

/* Begins to fill an extent. As spill_extent_take. */
enum fp_status spill_filling_begin(struct store_spill *spill, enum spill_which which)
    FP_MUST_CHECK;
/* The same for one that is written back; where the file is full the coldest items in it end. */
enum fp_status spill_filling_begin_room(struct store *store, struct store_scratch *scratch)
    FP_MUST_CHECK;
bool spill_filling_is_empty(const struct store_spill *spill);
/* Adds a record and gives room for the object's bytes. NULL: the extent is full. */
uint8_t *spill_filling_add(struct store_spill *spill, struct spill_record record, uint64_t said);
/* Writes what was added and lets the slots name it. Blocks. */
enum fp_status spill_filling_end(struct store *store, struct store_scratch *scratch,
                                 struct spill_step *done) FP_MUST_CHECK;

/* --- items (store_spill_item.c) --------------------------------------------------------------- */

/* One step of writing items back: as store_spill_step. */
enum fp_status spill_step_items(struct store *store, struct store_scratch *scratch,
                                struct spill_limits limits, struct spill_step *done) FP_MUST_CHECK;
/* What was picked lets go of memory, if it was written and nobody has used it since. */
void spill_publish_items(struct store *store, struct store_scratch *scratch, bool written,
                         struct spill_step *done);
/* Ends some spilled items, the coldest first. False: there are none, or none may end. */
bool spill_end_coldest(struct store *store, struct store_scratch *scratch);
/* What the handle of the piece says whose record is at that place; 0: none names it any more. */
uint64_t spill_item_still_said(struct store *store, const struct spill_record *record,
                               uint64_t place);
/* Lets the piece name its record's copy, where it still says that. False: it does not, or somebody
 * reads it. */
bool spill_item_moves(struct store *store, const struct spill_record *record, uint64_t said,
                      uint64_t place);

/* Whether the record is the piece's. */
bool spill_is_of_item(const struct store_read *read);
/* Reads a piece in the caller's thread. FP_ABSENT: it is in memory. Unless that, store_read_end is
 * due. Blocks. */
enum fp_status spill_piece_run(struct store *store, struct item *item, uint32_t piece,
                               struct store_read *read) FP_MUST_CHECK;

/* An object of what was read. FP_NO_MEMORY; gives_way: what can give way for it does. */
enum fp_status spill_copy_object(struct store *store, struct store_scratch *scratch,
                                 const struct store_read *read, bool gives_way,
                                 struct stored *stored) FP_MUST_CHECK;
/* Whether so many bytes can come back without being written again soon. */
bool spill_has_room(struct store *store, uint64_t size_bytes);

/* What scratch->arrived has for the slot, whose lock is held; or NULL. */
const struct store_read *store_read_find_locked(const struct store *store,
                                                const struct store_scratch *scratch,
                                                struct page_place place, struct zhandle handle);

#endif
