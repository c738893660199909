/* SPDX-License-Identifier: BSD-3-Clause
 * nbd_internal - what the files of a block device's connection share. Seen by server/nbd/ only.
 */
#ifndef FARPAGE_SERVER_NBD_INTERNAL_H
#define FARPAGE_SERVER_NBD_INTERNAL_H
#include <event2/event_struct.h>

#include "protocol/nbd.h"
#include "protocol/nbd_option.h"
#include "server/exports/exports.h"
#include "server/peer/queue.h"
#include "server/nbd/nbd_conn.h"
#include "tls/tls.h"

enum {
    NBD_PARKED_MAX = 64, /* reads that wait for the file below memory; of more, one holds all up */
    NBD_JOBS_MAX = 16, /* trims and zeroings under way at once; more wait for one to end */
    NBD_INPUT_BYTES = 64 << 10, /* read at once, besides a request or page that has begun */
};

enum nbd_phase { NBD_GREETED, NBD_HAGGLING, NBD_SERVING };

struct nbd_input { /* read and not carried out yet */
    uint8_t *bytes;
    size_t begin, end, capacity_bytes;
};

struct nbd_handshake {
    enum nbd_state state;
    bool no_zeroes, structured;
    uint32_t options;
    /* The export that base:allocation was selected of; "": none. */
    char context_of[AREA_NAME_BYTES_MAX + 1];
};

struct nbd_write { /* whose bytes are arriving */
    bool active;
    uint64_t cookie, at;
    uint32_t left_bytes, whole_bytes;
    enum nbd_error error; /* the first; the rest is dropped */
};

struct nbd_read { /* that is being answered */
    bool active, one_chunk, begun, counted;
    uint64_t cookie, at, end;
    uint64_t hole_from; /* zeros that are not told yet: up to `at`, if it is less */
    enum nbd_error error; /* of one_chunk: what follows is padding */
    uint64_t error_at;
};

struct nbd_job { /* a trim or zeroing under way */
    bool active, keep; /* zeros that are kept; else pages are forgotten */
    uint64_t cookie, at, end; /* bytes */
    uint32_t whole_bytes;
    bool edges; /* parts of pages are zeroed; else left alone */
    struct spill_wait wait; /* for a page of which a part is zeroed */
};

struct nbd_parked; /* a read whose pages are being read from the file below memory */

struct nbd_event { /* one that libevent is told of only when that is news */
    struct event event;
    bool wanted;
};

struct nbd_conn {
    struct worker *worker;
    struct nbd_conn *next, *prev; /* of the worker's */
    struct nbd_event reads, writes, turns;
    struct tls *tls; /* NULL: in the clear */
    struct queued shaking; /* of TLS, in the worker's queue */
    struct queued behind;  /* others, because its tenant is ahead */
    bool behind_reads;     /* and then it reads on */
    bool tls_due;    /* as soon as all is sent */
    bool tls_begun;  /* and is not done yet */
    struct output output;
    struct nbd_input input;
    uint64_t drop_bytes; /* of what arrives next */
    size_t need_bytes;   /* no use in looking at the input before it has so many; 0: any */
    uint64_t charged_bytes;
    uint64_t begun_ns; /* when the handshake or the incomplete request began; 0: there is none */
    uint64_t moved_ns; /* when the client last took bytes of the output */
    bool eof;          /* the client sends no more */
    bool leaving;      /* it said so: nothing more is looked at */
    bool stopping;     /* the server is */
    bool closing;      /* as soon as all is sent */
    bool idled;        /* it ends because of server.idle_timeout */
    enum nbd_phase phase;
    struct nbd_handshake handshake;
    struct export *export; /* NULL: none is open */
    struct opener opener;
    struct nbd_terms terms;
    uint8_t *page; /* of the export, to work in */
    struct nbd_write write;
    struct nbd_read read;
    struct nbd_job jobs[NBD_JOBS_MAX];
    unsigned job_count;
    struct latency_timing timing;
    struct latency_arrival arrival;
    uint64_t pending_ns; /* since when replies wait for their reader; 0: none does */
    struct spill_wait spill; /* of the request under way */
    struct nbd_parked *parked, *come; /* lists: that wait; whose pages have come */
    unsigned parked_count;            /* of both */
    struct conn_row row;
};

