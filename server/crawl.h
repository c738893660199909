/* SPDX-License-Identifier: BSD-3-Clause
 * crawl - the job of looking at all items now and ending those that have died: asked for by
 * anybody, done by the maintainer. Without it the crawler takes its time.
 *
 * Threads: any may ask; begin and end are the maintainer's. Lock-free. Blocks: never.
 */
#ifndef FARPAGE_SERVER_CRAWL_H
#define FARPAGE_SERVER_CRAWL_H
#include <stdatomic.h>
#include <stdbool.h>

enum crawl_state { CRAWL_IDLE, CRAWL_ASKED, CRAWL_RUNNING };

struct crawl {
    _Atomic int state; /* enum crawl_state */
};

/* False: one is asked for or under way. */
static inline bool crawl_ask(struct crawl *crawl)
{
    int idle = CRAWL_IDLE;
    return atomic_compare_exchange_strong(&crawl->state, &idle, CRAWL_ASKED);
}

static inline bool crawl_begin(struct crawl *crawl) /* false: nobody has asked */
{
    int asked = CRAWL_ASKED;
    return atomic_compare_exchange_strong(&crawl->state, &asked, CRAWL_RUNNING);
}

static inline bool crawl_runs(const struct crawl *crawl)
{
    return atomic_load(&crawl->state) == CRAWL_RUNNING;
}

static inline void crawl_end(struct crawl *crawl)
{
    atomic_store(&crawl->state, CRAWL_IDLE);
}

#endif
