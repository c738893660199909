/* SPDX-License-Identifier: BSD-3-Clause
 * op - one request of somebody, from the moment it is handed to the engine until it is answered.
 *
 *   queued --composed--> on the way --reply--> answered
 *     |  ^                 |     |
 *     |  '--connection ends'     '--deadline--> answered; a ghost keeps its place among the
 *     '--deadline--> answered                   replies that are due, until its own has come
 *
 * What is answered is forgotten: nothing of the asker's is touched any more. */
#ifndef FARPAGE_CLIENT_OP_H
#define FARPAGE_CLIENT_OP_H
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "client/include/farpage.h"
#include "client/list.h"
#include "protocol/frame.h"

struct flight;

struct reply {
    struct frame frame;
    struct slice body;   /* borrowed for the time of the call */
    bool damaged;        /* the body does not match its checksum */
    uint64_t latency_ns; /* first byte sent to last byte received */
};

/* What is asked for. The asker's own memory is borrowed until `done`. */
struct op_request {
    uint8_t opcode;      /* enum frame_opcode */
    uint64_t slot;
    uint32_t count;      /* as the header has it; of an INVALIDATE, what is left decides */
    uint64_t end;        /* INVALIDATE: one behind the last slot */
    uint8_t head[8];     /* what goes with it: first these, */
    uint8_t head_bytes;
    struct slice body;   /* then this; of an MWRITE, as much of it as one request takes */
    uint32_t offset;     /* MWRITE: where the body goes */
    void *page;          /* where a page goes */
    bool of_area;        /* its header names the area */
    bool own;            /* the engine's own: nobody outside waits for it */
    bool repeatable;     /* asked for twice, it does the same: it is sent again after a cut */
    uint64_t connection; /* it concerns a map of that one of the area's; 0: no map */
    uint32_t ok_bytes_min, ok_bytes_max; /* of the body that FRAME_OK brings */
    uint32_t said_bytes_max;             /* of a sentence that says why not */
    uint64_t timeout_ns;

    /* Takes what a good reply brought; may be NULL. FARPAGE_PROTOCOL: it makes no sense. */
    enum farpage_status (*take)(const struct op_request *request, const struct reply *reply);
    void *taker; /* take's own */
    /* Called once, last: whoever asked is told. It may submit. */
    void (*done)(const struct op_request *request, const struct farpage_answer *answer);
    void *context, *asker; /* done's own */
    farpage_done *user;    /* whom a done of ours tells in turn */
};

struct op {
    struct list place; /* in the queue, in a flight, or among the free ones */
    struct list due;   /* in the order of deadlines */
    struct flight *flight; /* NULL: in none */
    struct op_request request;
    uint64_t deadline_ns;
    uint64_t spent_ns; /* on the parts that were answered already */
    bool held;         /* by a draining area, the last time it was sent */
    bool ghost;        /* answered, and its reply is still to come */
    bool shake;        /* the engine's own: hello, open, dictionary */
    bool plain;        /* its page must not travel packed */
    uint32_t dictionary_id; /* its page was packed with; 0: none */
};

#endif
