/* SPDX-License-Identifier: BSD-3-Clause
 * reason - the sentence that says why a call failed, kept where the call was made.
 *
 * One sentence without a line end. What came from outside is made printable before it goes in.
 */
#ifndef FARPAGE_CLIENT_REASON_H
#define FARPAGE_CLIENT_REASON_H
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"

enum { REASON_BYTES = 512, REASON_QUOTE_BYTES = 48, REASON_DURATION_BYTES = 32 };

struct reason {
    char text[REASON_BYTES];
};

/* Replaces the sentence; what does not fit is cut off. */
void reason_set(struct reason *reason, const char *format, ...)
    __attribute__((format(printf, 2, 3))) FP_NONNULL(1, 2);

/* Replaces it by another's sentence, up to a line end; what is not printable ASCII becomes '?'. */
void reason_set_bytes(struct reason *reason, struct slice sentence) FP_NONNULL(1);

/* As reason_set, followed by ": " and the system's words for `error`, an errno. */
void reason_set_errno(struct reason *reason, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4))) FP_NONNULL(1, 3);

/* The first bytes of `bytes` up to a line end, with what is not printable ASCII as '?'. */
void reason_quote(struct slice bytes, char quoted[REASON_QUOTE_BYTES]) FP_NONNULL(2);

/* "10 s", or "1500 ms" where no whole seconds; rounded up to milliseconds. */
void reason_duration(uint64_t nanoseconds, char text[REASON_DURATION_BYTES]) FP_NONNULL(2);

#endif
