/* SPDX-License-Identifier: BSD-3-Clause
 * store_spill_internal - what the files of the file tier share. Seen by store_spill*.c,
 * and by store_page.c for what was read. */
#ifndef FARPAGE_STORAGE_STORE_SPILL_INTERNAL_H
#define FARPAGE_STORAGE_STORE_SPILL_INTERNAL_H
#include "storage/store_internal.h"
#include "storage/store_spill.h"

enum { SPILL_RECORDS_MAX = 4096 }; /* of one filling of an extent */

enum spill_gets_on { SPILL_STANDS_STILL, SPILL_GETS_ON, SPILL_IF_EXTENTS_ARE_FREE };

struct store_spill {
    struct spill_file *file;
    struct spill_counters counters;
    _Atomic int gets_on; /* enum spill_gets_on */
    /* The writing thread's: */
    uint8_t *filling, *emptying; /* extent_bytes each, aligned */
    uint32_t extent_bytes;
    struct spill_extent extent;  /* that is being filled */
    uint32_t filled_bytes;
    uint32_t record_count;
    uint64_t said[SPILL_RECORDS_MAX]; /* of a record that is moved, what its handle says; else 0 */
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
/* Adds a record and gives room for the object's bytes. NULL: the extent is full. */
uint8_t *spill_filling_add(struct store_spill *spill, struct spill_record record, uint64_t said);
/* Writes what was added and lets the slots name it. Blocks. */
enum fp_status spill_filling_end(struct store *store, struct store_scratch *scratch,
                                 struct spill_step *done) FP_MUST_CHECK;

/* What scratch->arrived has for the slot, whose lock is held; or NULL. */
const struct store_read *store_read_find_locked(const struct store *store,
                                                const struct store_scratch *scratch,
                                                struct page_place place, struct zhandle handle);

#endif
