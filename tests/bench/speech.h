/* SPDX-License-Identifier: BSD-3-Clause
 * speech - how a kind of server is asked for pages, and how its answers are understood. Pure; knows
 * no socket.
 *
 * The client does the same work whomever it talks to: it makes each request, and looks at every
 * byte that comes back. What the echo server sends is checksummed as well, and not believed. */
#ifndef FARPAGE_TESTS_BENCH_SPEECH_H
#define FARPAGE_TESTS_BENCH_SPEECH_H
#include "base/slice.h"
#include "tests/bench/packs.h"

enum work { WORK_STORE, WORK_LOAD, WORKS };

/* How pages travel, and are thus packed by the server or by the client. */
enum form {
    FORM_PLAIN,      /* as they are */
    FORM_PACKED,     /* packed ahead of the clock; packed bytes that come back are checksummed */
    FORM_PACKED_NOW, /* packed and unpacked while the clock runs, as a client has to */
    FORMS
};

enum {
    SPEECH_ASK_BYTES_MAX = PAGESET_PAGE_BYTES + 128, /* of a request, for each of its pages */
    SPEECH_ANSWER_BYTES_MAX = PAGESET_PAGE_BYTES + 512,
    SPEECH_BATCH_MAX = 256,
};

struct talk { /* what all requests of a measurement have in common */
    struct packs *packs;
    enum form form;
    enum work work;
    uint32_t area; /* farpage's number of it */
};

struct ask { /* one page, on the way */
    uint32_t slot;
    uint32_t page; /* of the pageset: the one that goes to the slot, or must come from it */
    uint32_t tag;  /* of its request */
    bool ends_request; /* the last page of it */
    uint64_t sent_ns;
};

enum heard { HEARD_PARTIAL, HEARD_RIGHT, HEARD_WRONG, HEARD_REFUSED, HEARD_BROKEN };

struct speech {
    /* Writes one request for `count` pages; how many bytes. */
    size_t (*ask)(const struct talk *talk, const struct ask *asks, uint32_t count, uint8_t *out);
    /* What `bytes` begin with, as the answer to one page; *used: the bytes that it takes, where it
     * is neither partial nor broken. HEARD_WRONG: other bytes than were stored. */
    enum heard (*hear)(const struct talk *talk, const struct ask *ask, struct slice bytes,
                       size_t *used);
};

/* farpage: a frame for each page, or, of several or packed ones, a batch. */
extern const struct speech speech_frames;
/* memcached: sets one after the other, gets of several keys; packed pages are shorter values. */
extern const struct speech speech_text;
/* Requests and replies as long as farpage's. */
extern const struct speech speech_echo;

/* How long farpage's answer to the page is, as long as it keeps it as it was sent. */
size_t speech_frames_answer_bytes(const struct talk *talk, const struct ask *ask);

#endif
