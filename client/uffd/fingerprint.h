/* SPDX-License-Identifier: BSD-3-Clause
 * fingerprint - whether a page is what it once was.
 *
 * Three passes of NH (Black, Halevi, Krawczyk, Krovetz, Rogaway, "UMAC", CRYPTO 1999) with shifted
 * keys: two different pages, whoever chose them, have the same fingerprint with a probability of at
 * most 2^-96, as long as the key is random and secret.
 *
 * Threads: any. Blocks: fingerprint_key_make may, shortly after the boot of a machine.
 */
#ifndef FARPAGE_CLIENT_UFFD_FINGERPRINT_H
#define FARPAGE_CLIENT_UFFD_FINGERPRINT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum {
    FINGERPRINT_PAGE_BYTES = 4096,
    FINGERPRINT_PASSES = 3,
    FINGERPRINT_KEYS = FINGERPRINT_PAGE_BYTES / 4 + 2 * (FINGERPRINT_PASSES - 1),
};

struct fingerprint_key {
    uint32_t words[FINGERPRINT_KEYS];
};

struct fingerprint {
    uint64_t sums[FINGERPRINT_PASSES];
};

/* False: the kernel has no random bytes for us. */
bool fingerprint_key_make(struct fingerprint_key *key) FP_MUST_CHECK FP_NONNULL(1);

/* `page` is aligned to 8 bytes. */
struct fingerprint fingerprint_of(const struct fingerprint_key *key, const void *page)
    FP_MUST_CHECK FP_NONNULL(1, 2);

bool fingerprint_same(const struct fingerprint *a, const struct fingerprint *b) FP_MUST_CHECK
    FP_NONNULL(1, 2);

/* Every byte is 0; aligned as above. */
bool fingerprint_of_zeros(const void *page) FP_MUST_CHECK FP_NONNULL(1);

#endif
