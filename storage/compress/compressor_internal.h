/* SPDX-License-Identifier: BSD-3-Clause
 * compressor_internal - what the files of the compressor pool share. Seen by compressor*.c only. */
#ifndef FARPAGE_STORAGE_COMPRESSOR_INTERNAL_H
#define FARPAGE_STORAGE_COMPRESSOR_INTERNAL_H
#include <stdatomic.h>

#include "base/budget.h"
#include "base/lock.h"
#include "base/percpu_ref.h"
#include "base/sampled.h"
#include "codec/codec.h"
#include "storage/compress/compressor.h"
#include "storage/compress/compressor_sizes.h"

enum { SEAT_LINES_BYTES = 128 }; /* processors fetch lines of 64 in pairs */

enum seat_count { /* of a seat: what was done with it */
    SEAT_PACKS,
    SEAT_UNPACKS,
    SEAT_FAILURES,
    SEAT_INCOMPRESSIBLE,
    SEAT_PLAIN_BYTES,
    SEAT_PACKED_BYTES,
    SEAT_COUNTS
};

struct seat_counts {
    _Atomic uint64_t values[SEAT_COUNTS];
};

struct size_counts {
    _Atomic uint64_t values[PACKED_SIZES + 1], sum_bytes; /* as struct packed_sizes */
};

struct choice { /* what a seat packs with */
    const struct codec *codec;
    unsigned codec_index;
    int level;
    struct dictionary *dictionary; /* NULL: none; one use is the choice's */
    void *prepared;                /* the codec's form of it, or NULL */
    uint64_t charged_bytes;        /* for the two */
};

struct compressor { /* read by every thread, written when it changes its state */
    _Alignas(SEAT_LINES_BYTES) struct percpu_ref users;
    struct percpu_ref objects;
    struct compressor_pool *pool;
    _Atomic int state; /* enum compressor_state; changed under pool->lock */
    uint8_t id;
    bool resurrected;
    struct choice choice;           /* changes only while EMPTY, under pool->lock */
    uint64_t filled_ns, changed_ns; /* when it was filled; when its state changed last */
    /* Counted by threads that have no place of their own, and by those that are gone. */
    _Alignas(SEAT_LINES_BYTES) struct seat_counts shared;
    uint64_t before[SEAT_COUNTS]; /* what all had counted when the seat was filled */
};

struct compressor_pool {
    struct lock lock;
    struct percpu_refs *refs;
    struct budget *budget; /* NULL: nothing is charged */
    _Atomic uint64_t swaps;
    struct codec_scratch *scratches;            /* whose threads count by themselves */
    struct size_counts sizes; /* of threads that have no place of their own, or are gone */
    struct compressor_dictionary *dictionaries; /* in use */
    _Atomic uint16_t adopting[PACKED_FORMATS];  /* without a dictionary; as in one */
    _Alignas(SEAT_LINES_BYTES) _Atomic uint64_t current; /* generation << 8 | seat */
    struct compressor seats[COMPRESSOR_SEATS];
};

struct codec_scratch {
    void *packers[CODECS], *unpackers[CODECS];
    struct compressor_pool *pool;  /* NULL: none, and then none of what follows */
    struct percpu_thread *thread;
    struct seat_counts *counts;    /* COMPRESSOR_SEATS; written by this thread alone */
    struct codec_scratch *next;    /* of the pool's; under its lock */
    uint64_t charged_bytes;        /* for the packers */
    struct sampled packing;        /* and unpacking */
    struct size_counts sizes;      /* written by this thread alone */
};

/* The thread's place in the pool's counts; NULL where it has none there. */
static inline struct percpu_thread *thread_of(const struct compressor_pool *pool,
                                              const struct codec_scratch *scratch)
{
    return scratch != NULL && scratch->pool == pool ? scratch->thread : NULL;
}

static inline uint64_t word_of(uint64_t generation, uint8_t seat)
{
    return generation << 8 | seat;
}

static inline uint64_t word_generation(uint64_t word)
{
    return word >> 8;
}

/* --- compressor.c ---------------------------------------------------------------------------- */

/* FP_INVALID, FP_NO_MEMORY. An algorithm that cannot use a dictionary goes without. */
enum fp_status choice_init(const struct compressor_config *config, struct budget *budget,
                           struct choice *choice) FP_MUST_CHECK;
void choice_fini(struct choice *choice, struct budget *budget);

/* A seat with that choice, made current: the one that has it, or else an empty one, which takes the
 * choice over; or NULL. Enter holding pool->lock. */
struct compressor *seat_enter_current_locked(struct compressor_pool *pool, struct choice *choice);
/* Lets a current seat drain. Enter holding pool->lock. */
void seat_retire_locked(struct compressor *seat);
/* The same for one that is not made current: an empty one, filled. */
void seat_enter_draining_locked(struct compressor *seat, struct choice *choice);
enum compressor_state seat_state(const struct compressor *seat);
/* Whatever way down a count has gone, it is live after this. Enter holding pool->lock. */
void revive_locked(struct percpu_ref *ref);

/* --- compressor_dictionaries.c --------------------------------------------------------------- */

/* Makes the seats of dictionaries that the last swap left without; milliseconds for each. */
void dictionaries_upkeep(struct compressor_pool *pool);

/* --- compressor_adopt.c ---------------------------------------------------------------------- */

/* What was found before a swap may be found better now. Enter holding pool->lock. */
void adopting_forget_locked(struct compressor_pool *pool);
void adopting_forget(_Atomic uint16_t adopting[PACKED_FORMATS]);

/* --- compressor_pack.c ----------------------------------------------------------------------- */

/* All that was counted of a seat since the pool was made. Enter holding pool->lock. */
void seat_sum_locked(const struct compressor *seat, uint64_t sums[SEAT_COUNTS]);

#endif
