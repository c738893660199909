/* SPDX-License-Identifier: BSD-3-Clause
 * compressor - the pool of ways to pack a page, one of which is current and can be changed live.
 *
 * A pool has COMPRESSOR_SEATS seats. A seat's memory lives as long as the pool, so a stale pointer
 * is never wild: only the seat's counts tell if it may be used. Stored objects name their seat in
 * one byte (its id), hence a swap never touches old data: the old seat drains as objects are
 * rewritten or die, and swapping back before that resurrects it.
 *
 * Life of a seat: EMPTY -(swap in)-> CURRENT -(swap out)-> DRAINING -(no user, no object)-> EMPTY
 *                                       ^---(the same wanted again)---'
 *
 * Beside the current seat there may be one for each dictionary in use, with the same algorithm and
 * level (struct compressor_dictionary); they are CURRENT too, and drain with it.
 *
 * What a client packed finds a seat by its format and dictionary, whatever the level; where none is
 * current, one that drains from the start.
 *
 * Guarantees
 *  1. acquire, release, adopt, pack, unpack, born and died take no lock, wait for nobody, and write
 *     to the thread's own cache lines only, while a seat is current; so do reads of a draining
 *     seat's objects, and births by adopt, until the last few. A thread is known by its
 *     codec_scratch; NULL (or one of another pool) is right too, but slower.
 *  2. An acquired seat keeps what it packs with until it is released; a seat with an object does
 *     for as long as the object.
 *  3. A seat empties, and its dictionary is freed, exactly once for each time it was filled, in an
 *     upkeep, and never while there is a user or an object. A current seat never does.
 *  4. A swap is done when it returns: whoever acquires after that gets the new seat. It waits for
 *     nobody who packs.
 *  5. Counts do not wrap: an acquire or a birth too many fails.
 *
 * Threads: any, but upkeep, swap, row and compressor_dictionary_set take RANK_COMPRESSOR_SWAP: hold
 *          nothing of it or above.
 */
#ifndef FARPAGE_STORAGE_COMPRESSOR_H
#define FARPAGE_STORAGE_COMPRESSOR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/status.h"
#include "codec/packing.h"

struct budget;

enum { COMPRESSOR_SEATS = 256 };
struct compressor;      /* one seat */
struct compressor_pool;
struct codec_scratch;   /* working memory of one thread; never shared */

enum compressor_state { COMPRESSOR_EMPTY, COMPRESSOR_CURRENT, COMPRESSOR_DRAINING };

struct compressor_row { /* one row of `stats compressors` */
    const char *algorithm;
    int level;
    uint32_t dictionary_id;    /* 0: none */
    uint64_t dictionary_bytes; /* with the algorithm's form of it; 0: none */
    enum compressor_state state;
    uint64_t age_ms;       /* since the seat was filled */
    uint64_t state_age_ms; /* since it became current, was resurrected or began to drain */
    uint64_t objects; /* stored, and reads of them under way; exact at rest, as users is */
    uint64_t users;   /* who packs now */
    uint64_t packs, unpacks, failures, incompressible; /* since it was filled, as are the next */
    uint64_t plain_bytes, packed_bytes; /* of all packs that were worth keeping */
    bool resurrected;
};

/* `budget` (NULL: none) is charged for dictionaries, which may be refused, and for the packers of
 * threads, which are small and exist already when they are. FP_INVALID: no such algorithm or level.
 * FP_NO_MEMORY. */
enum fp_status compressor_pool_create(const struct compressor_config *first, struct budget *budget,
                                      struct compressor_pool **pool)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* No user, no object, no scratch, no dictionary set. */
void compressor_pool_destroy(struct compressor_pool **pool) FP_NONNULL(1);

/* Empties seats that nothing needs, remakes those of dictionaries after a swap. Now and then, from
 * a thread that may block: microseconds, and milliseconds for each dictionary after a swap. A seat
 * that is no longer needed is empty after three of them. */
void compressor_pool_upkeep(struct compressor_pool *pool) FP_NONNULL(1);

/* Makes `next` current; the old seat drains by itself. FP_EXISTS: it is current already, with a
 * dictionary of the same bytes or none. FP_BUSY: every seat still has objects. FP_INVALID: no such
 * algorithm or level. FP_NO_MEMORY: for the dictionary. Unless FP_OK nothing has changed. A
 * dictionary takes milliseconds to prepare (a high level of zstd: tens), under no lock. */
enum fp_status compressor_pool_swap(struct compressor_pool *pool,
                                    const struct compressor_config *next)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* What is current: its algorithm (a constant) and its level, no dictionary. */
void compressor_pool_current(struct compressor_pool *pool, struct compressor_config *current)
    FP_NONNULL(1, 2);

/* The current seat, with one use counted for the caller, who must release it. NULL: full (5). */
struct compressor *compressor_acquire(struct compressor_pool *pool, struct codec_scratch *scratch)
    FP_NONNULL(1);
void compressor_release(struct compressor **compressor, struct codec_scratch *scratch)
    FP_NONNULL(1); /* clears the pointer */

/* The seat of this configuration, whether current or not, with one use for the caller: one that is
 * there, or an empty one that is filled and drains from the start. Nobody else packs with it; it is
 * emptied once its last user and object have gone. Fails as compressor_pool_swap does. */
enum fp_status compressor_acquire_config(struct compressor_pool *pool,
                                         const struct compressor_config *config,
                                         struct codec_scratch *scratch,
                                         struct compressor **compressor)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);

/* The seat of a stored object, to unpack it; release_id is due. The object must exist until this
 * returns, and may die after. NULL: no object can name that seat, so memory is damaged; or full. */
