/* SPDX-License-Identifier: BSD-3-Clause
 * conn_parts - what the files of a connection share: conn.c moves bytes and decides what to wait
 * for, conn_step.c carries out one request. Seen by them only. */
#ifndef FARPAGE_SERVER_CONN_PARTS_H
#define FARPAGE_SERVER_CONN_PARTS_H
#include <event2/event_struct.h>

#include "server/conn/conn.h"
#include "server/conn/conn_kept.h"
#include "server/conn/conn_login.h"
#include "server/conn/conn_spill.h"
#include "server/conn/conn_watch.h"
#include "server/peer/closing.h"
#include "tls/tls.h"

struct conn {
    struct worker *worker;
    struct tls *tls;  /* NULL: in the clear */
    bool handshaking; /* TLS is not agreed on yet: nothing else happens */
    struct queued handshake; /* in the worker's queue */
    struct queued behind;    /* others, because its tenant is ahead: */
    bool behind_reads;       /* with what it has to read; else with what is left of its input */
    struct conn_login login;
    struct conn *next, *prev; /* of the worker's */
    struct event read_event, write_event, turn_event;
    struct conn_watch watch;
    bool idled; /* it ends because it asked nothing for too long */
    struct kept kept;
    size_t need_bytes; /* no use in looking at kept before it has so many */
    uint64_t swallow_bytes;
    uint64_t swallowed_bytes; /* since the client last made progress by it */
    struct output output;
    uint64_t charged_bytes;
    uint64_t begun_ns; /* when the incomplete request began; 0: there is none */
    uint64_t moved_ns; /* when the client last took bytes of the output */
    bool eof;          /* the client sends no more */
    bool closing;
    bool leaving; /* closing, once the reply is whole that has begun */
    struct latency_timing timing;
    struct latency_arrival arrival;
    uint64_t pending_ns; /* since when replies wait for their reader; 0: none does */
    struct spill_wait spill;   /* of the request at the front of the input */
    struct conn_parked parked; /* those that do not hold up the others */
    struct session session;
    struct conn_row row;
};

enum step {
    STEP_ON, STEP_MORE, STEP_WAIT, STEP_FULL, STEP_TURN, STEP_AWAIT, STEP_LATER, STEP_CLOSE
};

static inline void conn_count(struct conn *conn, enum worker_counter which, uint64_t delta)
{
    counter_add(conn->worker->dispatcher.counters, which, delta);
}

void conn_log_closed(const struct conn *conn, enum gate kind, const char *event,
                     const char *reason);

/* The entries of a store batch are arriving. */
static inline bool conn_is_within_batch(const struct conn *conn)
{
    return conn->session.batch.frame.count > 0;
}

/* A parked request was answered: sends that. The connection may be gone then. */
void conn_answered(struct conn *conn);
/* What `spill` waited for has come. */
void conn_arrived(void *conn);

/* Carries out what is first in *input, as far as it is there, and takes it off. STEP_ON: what
 * follows may be next. STEP_MORE, STEP_TURN: the same request again, at once or after the others.
 * STEP_AWAIT: when what it waits for was read. STEP_LATER: in a moment, when there is room.
 * STEP_WAIT: more input is needed, need_bytes of it at least. STEP_CLOSE: send what is written and
 * end. */
enum step conn_step(struct conn *conn, struct slice *input) FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
