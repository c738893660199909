/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/lock.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

static const char *const rank_names[RANKS] = {
#define X(rank, guards) #rank,
    LOCK_RANKS(X)
#undef X
};
_Static_assert(RANKS <= 32, "held_ranks is one bit per rank");
/* Of this thread: not state of the program. */
static _Thread_local unsigned held_ranks;
static _Thread_local uint64_t waited_ns;

static FP_NORETURN void die(const char *what, const char *name)
{
    fprintf(stderr, "lock: %s %s while holding:", what, name);
    for (int i = 0; i < RANKS; i++)
        if (held_ranks & (1u << i)) fprintf(stderr, " %s", rank_names[i]);
    fputc('\n', stderr);
    abort();
}

void lock_init(struct lock *lock, enum lock_rank rank)
{
    fp_assert(pthread_mutex_init(&lock->mutex, NULL) == 0);
    lock->rank = rank;
}

void lock_fini(struct lock *lock)
{
    fp_assert(pthread_mutex_destroy(&lock->mutex) == 0);
}

static void wait_for(struct lock *lock)
{
    uint64_t began_ns = clock_monotonic_ns();
    fp_assert(pthread_mutex_lock(&lock->mutex) == 0);
    waited_ns += clock_monotonic_ns() - began_ns;
}

uint64_t lock_waited_ns(void)
{
    return waited_ns;
}

void lock_take(struct lock *lock)
{
    if (held_ranks >> lock->rank) die("takes", rank_names[lock->rank]);
    if (pthread_mutex_trylock(&lock->mutex) != 0) wait_for(lock);
    held_ranks |= 1u << lock->rank;
}

void lock_drop(struct lock *lock)
{
    lock_assert_held(lock);
    held_ranks &= ~(1u << lock->rank);
    fp_assert(pthread_mutex_unlock(&lock->mutex) == 0);
}

void lock_assert_held(const struct lock *lock)
{
    if (!(held_ranks & (1u << lock->rank))) die("should hold", rank_names[lock->rank]);
}

void lock_assert_none(void)
{
    if (held_ranks) die("does something slow", "(no lock allowed)");
}
