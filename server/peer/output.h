/* SPDX-License-Identifier: BSD-3-Clause
 * output - the bytes on their way to one client. Running out of memory is remembered, not reported:
 * whoever writes goes on, and the connection ends when it looks at output_broken.
 *
 * Replies are written at the worker's desk, one piece of memory that stays warm, and sent from
 * there when the connection's turn is over. Only what the socket does not take gets memory of its
 * own; so does what does not fit, or is written while another output is at the desk.
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

enum { OUTPUT_DESK_BYTES = 256 << 10 };

struct evbuffer;
struct output;
struct output_desk { /* of a worker */
    uint8_t *bytes;             /* OUTPUT_DESK_BYTES */
    const struct output *user;  /* NULL: nobody, and used_bytes is 0 */
    size_t used_bytes;          /* the end of what the user has pending */
};

struct output {
    struct output_desk *desk; /* NULL: never at one */
    struct evbuffer *buffer;  /* what is pending and not at the desk, before what is */
    uint8_t *reserved; /* by the last output_reserve, until it is committed */
    uint64_t lent_bytes; /* of output_lend, whose `done` has not been called */
    bool broken;
};

/* desk: NULL, or the worker's, which outlives the output. False: out of memory. */
bool output_init(struct output *output, struct output_desk *desk) FP_MUST_CHECK FP_NONNULL(1);
void output_fini(struct output *output) FP_NONNULL(1);

void output_add(struct output *output, struct slice bytes) FP_NONNULL(1);
void output_text(struct output *output, const char *text) FP_NONNULL(1, 2);
/* Before all that is pending: for who knows only then what stands at its head. */
void output_prepend(struct output *output, struct slice bytes) FP_NONNULL(1);

/* Room for size_bytes in one piece, to be filled and committed (all or less) before anything else
 * is added. NULL: out of memory, and the output is broken. */
uint8_t *output_reserve(struct output *output, size_t size_bytes) FP_NONNULL(1);
void output_commit(struct output *output, size_t size_bytes) FP_NONNULL(1);

/* Adds bytes without copying them: they must stay as they are until `done` is called, which happens
 * when the last of them was sent or the output has ended, before output_fini returns; where memory
 * is out, at once. Then they are charged to whoever owns them, so lend some thousand at a time. */
void output_lend(struct output *output, struct slice bytes, void (*done)(void *owner), void *owner)
    FP_NONNULL(1, 3);
/* What is pending and not lent by somebody else; too little by up to one lending that is partly
 * sent. */
size_t output_own_pending(const struct output *output) FP_NONNULL(1);

/* All that is pending, in one piece; good until the next call. Empty where memory ran out. */
struct slice output_contiguous(struct output *output) FP_NONNULL(1);

size_t output_pending(const struct output *output) FP_NONNULL(1);

/* Of that what is not at the desk, but takes memory of its own, or is lent. */
size_t output_buffered(const struct output *output) FP_NONNULL(1);

/* Half of the desk is full, and it is time to send what stands there. */
bool output_is_due(const struct output *output) FP_NONNULL(1);

/* Sends what the socket takes, and leaves the desk. Bytes sent; 0: it takes none now; -1: the
 * connection is gone. */
long output_send(struct output *output, int fd) FP_NONNULL(1);

/* The same through TLS, some records at a time. */
struct tls;
long output_send_tls(struct output *output, struct tls *tls) FP_NONNULL(1, 2);

#endif
