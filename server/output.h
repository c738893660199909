/* SPDX-License-Identifier: BSD-3-Clause
 * output - the bytes on their way to one client. Running out of memory is remembered, not reported:
 * whoever writes goes on, and the connection ends when it looks at output_broken.
 *
 * Threads: the connection's worker only. Blocks: never.
 */
#ifndef FARPAGE_SERVER_OUTPUT_H
#define FARPAGE_SERVER_OUTPUT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"

struct evbuffer;
struct output {
    struct evbuffer *buffer;
    uint8_t *reserved; /* by the last output_reserve, until it is committed */
    bool broken;
};

bool output_init(struct output *output) FP_MUST_CHECK FP_NONNULL(1); /* false: out of memory */
void output_fini(struct output *output) FP_NONNULL(1);

void output_add(struct output *output, struct slice bytes) FP_NONNULL(1);
void output_text(struct output *output, const char *text) FP_NONNULL(1, 2);

/* Room for size_bytes in one piece, to be filled and committed (all or less) before anything else
 * is added. NULL: out of memory, and the output is broken. */
uint8_t *output_reserve(struct output *output, size_t size_bytes) FP_NONNULL(1);
void output_commit(struct output *output, size_t size_bytes) FP_NONNULL(1);

/* All that is pending, in one piece; good until the next call. Empty where memory ran out. */
struct slice output_contiguous(struct output *output) FP_NONNULL(1);

size_t output_pending(const struct output *output) FP_NONNULL(1);

/* Sends what the socket takes. Bytes sent; 0: it takes none now; -1: the connection is gone. */
long output_send(struct output *output, int fd) FP_NONNULL(1);

#endif
