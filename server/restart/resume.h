/* SPDX-License-Identifier: BSD-3-Clause
 * resume - when the server goes on with what another had: which file, what is told of it meanwhile,
 * and who may interrupt it. How it is read and written is restart.h's.
 *
 * Life: init -> begin, before anybody is served -> done, once all else is ready (the file is gone
 *       from here on) -> save, when all threads have ended -> fini
 *
 * A signal is heard meanwhile: while begin works it stops the server and leaves the file whole;
 * while save works it gives up what is being written, and all is lost.
 *
 * Threads: the main one. Blocks: on the disk, for as long as it takes.
 */
#ifndef FARPAGE_SERVER_RESUME_H
#define FARPAGE_SERVER_RESUME_H
#include <event2/event.h>

#include "server/notify.h"
#include "server/restart/restart.h"
#include "server/shared.h"

struct resume {
    struct shared *shared;
    struct event_base *base;     /* its signals are heard */
    const struct notify *notify;
    const bool *stopping;        /* a signal came */
    const char *restore;         /* --restore, or NULL */
    char path[CONFIG_PATH_BYTES]; /* server.restart_file; "": there is none */
    bool gives_up;               /* set by who hears a signal while `saving` */
    bool saving;
    /* private */
    struct restart taken;
    struct store_scratch *scratch;
    uint64_t begun_ns, told_ns;
    const char *what;
};

/* Only fills in; the store may not be there yet. */
void resume_init(struct resume *resume, struct shared *shared) FP_NONNULL(1, 2);
void resume_fini(struct resume *resume) FP_NONNULL(1);

/* Takes up what there is; gives shared its boot id where identities hold. FP_OK: also where there
 * was nothing, or *stopping. Else *reason. */
enum fp_status resume_begin(struct resume *resume, char reason[RESTART_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* The exports that templates had made come back. */
void resume_exports(struct resume *resume) FP_NONNULL(1);
/* Takes the file away. FP_IO: *reason. */
enum fp_status resume_done(struct resume *resume, char reason[RESTART_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2);
/* False: it could not be, and the log says why. */
bool resume_save(struct resume *resume) FP_MUST_CHECK FP_NONNULL(1);

#endif