struct compressor *compressor_acquire_id(struct compressor_pool *pool, uint8_t id,
                                         struct codec_scratch *scratch) FP_NONNULL(1);
void compressor_release_id(struct compressor **compressor, struct codec_scratch *scratch)
    FP_NONNULL(1); /* clears the pointer */

uint8_t compressor_id(const struct compressor *compressor) FP_NONNULL(1);
/* False for an object's seat: packed anew, the object would be packed otherwise. */
bool compressor_seat_is_current(const struct compressor_pool *pool, uint8_t id) FP_NONNULL(1);

/* --- dictionaries beside the current seat ----------------------------------------------------- */

struct compressor_dictionary { /* embedded, zeroed, in what has a dictionary; private */
    _Atomic uint64_t word;     /* which seat, and since which swap */
    struct compressor_dictionary *next;
    struct dictionary *dictionary; /* one use is ours; NULL: none is set */
    uint64_t tried_for, tried_ns;
    _Atomic uint16_t adopting[PACKED_FORMATS]; /* where adopt last found a seat; + 1 */
};

/* Sets, replaces or (NULL) takes away the dictionary of `own`; a use of it is acquired. Prepares it
 * for the current compressor: milliseconds, a high level of zstd tens. FP_BUSY: every seat still
 * has objects. FP_NO_MEMORY. Unless FP_OK nothing has changed. Must be taken away before `own` or
 * the pool ends. Several may have the same dictionary: they share a seat. */
enum fp_status compressor_dictionary_set(struct compressor_pool *pool,
                                         struct compressor_dictionary *own,
                                         struct dictionary *dictionary)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* As compressor_acquire, the current algorithm and level with that dictionary. After a swap it is
 * the seat without, until an upkeep has made the new one: nobody who packs waits for it. */
struct compressor *compressor_acquire_with(struct compressor_pool *pool,
                                           const struct compressor_dictionary *own,
                                           struct codec_scratch *scratch) FP_NONNULL(1, 2);

/* The dictionary of that id, with one use for the caller: that of `own`, or one that `owner` had
 * (dictionary_owner) and that objects still need. NULL: neither. */
struct dictionary *compressor_dictionary_of(struct compressor_pool *pool,
                                            const struct compressor_dictionary *own, uint32_t id,
                                            uint64_t owner) FP_NONNULL(1, 2);

/* --- what somebody else packed ---------------------------------------------------------------- */

/* A seat for an object of that kind, which is born with it: *id is the seat's. `own` has the one
 * dictionary there can be. FP_ABSENT: it is not the kind's. FP_BUSY: every seat still has objects.
 * FP_NO_MEMORY. The first of a kind that has no seat takes the lock and fills one; for that a
 * dictionary is prepared, unlocked, which takes up to a millisecond. */
enum fp_status compressor_adopt(struct compressor_pool *pool, struct compressor_dictionary *own,
                                struct packed_kind kind, struct codec_scratch *scratch,
                                uint8_t *id) FP_MUST_CHECK FP_NONNULL(1, 2, 5);

/* What the objects of an acquired seat are, and the dictionary they need, borrowed; NULL: none. */
struct packed_kind compressor_kind(const struct compressor *compressor) FP_NONNULL(1);
struct dictionary *compressor_dictionary(const struct compressor *compressor) FP_NONNULL(1);

/* --- packing ---------------------------------------------------------------------------------- */

/* One for each thread, its working memory and its place in the counts of `pool` (NULL: none), which
 * it must not outlive. It has what unpacking needs from the start, so that memory that is out keeps
 * nobody from what is stored; what packing needs is made when an algorithm packs first on this
 * thread and kept until destroy. FP_NO_MEMORY leaves *scratch untouched. */
enum fp_status codec_scratch_create(struct compressor_pool *pool, struct codec_scratch **scratch)
    FP_MUST_CHECK FP_NONNULL(2);
void codec_scratch_destroy(struct codec_scratch **scratch) FP_NONNULL(1);
size_t codec_scratch_bytes(const struct codec_scratch *scratch) FP_NONNULL(1); /* allocated now */

/* Packs plain into out. FP_TOO_BIG: it does not shrink to the capacity; keep it plain instead.
 * FP_NO_MEMORY: this thread's working memory could not be had; nothing is counted. */
enum fp_status compressor_pack(struct compressor *compressor, struct codec_scratch *scratch,
                               struct plain plain, struct space out, struct packed *packed)
    FP_MUST_CHECK FP_NONNULL(1, 2, 5);
/* Unpacks exactly out.capacity_bytes. FP_CORRUPT: the bytes are anything else; out is undefined.
 * Allocates nothing. */
enum fp_status compressor_unpack(struct compressor *compressor, struct codec_scratch *scratch,
                                 struct packed packed, struct space out)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* Says that one stored object began or ceased to depend on this seat. A birth is said while the
 * seat is still acquired, a death while the object's owner is still alone with it. False: full. */
bool compressor_object_born(struct compressor *compressor, struct codec_scratch *scratch)
    FP_MUST_CHECK FP_NONNULL(1);
void compressor_object_died(struct compressor_pool *pool, uint8_t id, struct codec_scratch *scratch)
    FP_NONNULL(1);

void compressor_row(struct compressor_pool *pool, uint8_t id, struct compressor_row *row)
    FP_NONNULL(1, 3);
/* Its algorithm and level; the caller keeps an object of it. NULL: it never was one's. */
const char *compressor_seat_is(const struct compressor_pool *pool, uint8_t id, int *level);
uint64_t compressor_swap_count(const struct compressor_pool *pool) FP_NONNULL(1);

#endif
