/* SPDX-License-Identifier: BSD-3-Clause
 * compaction - the server's compaction as seen from here: what it did, and waiting for its end. */
#ifndef FARPAGE_CLIENT_CLI_COMPACTION_H
#define FARPAGE_CLIENT_CLI_COMPACTION_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"
#include "client/include/farpage.h"

/* The numbers the server tells; what it does not tell is 0. */
#define COMPACTION_FIGURES(X) \
    X(moved_objects)          \
    X(freed_pages)            \
    X(skipped_pinned)         \
    X(freeable_pages)         \
    X(runs)

struct compaction {
    bool running;
#define X(field) uint64_t field;
    COMPACTION_FIGURES(X)
#undef X
};

/* One compaction from before its start to its end. */
struct compaction_watch {
    struct farpage *client;
    /* Called after every look at the server; may be NULL. */
    void (*shown)(void *context, const struct compaction_watch *watch);
    void *context;
    struct compaction before, now;
    uint64_t begun_ns; /* when it was asked for */
    double seconds;    /* from then to the last look */
    bool interrupted;  /* a held signal came; the server goes on */
};

/* Starts one unless one is under way. The caller has set client, shown and context; `before` is the
 * state just before, so that differences are this one's. False with a reason. */
bool compaction_start(struct compaction_watch *watch, struct complaint *complaint) FP_MUST_CHECK;

/* Returns when none is running any more, or when a held signal came. False with a reason. */
bool compaction_wait(struct compaction_watch *watch, struct complaint *complaint) FP_MUST_CHECK;

/* What grew since the start; all of it where the server began to count again. */
uint64_t compaction_since(uint64_t before, uint64_t now);

#endif
