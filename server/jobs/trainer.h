/* SPDX-License-Identifier: BSD-3-Clause
 * trainer - trains dictionaries for areas, one after the other, on a thread that it starts for it.
 *
 * Life of a job: none -(ask)-> queued -> sampling -> training -> kept | no gain | failed
 *                none <-(drop)---------------------------------------'
 *
 * Sampling looks at one row of the area at a time, as any load would; training computes for up to
 * some seconds, on pages of its own, at a lower priority than everything else. The memory for it,
 * twice the sample and TRAINER_WORK_BYTES, is charged to the limit while it lasts. A dictionary is
 * kept where it makes pages that it has not seen more than 5 % smaller, packed with the algorithm
 * and level in use. The thread ends when no job is left.
 *
 * Threads: any. Blocks: trainer_destroy, until a training under way has ended, about a second.
 * Locks:   RANK_DICTIONARIES.
 */
#ifndef FARPAGE_SERVER_TRAINER_H
#define FARPAGE_SERVER_TRAINER_H
#include "base/status.h"
#include "server/shared.h"

enum {
    TRAINER_PAGES_MIN = 128,          /* with something in them: half train, half are measured */
    TRAINER_SAMPLE_BYTES = 8 << 20,   /* at most */
    TRAINER_WORK_BYTES = 12 << 20,    /* ZDICT's and the codecs' own */
    TRAINER_AUTO_BYTES = 8 << 20,     /* of objects; 5 % of it is more than a dictionary takes */
};

enum training_state {
    TRAINING_NONE,
    TRAINING_QUEUED,
    TRAINING_SAMPLING,
    TRAINING_TRAINING,
    TRAINING_KEPT,
    TRAINING_NO_GAIN,
    TRAINING_FAILED
};

struct training { /* the last job of an area, for people */
    enum training_state state;
    uint64_t bytes_max, pages;
    uint64_t tried_bytes; /* what the area's objects were when it was asked for, or dropped */
    double gain_percent;
    uint64_t changed_ns;  /* monotonic, when it came to this state */
    const char *reason;   /* why it failed: a constant line, else "" */
};

struct trainer;

enum fp_status trainer_create(struct shared *shared, struct trainer **trainer)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void trainer_destroy(struct trainer **trainer) FP_NONNULL(1);

/* Begins a job for the area; returns at once. FP_BUSY: it has one under way. FP_NO_MEMORY: the
 * system refuses a thread. A job of an area that is deleted fails, for want of pages. */
enum fp_status trainer_ask(struct trainer *trainer, struct area *area, uint64_t bytes_max)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* compressor.dictionaries: auto, from time to time. Begins a job for one area that has grown to
 * TRAINER_AUTO_BYTES of objects without a dictionary, or to twice of what it was when one was tried
 * or dropped. A dictionary that is kept is not replaced. */
void trainer_upkeep(struct trainer *trainer) FP_NONNULL(1);

void trainer_look(struct trainer *trainer, const struct area *area, struct training *training)
    FP_NONNULL(1, 2, 3);

/* Takes the area's dictionary away, and the job's traces. FP_BUSY: a job is under way. FP_ABSENT:
 * there was neither. */
enum fp_status trainer_drop(struct trainer *trainer, struct area *area)
    FP_MUST_CHECK FP_NONNULL(1, 2);

const char *training_state_text(enum training_state state); /* "no gain" */

#endif
