/* SPDX-License-Identifier: BSD-3-Clause
 * farpage_snapshot - all that a server stores, as one stream of bytes, while it serves. Included by
 * farpage.h, which has the rules of threads and errors.
 *
 *     struct farpage_snapshot_piece piece;
 *     status = farpage_snapshot_begin(client, take, context, &piece);
 *     while (status == FARPAGE_OK && !piece.complete)
 *         status = farpage_snapshot_next(client, take, context, &piece);
 *
 * Pages are those of the moment of begin. A piece may have no bytes, where none are ready: wait a
 * millisecond then. It ends with the connection, which is not made anew for it. */
#ifndef FARPAGE_SNAPSHOT_H
#define FARPAGE_SNAPSHOT_H
#ifndef FARPAGE_H
#error "include farpage.h, which includes this"
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct farpage_snapshot_piece {
    uint64_t todo, done; /* pages and items; todo as it was at the beginning */
    uint64_t bytes;      /* of this piece */
    int complete;
};

/* Calls `take` once with the bytes, unless there are none; they are good for the call. Whatever
 * `take` does is told by its context. FARPAGE_BUSY: somebody takes one already. FARPAGE_REFUSED:
 * it may not be, or the server could not go on with it; farpage_error() says why. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_snapshot_begin(struct farpage *client,
                       void (*take)(void *context, const void *bytes, size_t size), void *context,
                       struct farpage_snapshot_piece *piece);
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_snapshot_next(struct farpage *client,
                      void (*take)(void *context, const void *bytes, size_t size), void *context,
                      struct farpage_snapshot_piece *piece);
/* Before it is complete: no more of it is wanted. */
FARPAGE_API enum farpage_status farpage_snapshot_end(struct farpage *client);

#ifdef __cplusplus
}
#endif
#endif
