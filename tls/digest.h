/* SPDX-License-Identifier: BSD-3-Clause
 * digest - SHA-256, and comparing secrets without telling by the time it takes where they differ.
 * Any thread. */
#ifndef FARPAGE_TLS_DIGEST_H
#define FARPAGE_TLS_DIGEST_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"

enum { DIGEST_BYTES = 32 };

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

/* False: no memory. */
bool digest_make(struct slice bytes, struct digest *digest) FP_MUST_CHECK FP_NONNULL(2);
bool digest_same(const struct digest *a, const struct digest *b) FP_NONNULL(1, 2);

/* Overwrites a secret, which a compiler may not leave out. */
void digest_forget(void *bytes, size_t size_bytes) FP_NONNULL(1);

#endif
