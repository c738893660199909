/* SPDX-License-Identifier: BSD-3-Clause
 * eviction_models - policies of eviction as plain as they can be written: one queue for all keys,
 * no locks, keys that are numbers. What the server's own is held against. */
#ifndef FARPAGE_TESTS_BENCH_EVICTION_MODELS_H
#define FARPAGE_TESTS_BENCH_EVICTION_MODELS_H
#include <stdbool.h>
#include <stdint.h>

struct model; /* one policy's state */

struct policy {
    const char *name;
    /* key_count keys of sizes[key] bytes each; NULL: out of memory. */
    struct model *(*create)(uint32_t key_count, const uint32_t *sizes, uint64_t capacity_bytes);
    /* Asks for a key, and stores it where it is not there. True: it was there. */
    bool (*ask)(struct model *model, uint32_t key);
    void (*destroy)(struct model *model);
};

extern const struct policy policy_lru, policy_clock, policy_sieve, policy_s3fifo;

#endif
