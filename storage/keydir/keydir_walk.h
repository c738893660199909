/* SPDX-License-Identifier: BSD-3-Clause
 * keydir_walk - all items of the directory, a few at a time, while it changes.
 *
 * The walk goes by shard and then by the bits of the hash from the lowest up, not by place: a table
 * that doubles splits each home in two, and these are neighbours in that order. So a position stays
 * good whatever grows meanwhile, and it is one number that its owner may keep as long as he likes.
 *
 *   A key that is in the directory from the first step to the last is met exactly once, also where
 *   its item was replaced meanwhile: then it is the old or the new one. A key that comes or goes
 *   meanwhile is met once or not at all. (A table that shrinks may show a key twice, and loses
 *   none.)
 *
 * Threads: any. The shard's lock is the caller's, for one step: at most KEYDIR_WALK_HOMES homes.
 */
#ifndef FARPAGE_STORAGE_KEYDIR_WALK_H
#define FARPAGE_STORAGE_KEYDIR_WALK_H
#include "storage/keydir/keydir.h"

enum { KEYDIR_WALK_HOMES = 512 };

/* A position; 0 is the start. */
static inline unsigned keydir_walk_shard(uint64_t position)
{
    return (unsigned)(position >> 58);
}

/* Writes at most `room` (1 or more) of the items from *position on, which lie in the shard that it
 * names, to found[], and moves *position behind them. Returns how many; maybe 0. The end of the
 * last shard leads to 0. */
unsigned keydir_walk_locked(const struct keydir_shard *shard, uint64_t *position,
                            struct item **found, unsigned room) FP_NONNULL(1, 2, 3);

#endif
