/* SPDX-License-Identifier: BSD-3-Clause
 * stream - one connection that keeps so many pages on the way to a server, for so long.
 *
 * Closed loop: when answers to a whole request are in, another request of as many pages goes out.
 * The slots are random, no slot twice among the stores on the way. Sockets block and there is no
 * event loop: the client's part is as small as it can be. Answers must come in the order of the
 * requests, as all servers here give them.
 *
 * Threads: one. */
#ifndef FARPAGE_TESTS_BENCH_STREAM_H
#define FARPAGE_TESTS_BENCH_STREAM_H
#include "base/attrs.h"
#include "base/histogram.h"
#include "tests/bench/draw.h"
#include "tests/bench/speech.h"

enum { STREAM_DEPTH_MAX = SPEECH_BATCH_MAX };

struct stream;

struct stream_plan {
    const struct speech *speech;
    struct talk talk;
    uint32_t depth;       /* pages on the way */
    uint32_t batch;       /* pages of a request; divides the depth */
    bool each_slot_once;  /* slots 0, 1, 2 ... and no end before the last */
    uint64_t duration_ns; /* nothing is sent after so long, but what is on the way is waited for */
};

struct stream_result {
    uint64_t pages, elapsed_ns;
    uint64_t sent_bytes, heard_bytes;
    struct histogram latency_ns; /* from the request's making to its answer's last byte */
};

/* slots: more than STREAM_DEPTH_MAX. False after a line on stderr. */
bool stream_open(const char *address, uint32_t slots, struct stream **stream) FP_MUST_CHECK;
void stream_close(struct stream **stream);
int stream_socket(const struct stream *stream);

/* False after a line on stderr: a wrong byte, a refusal, or the connection broke. */
bool stream_run(struct stream *stream, const struct stream_plan *plan, struct draw *draw,
                struct stream_result *result) FP_MUST_CHECK;

#endif
