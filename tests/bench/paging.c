/* SPDX-License-Identifier: BSD-3-Clause
 * paging - what the pager's policies are worth on the touches of programs: how many pages come from
 * the server, how many from staging, and what is fetched ahead.
 *
 * A pager is played with client/uffd/queue.h and trend.h as the real one uses them: it learns of a
 * touch only where the page is not mapped. Staging takes `--staging` percent of what may be local.
 * Beside it: the same with one queue in the order of coming, and LRU, which sees every touch, and
 * which the kernel's own paging is nearer to. First touches are not counted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client/uffd/queue.h"
#include "client/uffd/trend.h"
#include "tests/bench/eviction_models.h"
#include "tests/bench/paging_traces.h"

enum where { UNTOUCHED, MAPPED, STAGED, AWAY };

struct page {
    uint8_t where, stamp;
    bool ahead;   /* fetched ahead and not touched since, which no real pager knows */
    uint32_t left; /* its number in staging, so that a stale entry is told from a good one */
};

struct counts {
    uint64_t remote, staged, fetched_ahead, used_ahead;
    struct trend trend;
};

struct pager {
    struct page *pages;
    uint32_t page_count, local, staging_max;
    struct queue queue;
    uint32_t *staging; /* a ring of 2^n */
    uint32_t staging_mask, staging_first, staging_end;
    uint64_t mapped, staged;
    bool one_queue;
    struct counts counts;
};

/* --- going ------------------------------------------------------------------------------------ */

static void stage(struct pager *pager, struct queue_run run)
{
    for (uint32_t i = 0; i < run.count; i++) {
        struct page *page = &pager->pages[run.first + i];
        page->where = STAGED;
        page->left = pager->staging_end;
        pager->staging[pager->staging_end++ & pager->staging_mask] = (uint32_t)run.first + i;
    }
    pager->mapped -= run.count;
    pager->staged += run.count;
}

static void send_oldest(struct pager *pager)
{
    for (;;) {
        uint32_t number = pager->staging_first++;
        struct page *page = &pager->pages[pager->staging[number & pager->staging_mask]];
        if (page->where != STAGED || page->left != number) continue;
        page->where = AWAY;
        page->stamp = queue_stamp(&pager->queue);
        page->ahead = false;
        pager->staged--;
        return;
    }
}

static void make_room(struct pager *pager)
{
    while (pager->mapped + pager->staged > pager->local) {
        struct queue_run run;
        while (pager->staged <= pager->staging_max && queue_take(&pager->queue, 16, &run))
            stage(pager, run);
        send_oldest(pager);
    }
}

/* --- coming ----------------------------------------------------------------------------------- */

static void come(struct pager *pager, uint64_t number, enum queue_part part)
{
    struct page *page = &pager->pages[number];
    if (page->where == STAGED) pager->staged--;
    page->where = MAPPED;
    pager->mapped++;
    if (pager->one_queue) part = QUEUE_FRESH;
    fp_assert(queue_push(&pager->queue, part, number, 1));
}

static void fetch_ahead(struct pager *pager, struct trend_run run)
{
    for (uint32_t i = 0; i < run.count; i++) {
        uint64_t number = run.first + (uint64_t)run.stride * i;
        if (number >= pager->page_count || pager->pages[number].where != AWAY) continue;
        come(pager, number, queue_part_walked(&pager->queue, number));
        pager->pages[number].ahead = true;
        pager->counts.fetched_ahead++;
    }
}

static void touch(struct pager *pager, uint32_t number)
{
    struct page *page = &pager->pages[number];
    struct trend_run run = {0};
    enum queue_part part = QUEUE_FRESH;
    if (page->ahead) pager->counts.used_ahead++;
    page->ahead = false;
    if (page->where == MAPPED) return;
    if (page->where == STAGED) {
        pager->counts.staged++;
        part = QUEUE_KEPT;
    }
    if (page->where == AWAY) {
        pager->counts.remote++;
        part = queue_part_back(&pager->queue, page->stamp);
        run = trend_fault(&pager->counts.trend, number, pager->local / 8);
    }
    come(pager, number, part);
    fetch_ahead(pager, run);
    make_room(pager);
}

