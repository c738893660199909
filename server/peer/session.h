/* SPDX-License-Identifier: BSD-3-Clause
 * session - what one connection has open and how far it is. It dies with the connection.
 *
 * Threads: belongs to the connection's worker; no lock but that of the openers.
 */
#ifndef FARPAGE_SERVER_SESSION_H
#define FARPAGE_SERVER_SESSION_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "protocol/frame.h"
#include "server/maps/maps.h"
#include "server/peer/conns.h"
#include "server/peer/openers.h"
#include "server/restart/snapshots.h"
#include "storage/store/store.h"

enum { SESSION_AREAS_MAX = 64 };

struct session_batch { /* a store batch whose entries are arriving */
    struct frame frame;  /* its header; count: entries not answered yet */
    uint64_t left_bytes; /* of its body */
    uint32_t page_bytes;
};

struct value_in;

struct value_out { /* a long value on its way out (dispatch_value_out.h) */
    struct item *item;   /* a reference; NULL: there is none */
    uint32_t next_piece; /* not written yet */
};

struct session {
    struct conn_row *row; /* the connection's, for people */
    bool greeted;      /* a version was agreed on */
    uint32_t codecs;   /* a bit for each enum frame_codec that was agreed on; 0: all is plain */
    bool notices;      /* the client takes them */
    uint64_t resume;   /* how far a request got that yielded (dispatch.h); 0: at its start */
    uint64_t resume_left; /* of a dump that yielded: how many it may still show */
    struct session_batch batch;
    struct value_in *value_in; /* a long value on its way in (dispatch_value_in.h); NULL: none */
    struct store_join *join;   /* a long append or prepend under way; NULL: none */
    struct value_out value_out;
    struct snapshot_job *snapshot; /* one that is being taken; NULL: none */
    uint32_t page_bytes_max; /* of the areas it ever had open; 0: none */
    struct opener *openers[SESSION_AREAS_MAX]; /* the client's number 1 on; NULL: it is free */
    struct maps maps;
    struct watcher *watcher; /* NULL, or it watches: nothing it sends is read any more */
};

/* Opens an area; *number is what the client calls it, the same one where it has it open already.
 * `why`: for FP_BUSY. FP_TOO_BIG also where SESSION_AREAS_MAX is reached; else as openers_open. */
enum fp_status session_open_area(struct session *session, struct openers *openers,
                                 const struct open_request *request, uint32_t *number,
                                 char why[REFUSAL_BYTES_MAX])
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4, 5);
/* The number may mean another area from here on. */
void session_close_area(struct session *session, struct openers *openers, struct store *store,
                        uint32_t number) FP_NONNULL(1, 2, 3);

/* NULL: no area of that number is open here. */
struct opener *session_opener(const struct session *session, uint32_t number) FP_NONNULL(1);
struct area *session_area(const struct session *session, uint32_t number) FP_NONNULL(1);

/* Lets go of everything. */
void session_fini(struct session *session, struct openers *openers, struct store *store)
    FP_NONNULL(1, 2, 3);

#endif
