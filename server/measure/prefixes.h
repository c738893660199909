/* SPDX-License-Identifier: BSD-3-Clause
 * prefixes - `stats detail`: what is done with the keys of each prefix, which is what stands before
 * the first colon. Keys without one are not counted. Off until somebody asks.
 *
 * Threads: any. Locks: RANK_PREFIXES, shortly.
 */
#ifndef FARPAGE_SERVER_PREFIXES_H
#define FARPAGE_SERVER_PREFIXES_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/lock.h"
#include "base/slice.h"

enum {
    PREFIXES_MAX = 8192, /* keys of more prefixes are not counted */
    PREFIXES_BUCKETS = 1024,
    PREFIXES_OF_BUCKET_MAX = 64, /* who chooses prefixes that meet costs only so much */
    PREFIX_DELIMITER = ':',
};

enum prefix_event { PREFIX_MISS, PREFIX_HIT, PREFIX_SET, PREFIX_DELETE };

struct prefix;

struct prefixes {
    _Atomic bool counted;
    struct lock lock; /* guards the rest */
    struct budget *budget;
    uint32_t count;
    struct prefix **buckets; /* NULL: none was ever counted */
};

struct prefix_row {
    struct slice prefix;
    uint64_t gets, hits, sets, deletes;
};

/* The budget is to be set before the first use. */
void prefixes_init(struct prefixes *prefixes) FP_NONNULL(1);
void prefixes_fini(struct prefixes *prefixes) FP_NONNULL(1);

static inline bool prefixes_counted(const struct prefixes *prefixes)
{
    return atomic_load_explicit(&prefixes->counted, memory_order_relaxed);
}
/* What was counted stays. */
void prefixes_switch(struct prefixes *prefixes, bool counted) FP_NONNULL(1);
/* Where memory is out, a prefix that is new is not counted. */
void prefixes_note(struct prefixes *prefixes, struct slice key, enum prefix_event event)
    FP_NONNULL(1);
void prefixes_forget(struct prefixes *prefixes) FP_NONNULL(1);
/* Calls `each` for every prefix with the lock held: it must be quick and take none. */
void prefixes_each(struct prefixes *prefixes,
                   void (*each)(void *context, const struct prefix_row *row), void *context)
    FP_NONNULL(1, 2);

#endif
