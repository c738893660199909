/* SPDX-License-Identifier: BSD-3-Clause
 * lock - a mutex that knows its rank, so that lock order is checked by every run of every test.
 *
 * A thread may take a lock only while it holds none of the same rank or a higher one. The first
 * breach stops the program with all the names, whether or not it would have deadlocked today.
 * The rows are the lock table of docs/architecture.md; tests/tidy compares the two.
 */
#ifndef FARPAGE_BASE_LOCK_H
#define FARPAGE_BASE_LOCK_H
#include <pthread.h>
#include <stdint.h>

#include "base/attrs.h"

#define LOCK_RANKS(X)                                                                              \
    X(RANK_CONFIG_RELOAD, "one reload at a time")                                                  \
    X(RANK_CREDENTIALS, "certificates, keys and users in force")                                   \
    X(RANK_CONNS, "the list of open connections")                                                  \
    X(RANK_EXPORTS, "the list of exports, and who uses them")                                      \
    X(RANK_HANDOUTS, "which exports were handed out")                                              \
    X(RANK_OPENERS, "who has which area open")                                                     \
    X(RANK_MAPS, "the list of what all sessions have mapped")                                      \
    X(RANK_DICTIONARIES, "which dictionary and seat each area has, and who trains")                \
    X(RANK_COMPRESSOR_SWAP, "which compressor seat is current")                                    \
    X(RANK_AREAS, "area names to areas")                                                           \
    X(RANK_SLOTS, "one stripe of an area's slot table")                                            \
    X(RANK_KEYDIR_SHARD, "one shard of key to item, and its eviction order")                       \
    X(RANK_ZSCLASS, "one shard of blocks, or one size class")                                      \
    X(RANK_PAGES, "pages taken from and given to the OS")                                          \
    X(RANK_SPILL, "extents of the file below memory, and who uses them")                           \
    X(RANK_SPILL_READS, "pages that are to be read from it, and those that were")                  \
    X(RANK_WORKER_INBOX, "connections handed to a worker and not yet its own")                     \
    X(RANK_PERCPU_REFS, "where each per-thread reference count stands, and their threads")         \
    X(RANK_WATCHERS, "who watches, and the lines that wait for them")                              \
    X(RANK_PREFIXES, "what is counted of the keys of each prefix")                                 \
    X(RANK_LOG, "one line to the log at a time")

enum lock_rank {
#define X(rank, guards) rank,
    LOCK_RANKS(X)
#undef X
    RANKS
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

void lock_init(struct lock *lock, enum lock_rank rank) FP_NONNULL(1);
void lock_fini(struct lock *lock) FP_NONNULL(1);
void lock_take(struct lock *lock) FP_NONNULL(1);
void lock_drop(struct lock *lock) FP_NONNULL(1);
/* For how long the calling thread has waited for locks that others held, since it began. */
uint64_t lock_waited_ns(void);

void lock_assert_held(const struct lock *lock) FP_NONNULL(1); /* first line of each *_locked */
void lock_assert_none(void); /* first line of what may block, pack, unpack or call out */

#endif
