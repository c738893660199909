/* SPDX-License-Identifier: BSD-3-Clause
 * session - what one connection has open and how far it is. It dies with the connection.
 *
 * Threads: belongs to the connection's worker; no lock.
 */
#ifndef FARPAGE_SERVER_SESSION_H
#define FARPAGE_SERVER_SESSION_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "protocol/frame.h"
#include "storage/store.h"

enum { SESSION_AREAS_MAX = 64 };

struct session_batch { /* a store batch whose entries are arriving */
    struct frame frame;  /* its header; count: entries not answered yet */
    uint64_t left_bytes; /* of its body */
    uint32_t page_bytes;
};

struct session {
    bool greeted;      /* a version was agreed on */
    uint64_t resume;   /* how far a request got that yielded (dispatch.h); 0: at its start */
    struct session_batch batch;
    uint32_t area_count;
    struct area *areas[SESSION_AREAS_MAX]; /* number 1 .. area_count, as the client knows them */
};

/* The number of the area in this session, opened now or before; the session takes over the caller's
 * use of it. 0: SESSION_AREAS_MAX is reached. */
uint32_t session_open_area(struct session *session, struct area *area) FP_NONNULL(1, 2);
/* NULL: no area of that number is open here. */
struct area *session_area(const struct session *session, uint32_t number) FP_NONNULL(1);

void session_fini(struct session *session) FP_NONNULL(1); /* lets go of everything */

#endif
