/* SPDX-License-Identifier: BSD-3-Clause
 * store_internal - what the files of the store share. Seen by store*.c only. */
#ifndef FARPAGE_STORAGE_STORE_INTERNAL_H
#define FARPAGE_STORAGE_STORE_INTERNAL_H
#include "base/lock.h"
#include "storage/area/area_copy.h"
#include "storage/area/entry.h"
#include "storage/keydir/keydir.h"
#include "storage/store/page/store_packed.h"
#include "storage/store/store.h"

struct store_spill;

struct store {
    struct budget budget;
    uint32_t page_bytes;
    struct arena *arena;
    struct zpool *zpool;
    struct compressor_pool *compressors;
    struct store_counters counters;
    struct watermarks watermarks;
    struct tenants tenants;

    struct area_copies copies; /* of the areas, for a snapshot; begun under the next */
    struct lock areas_lock; /* guards the four below */
    unsigned area_places;   /* behind the last one in use */
    struct area *areas[STORE_AREAS_MAX]; /* NULL: a free place */
    uint64_t last_generation;
    unsigned reap_index; /* whose turn it is */
    _Atomic unsigned areas_dying;
    _Atomic unsigned areas_leaving; /* moved and not emptied */

    struct lock dictionaries_lock; /* which dictionary and seat each area has */
    struct store_spill *spill; /* store_spill_internal.h; NULL: there is no file */
    struct keydir keydir;
    _Atomic uint64_t last_cas;
    _Atomic uint32_t era; /* items of an earlier one are flushed */
    _Atomic uint64_t flush_due; /* second << 32 | the era that begins then; 0: no flush is due */
    _Atomic bool keeps_items; /* none gives way */
    _Atomic bool refuses_poor; /* pages that packing makes no smaller */
    _Atomic uint64_t reap_position; /* keydir_walk.h */
    _Atomic uint64_t reap_steps, reap_pass_steps; /* of this pass; of the last one */
    _Atomic uint64_t arriving_bytes; /* packed, of values that are on their way in */
    struct ending *_Atomic endings;  /* store_ending.c; NULL: none */
    struct { store_evicted *tell; void *context; } on_eviction; /* tell NULL: nobody */
};

static inline void store_count(_Atomic uint64_t *counter, uint64_t delta)
{
    atomic_fetch_add_explicit(counter, delta, memory_order_relaxed);
}

/* Whether who comes with this scratch had better come again (FP_LATER): memory is nearly full, and
 * items are being written to the file below, so that none has to end. */
bool store_waits_for_room(const struct store *store, const struct store_scratch *scratch);
/* What is held but for items that give way as soon as somebody wants their memory. */
uint64_t store_settled_bytes(const struct store *store);

/* --- store_page.c ---------------------------------------------------------------------------- */

/* As store_page_invalidate_some, for the store itself: also of what was moved or deleted. It must
 * not be frozen. */
void store_page_empty_some(struct store *store, struct store_scratch *scratch, struct area *area,
                           uint64_t *slot, uint64_t end);

/* --- store_spill.c ---------------------------------------------------------------------------- */

void store_spill_close(struct store *store); /* nothing is spilled any more */
/* Whether who wants the item's value will come again, when it was read: then it is used. */
bool store_item_comes_again_locked(const struct store_scratch *scratch, const struct item *item);

/* An item that was spilled is about to leave the directory; of any other nothing happens. */
void store_spill_item_leaves_locked(struct store *store, const struct item *item);
/* A handle that named what is spilled does so no more. May be called with a slot's lock held. */
void store_spill_forget(struct store *store, struct zname name);

/* --- store_pack.c: between plain bytes and handles ------------------------------------------- */

/* Packs and keeps plain bytes (up to 64 KiB, less a head) whose checksum is crc. The caller owns
 * stored->handle. Makes items give way where memory is short. FP_NO_MEMORY: that was not enough. */
enum fp_status store_pack(struct store *store, struct store_scratch *scratch, struct plain plain,
                          uint32_t crc, struct stored *stored) FP_MUST_CHECK;

struct known { /* plain bytes and what they must be */
    struct plain plain;
    uint32_t crc;
};

/* The same for a page of an area, whose dictionary it is packed with. */
struct fresh {
    struct area *area; /* NULL: an item's */
    struct known known;
    const struct page_packed *packed; /* NULL: known is; else this, packed already */
};
enum fp_status store_pack_page(struct store *store, struct store_scratch *scratch,
                               const struct fresh *fresh, struct stored *stored) FP_MUST_CHECK;