enum nbd_step {
    NBD_STEP_ON,
    NBD_STEP_WAIT,  /* for more input */
    NBD_STEP_TURN,  /* others go first */
    NBD_STEP_FULL,  /* until the client has taken of the output */
    NBD_STEP_AWAIT, /* until pages were read from the file below memory */
    NBD_STEP_LATER, /* in a moment: memory is full, and room is being made */
    NBD_STEP_CLOSE, /* when what is written is sent */
};

static inline struct slice nbd_input(const struct nbd_conn *conn)
{
    return slice_of(conn->input.bytes + conn->input.begin, conn->input.end - conn->input.begin);
}
static inline void nbd_taken(struct nbd_conn *conn, size_t bytes)
{
    conn->input.begin += bytes;
}

/* Charges so many bytes more; `anyway`: also where memory is full. False: it is. */
bool nbd_charge(struct nbd_conn *conn, uint64_t bytes, bool anyway) FP_MUST_CHECK FP_NONNULL(1);
/* Makes room for so many bytes of input in all. False: there is no memory. */
bool nbd_input_fit(struct nbd_conn *conn, size_t capacity_bytes, bool anyway)
    FP_MUST_CHECK FP_NONNULL(1);

/* As closing_log. */
void nbd_log_closed(const struct nbd_conn *conn, enum gate kind, const char *event,
                    const char *reason) FP_NONNULL(1, 3, 4);
void nbd_log_lost(struct nbd_conn *conn, const char *reason) FP_NONNULL(1, 2);

/* One step: an option, or part of it (nbd_handshake.c). */
enum nbd_step nbd_haggle(struct nbd_conn *conn) FP_MUST_CHECK FP_NONNULL(1);
/* One step: a request, or a page of it (nbd_serve.c). */
enum nbd_step nbd_serve(struct nbd_conn *conn) FP_MUST_CHECK FP_NONNULL(1);
/* One step of every job. */
void nbd_jobs_step(struct nbd_conn *conn) FP_NONNULL(1);
/* The next pieces of the read under way (nbd_read.c). */
enum nbd_step nbd_read_step(struct nbd_conn *conn) FP_MUST_CHECK FP_NONNULL(1);
/* Answers with the extents of the request's range. */
void nbd_block_status(struct nbd_conn *conn, const struct nbd_request *request) FP_NONNULL(1, 2);

/* nbd_spill.c: asks for the pages of [at, end) that would have to be read. True: NBD_STEP_AWAIT. */
bool nbd_ask(struct nbd_conn *conn, uint64_t at, uint64_t end, enum store_promote how)
    FP_NONNULL(1);
/* The read under way, which awaits, makes room for other requests. False: it may not. */
bool nbd_park(struct nbd_conn *conn) FP_MUST_CHECK FP_NONNULL(1);
/* A parked read whose pages have come is the one under way again, if none is. */
void nbd_unpark(struct nbd_conn *conn) FP_NONNULL(1);
void nbd_await(struct nbd_conn *conn) FP_NONNULL(1);
/* The same for a job, which is stepped at every turn anyway. */
void nbd_job_await(struct nbd_conn *conn, struct spill_wait *wait) FP_NONNULL(1, 2);
void nbd_parked_drop(struct nbd_conn *conn) FP_NONNULL(1);
/* Carries on; the connection may be gone then (nbd_conn.c). */
void nbd_go_on(struct nbd_conn *conn) FP_NONNULL(1);

/* Answers without bytes; `why` may be NULL. */
void nbd_reply(struct nbd_conn *conn, const struct nbd_request *request, enum nbd_error error,
               const char *why) FP_NONNULL(1, 2);
void nbd_reply_simple(struct nbd_conn *conn, uint64_t cookie, enum nbd_error error) FP_NONNULL(1);
/* What a status of the store is on the wire; counts it, and says in the log when it is full. */
enum nbd_error nbd_error_of(struct nbd_conn *conn, enum fp_status status) FP_NONNULL(1);

#endif