struct plan {
    uint32_t local, staging_percent, window;
    bool one_queue;
};

static struct counts play(const struct touches *touches, struct plan plan)
{
    struct pager pager = {.page_count = touches->page_count, .local = plan.local,
                          .staging_max = plan.local * plan.staging_percent / 100,
                          .one_queue = plan.one_queue, .staging_mask = (1u << 20) - 1};
    pager.pages = calloc(touches->page_count, sizeof *pager.pages);
    pager.staging = malloc(((size_t)pager.staging_mask + 1) * sizeof *pager.staging);
    if (pager.pages == NULL || pager.staging == NULL) abort();
    queue_init(&pager.queue, plan.local);
    trend_init(&pager.counts.trend, plan.window);
    for (size_t i = 0; i < touches->length; i++) touch(&pager, touches->pages[i]);
    queue_fini(&pager.queue);
    free(pager.pages);
    free(pager.staging);
    return pager.counts;
}

static uint64_t play_lru(const struct touches *touches, uint32_t local)
{
    uint32_t *sizes = malloc(touches->page_count * sizeof *sizes);
    uint8_t *touched = calloc(touches->page_count, 1);
    if (sizes == NULL || touched == NULL) abort();
    for (uint32_t i = 0; i < touches->page_count; i++) sizes[i] = 1;
    struct model *model = policy_lru.create(touches->page_count, sizes, local);
    if (model == NULL) abort();
    uint64_t missed = 0;
    for (size_t i = 0; i < touches->length; i++) {
        uint32_t page = touches->pages[i];
        missed += !policy_lru.ask(model, page) && touched[page];
        touched[page] = 1;
    }
    policy_lru.destroy(model);
    free(touched);
    free(sizes);
    return missed;
}

/* --- the table -------------------------------------------------------------------------------- */

static void write_row(const struct touches *touches, uint32_t percent, uint32_t staging)
{
    uint32_t local = (uint32_t)((uint64_t)touches->page_count * percent / 100);
    struct plan plan = {.local = local, .staging_percent = staging, .one_queue = true};
    struct counts one = play(touches, plan);
    plan.one_queue = false;
    struct counts two = play(touches, plan);
    plan.window = 32;
    struct counts ahead = play(touches, plan);
    double right = ahead.fetched_ahead == 0
                       ? 0 : 100.0 * (double)ahead.used_ahead / (double)ahead.fetched_ahead;
    uint64_t judged = ahead.trend.used + ahead.trend.wasted;
    printf("| %s | %u %% | %" PRIu64 " | %" PRIu64 " + %" PRIu64 " | %" PRIu64 " + %" PRIu64
           " | %" PRIu64 " + %" PRIu64 " | %" PRIu64 " | %.0f %% | %.0f %% |\n",
           touches->name, percent, play_lru(touches, local), one.remote, one.staged, two.remote,
           two.staged, ahead.remote, ahead.staged, ahead.fetched_ahead, right,
           judged == 0 ? 0 : 100.0 * (double)ahead.trend.used / (double)judged);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint32_t staging = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 12;
    if (argc > 2 || staging == 0 || staging > 90) {
        fprintf(stderr, "usage: paging [STAGING_PERCENT]\n");
        return 2;
    }
    printf("Faults: of pages from the server + from staging (%u %% of the local pages).\n\n"
           "| touches of | local | LRU | one queue | two queues | and fetching ahead | pages ahead "
           "| used | by trend |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n", staging);
    for (unsigned i = 0; i < PAGING_TRACES; i++) {
        struct touches touches;
        if (!touches_make(i, &touches)) abort();
        for (uint32_t percent = 75; percent >= 25; percent -= 25)
            write_row(&touches, percent, staging);
        touches_free(&touches);
    }
    return 0;
}