struct repack {
    struct compressor *compressor; /* acquired by the caller */
    uint64_t below_cost_bytes;     /* the new object must cost less (zpool_cost_bytes) */
};
/* The same for what the store has already: nothing gives way for it, and it is kept only where it
 * becomes cheap enough. FP_TOO_BIG: it does not. FP_NO_MEMORY. */
enum fp_status store_repack(struct store *store, struct store_scratch *scratch,
                            const struct repack *repack, struct known known, struct stored *stored)
    FP_MUST_CHECK;

/* A page to learn from: as store_page_load, but counted nowhere, and FP_ABSENT where it is
 * same-filled. */
enum fp_status store_page_sample(struct store *store, struct store_scratch *scratch,
                                 struct page_place place, uint8_t *out) FP_MUST_CHECK;

/* Charges bytes to a use, with items giving way where needed. */
bool store_charge(struct store *store, struct store_scratch *scratch, enum budget_use use,
                  uint64_t bytes) FP_MUST_CHECK;

/* Ends what a handle names (0: nothing), and the handle. Enter holding no lock. */
void store_handle_end(struct store *store, struct store_scratch *scratch, struct zhandle handle);
/* What else ends with what a handle named. Enter holding no lock. */
void store_name_ended(struct store *store, struct store_scratch *scratch, struct zname name);

/* What a handle names, taken out of the allocator and not yet unpacked. */
struct fetched {
    struct zname name;
    uint64_t word;         /* same-filled: to be repeated */
    struct packed packed;  /* where they were copied to; NULL: the plain bytes are in out already */
    uint16_t head;
    struct compressor *compressor; /* of what is packed, else NULL */
};

/* First half of reading: copies the object out, so that the caller may let go of what keeps it
 * alive. May be called with a slot's or shard's lock held. FP_ABSENT: the handle names nothing.
 * FP_SPILLED: its object is in the file below memory. */
enum fp_status store_fetch(struct store *store, struct store_scratch *scratch,
                           struct zhandle handle, struct space out, struct fetched *fetched)
    FP_MUST_CHECK;
struct rooms { /* where to copy to; packed bytes that do not fit are FP_CORRUPT */
    struct space plain, packed;
};
enum fp_status store_fetch_to(struct store *store, struct store_scratch *scratch,
                              struct zhandle handle, const struct rooms *rooms,
                              struct fetched *fetched) FP_MUST_CHECK;
/* Second half, with no lock held: fills out, checks it, gives the checksum. */
enum fp_status store_unpack(struct store *store, struct store_scratch *scratch,
                            struct fetched *fetched, struct space out, uint32_t *crc) FP_MUST_CHECK;

/* What is kept pinned for a mapper, who has let nobody end it. */
struct mapped {
    struct zname name;
    struct zmap map; /* of an object */
};
/* As store_fetch_to, from an object that is not in the pool; map->note is its whole note. */
enum fp_status store_fetch_from(struct store *store, struct store_scratch *scratch,
                                const struct zmap *map, const struct rooms *rooms,
                                struct fetched *fetched) FP_MUST_CHECK;
/* The same of a piece that was read; FP_SPILLED: it was not. */
enum fp_status store_piece_arrived(struct store *store, struct store_scratch *scratch,
                                   struct zhandle piece, const struct rooms *rooms,
                                   struct fetched *fetched) FP_MUST_CHECK;
/* Fills and checks out from it, as store_fetch and store_unpack do, without a copy between. */
enum fp_status store_unpack_mapped(struct store *store, struct store_scratch *scratch,
                                   const struct mapped *mapped, struct space out) FP_MUST_CHECK;
/* Whether its bytes are the plain ones. Then store_lend checks them and says where they are. */
bool store_lends(struct zname name);
enum fp_status store_lend(struct store *store, const struct mapped *mapped, size_t size_bytes,
                          struct slice *bytes) FP_MUST_CHECK;

/* --- store_page.c ---------------------------------------------------------------------------- */

struct area_pin;

/* Packs and keeps what is fresh in the slot; where `pin` is not NULL only if the slot still holds
 * what is pinned, else FP_EXISTS. */
enum fp_status store_page_put(struct store *store, struct store_scratch *scratch,
                              struct page_place place, const struct fresh *fresh,
                              const struct area_pin *pin) FP_MUST_CHECK;

/* store_fetch_to for a page that is asked for: counted, and its object touched. What comes out as
 * FP_OK and does not unpack is the caller's to count. */
enum fp_status store_page_fetch(struct store *store, struct store_scratch *scratch,
                                struct page_place place, const struct rooms *rooms,
                                struct fetched *fetched) FP_MUST_CHECK;

#include "storage/store/item/store_item_internal.h"

#endif
