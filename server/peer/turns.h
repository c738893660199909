/* SPDX-License-Identifier: BSD-3-Clause
 * turns - whose connections of a worker go first: those of tenants that took less of its time.
 *
 * Time is looked at in slices. A tenant that took more than an equal share of it lately, while
 * another one wanted some, is ahead: its connections go one after the other, all others' between
 * two of them (queue.h), and their turns are short. Who is alone is never ahead.
 *
 * Knows no clock and takes no memory. Threads: the worker's.
 */
#ifndef FARPAGE_SERVER_TURNS_H
#define FARPAGE_SERVER_TURNS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "storage/limits/tenant.h"

enum {
    TURN_NS_MAX = 1000000,      /* a turn ends after so much work, however few requests that were */
    TURN_AHEAD_NS_MAX = 100000, /* of a tenant that is ahead */
    TURNS_SLICE_NS = 5000000,
};
#define TURNS_WANTED_NS UINT64_C(1000000000) /* for so long a tenant that asked counts as there */

struct turns { /* all zeros: nobody took any */
    uint64_t slice_ns;           /* when it began */
    uint64_t taken[TENANTS_MAX]; /* in it, nanoseconds; */
    uint64_t lately[TENANTS_MAX]; /* and before it, an older slice counting half of the next */
    uint64_t asked_ns[TENANTS_MAX]; /* last */
    bool ahead[TENANTS_MAX];
};

/* A connection of that tenant had its turn. */
void turns_note(struct turns *turns, uint8_t tenant, uint64_t began_ns, uint64_t ended_ns)
    FP_NONNULL(1);

static inline bool turns_ahead(const struct turns *turns, uint8_t tenant)
{
    return turns->ahead[tenant];
}
static inline uint64_t turns_ns_max(const struct turns *turns, uint8_t tenant)
{
    return turns->ahead[tenant] ? TURN_AHEAD_NS_MAX : TURN_NS_MAX;
}

#endif
