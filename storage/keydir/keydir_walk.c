/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir/keydir_walk.h"

#include "base/check.h"

enum { SHARD_BITS = 6, ORDER_BITS = 64 - SHARD_BITS };
#define ORDER_END (1ull << ORDER_BITS)

static uint64_t reversed(uint64_t bits)
{
    bits = (bits & 0x5555555555555555) << 1 | (bits >> 1 & 0x5555555555555555);
    bits = (bits & 0x3333333333333333) << 2 | (bits >> 2 & 0x3333333333333333);
    bits = (bits & 0x0f0f0f0f0f0f0f0f) << 4 | (bits >> 4 & 0x0f0f0f0f0f0f0f0f);
    return __builtin_bswap64(bits);
}

/* Where a hash comes within its shard: its lowest bit is the first to decide. */
static uint64_t order_of(uint64_t hash)
{
    return reversed(hash) >> SHARD_BITS;
}

static unsigned width_of(const struct keydir_shard *shard)
{
    return (unsigned)__builtin_ctzll(shard->capacity);
}

/* Items of the home of `from` whose order is within from and end; those beyond the room are counted
 * only. */
static unsigned collect(const struct keydir_shard *shard, uint64_t from, uint64_t end,
                        struct item **found, unsigned room)
{
    uint64_t mask = shard->capacity - 1, home = reversed(from << SHARD_BITS) & mask;
    unsigned count = 0;
    for (uint64_t p = home; shard->table[p] != NULL; p = (p + 1) & mask) {
        struct item *item = shard->table[p];
        uint64_t order = order_of(item->hash);
        if (order < from || order >= end) continue;
        if (count < room) found[count] = item;
        count++;
    }
    return count;
}

static uint64_t end_of(uint64_t from, unsigned width)
{
    uint64_t step = ORDER_END >> width;
    return (from / step + 1) * step;
}

unsigned keydir_walk_locked(const struct keydir_shard *shard, uint64_t *position,
                            struct item **found, unsigned room)
{
    lock_assert_held(&shard->lock);
    uint64_t at = *position & (ORDER_END - 1), shard_bits = *position - at;
    unsigned count = 0, width = shard->capacity > 0 ? width_of(shard) : 0;
    if (shard->item_count == 0) at = ORDER_END;
    for (int homes = 0; homes < KEYDIR_WALK_HOMES && at < ORDER_END && count < room; homes++) {
        uint64_t end = end_of(at, width);
        unsigned more = collect(shard, at, end, found + count, room - count);
        /* A home that does not fit waits for an empty room, and for finer steps there. */
        for (unsigned finer = width + 1; more > room - count && count == 0; finer++) {
            fp_assert(finer <= ORDER_BITS);
            end = end_of(at, finer);
            more = collect(shard, at, end, found, room);
        }
        if (more > room - count) break;
        count += more;
        at = end;
    }
    *position = shard_bits + at; /* ORDER_END is the start of the next shard, and of the first */
    return count;
}
