/* SPDX-License-Identifier: BSD-3-Clause
 * slots - the slots of the pager's area: how many pages name each, what the server has in it, and
 * where its bytes are while the server does not have them.
 *
 *   free --take--> used by 1.. pages --the last lets go--> garbage, where the server has something
 *    ^                                                      in it; taken again as it is, or
 *    '----------------------------- invalidated <-----------' invalidated in runs
 *
 * A slot that is busy, because a request for it is under way, is let go of when that is answered.
 * One whose request may still be carried out one day (it timed out) is spoilt: never taken again.
 *
 * Threads: the pager's. Blocks: never. Memory: 40 bytes a slot that was ever used, in pieces.
 */
#ifndef FARPAGE_CLIENT_UFFD_SLOTS_H
#define FARPAGE_CLIENT_UFFD_SLOTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/uffd/fingerprint.h"

enum slot_place {
    SLOT_NOWHERE, /* or on the server, where it is stored */
    SLOT_LEAVING, /* with leaver `index`, in staging */
    SLOT_SENDING, /* in the buffer of sending `index` */
};

struct slot {
    uint32_t pages; /* that name it */
    uint32_t index; /* of its place; of a free one the next */
    uint8_t place;  /* enum slot_place */
    bool stored;    /* the server has `fingerprint` in it */
    bool busy, spoilt, used;
    uint16_t life;  /* of the area; what was stored in an earlier one is lost */
    struct fingerprint fingerprint;
};

#define SLOT_NONE UINT32_MAX

struct slots {
    struct slot **pieces;
    uint32_t count;       /* of the area */
    uint32_t touched;     /* below: they were taken once */
    uint32_t free, garbage; /* heads; SLOT_NONE: none */
    uint64_t garbage_count, used, spoilt_count, bytes;
    uint16_t life;
};

/* False: no memory. */
bool slots_init(struct slots *slots, uint64_t count) FP_MUST_CHECK FP_NONNULL(1);
void slots_fini(struct slots *slots) FP_NONNULL(1);

/* A slot that one page names, with nothing in it. SLOT_NONE: all are used, or no memory. */
uint32_t slots_take(struct slots *slots) FP_MUST_CHECK FP_NONNULL(1);
struct slot *slots_at(const struct slots *slots, uint32_t slot) FP_NONNULL(1);

void slots_keep(struct slots *slots, uint32_t slot) FP_NONNULL(1); /* one page more */
/* One page less; the last but one may be a request under way. */
void slots_drop(struct slots *slots, uint32_t slot) FP_NONNULL(1);
/* The request for it was answered. */
void slots_answered(struct slots *slots, uint32_t slot) FP_NONNULL(1);

/* The server has its page: of this life of the area. */
bool slots_stored(const struct slots *slots, uint32_t slot) FP_MUST_CHECK FP_NONNULL(1);
void slots_store(struct slots *slots, uint32_t slot, const struct fingerprint *fingerprint)
    FP_NONNULL(1, 3);

/* Takes up to `most` pieces of garbage, to be invalidated: busy until slots_answered. */
size_t slots_sweep(struct slots *slots, uint32_t *swept, size_t most) FP_NONNULL(1, 2);

/* All that the server had is lost. */
void slots_new_life(struct slots *slots) FP_NONNULL(1);

#endif
