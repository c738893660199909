/* SPDX-License-Identifier: BSD-3-Clause
 * opening - which area is wanted, and which one it then is.
 *
 *   wanted --OPEN, taken--> known: boot id and generation name this very area
 *                             |--OPEN, taken--> known: another connection, the same area
 *                             |--OPEN, another--> FARPAGE_LOST
 *                             |--opening_moved()--> known: that area, at another server
 *                             '--opening_forget()--> wanted, as at first
 *
 * The server is told the identity and says itself when it is another; what it answers is compared
 * all the same. Pure. */
#ifndef FARPAGE_CLIENT_OPENING_H
#define FARPAGE_CLIENT_OPENING_H
#include <stdbool.h>

#include "base/attrs.h"
#include "client/include/farpage.h"
#include "client/reason.h"
#include "protocol/frame.h"
#include "protocol/frame_drain.h"
#include "protocol/limits.h"

struct opening {
    char name[AREA_NAME_BYTES_MAX + 1];
    struct frame_open wish; /* its name is unused */

    bool known;
    uint8_t boot_id[FRAME_BOOT_ID_BYTES];
    struct frame_opened is; /* as the last opening found it */
    uint32_t number;        /* the server's, on this connection */
    unsigned moves;         /* that were followed */
    char moved_to[MOVED_ADDRESS_BYTES_MAX + 1]; /* where it is since; "" where it was not moved */
};

enum { OPENING_BODY_BYTES_MAX = FRAME_OPEN_BYTES + AREA_NAME_BYTES_MAX };

/* FARPAGE_INVALID or FARPAGE_BAD_AREA, with a reason: nothing is worth asking for that. */
enum farpage_status opening_init(struct opening *opening, const char *name,
                                 const struct farpage_area_options *options,
                                 struct reason *reason) FP_MUST_CHECK FP_NONNULL(1, 2, 4);

/* OPEN's body; how many bytes it has. */
size_t opening_encode(const struct opening *opening, uint8_t body[OPENING_BODY_BYTES_MAX])
    FP_NONNULL(1, 2);

/* What a server of that boot id opened. FARPAGE_PROTOCOL: it makes no sense. FARPAGE_LOST: it is
 * another area than the known one. */
enum farpage_status opening_take(struct opening *opening,
                                 const uint8_t boot_id[FRAME_BOOT_ID_BYTES],
                                 const struct frame *frame, struct slice body) FP_MUST_CHECK
    FP_NONNULL(1, 2, 3);

/* A known area is this one, at another server, from here on. */
void opening_moved(struct opening *opening, const struct frame_moved *moved) FP_NONNULL(1, 2);

void opening_forget(struct opening *opening) FP_NONNULL(1);

/* 4096, 16384 or 65536. */
bool opening_page_bytes_possible(uint32_t bytes) FP_MUST_CHECK;

#endif
