/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/nbd/traffic.h"

#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { PAGE = PAGESET_PAGE_BYTES };

struct request { /* on the way, or free */
    struct traffic *traffic;
    struct request *next_free;
    uint8_t *bytes; /* TRAFFIC_RUN_PAGES pages */
    uint64_t slot, begun_ns;
    bool reads;
    unsigned pages;
};

struct traffic {
    struct traffic_options options;
    struct nbd_handle *nbd;
    struct draw draw;
    uint16_t *versions; /* of each slot; 0: zeros */
    uint8_t *busy;      /* slots of a request that is on the way */
    struct request requests[TRAFFIC_DEPTH_MAX];
    struct request *free_ones;
    unsigned on_the_way;
    uint64_t next_slot; /* in order */
    bool failed;
    struct histogram latencies;
};

static bool complain(const char *what)
{
    fprintf(stderr, "nbd: %s: %s\n", what, nbd_get_error());
    return false;
}

struct traffic *traffic_create(const struct traffic_options *options)
{
    struct traffic *traffic = calloc(1, sizeof *traffic);
    if (traffic == NULL) return NULL;
    traffic->options = *options;
    draw_init(&traffic->draw, options->seed, options->slots, false);
    traffic->versions = calloc(options->slots, sizeof *traffic->versions);
    traffic->busy = calloc(options->slots, 1);
    traffic->nbd = nbd_create();
    bool good = traffic->versions != NULL && traffic->busy != NULL && traffic->nbd != NULL;
    for (unsigned i = 0; i < TRAFFIC_DEPTH_MAX && good; i++) {
        struct request *request = &traffic->requests[i];
        request->traffic = traffic;
        request->bytes = aligned_alloc(PAGE, TRAFFIC_RUN_PAGES * PAGE);
        request->next_free = traffic->free_ones;
        traffic->free_ones = request;
        good = request->bytes != NULL;
    }
    if (good && nbd_connect_uri(traffic->nbd, options->uri) == 0) return traffic;
    complain(options->uri);
    traffic_destroy(&traffic);
    return NULL;
}

void traffic_destroy(struct traffic **traffic_ptr)
{
    struct traffic *traffic = *traffic_ptr;
    if (traffic == NULL) return;
    if (traffic->nbd != NULL) (void)nbd_shutdown(traffic->nbd, 0);
    if (traffic->nbd != NULL) nbd_close(traffic->nbd);
    for (unsigned i = 0; i < TRAFFIC_DEPTH_MAX; i++) free(traffic->requests[i].bytes);
    free(traffic->versions);
    free(traffic->busy);
    free(traffic);
    *traffic_ptr = NULL;
}

/* --- one request ------------------------------------------------------------------------------ */

static const uint8_t *page_of(const struct traffic *traffic, uint64_t slot)
{
    static const uint8_t zeros[PAGE];
    const struct pageset *pages = traffic->options.pages;
    uint16_t version = traffic->versions[slot];
    return version == 0 ? zeros : pageset_page(pages, pageset_index(pages, slot, version));
}

static bool is_as_written(const struct traffic *traffic, const struct request *request)
{
    for (unsigned i = 0; i < request->pages; i++)
        if (memcmp(request->bytes + i * PAGE, page_of(traffic, request->slot + i), PAGE) != 0)
            return false;
    return true;
}

static int on_done(void *opaque, int *error)
{
    struct request *request = opaque;
    struct traffic *traffic = request->traffic;
    histogram_add(&traffic->latencies, clock_monotonic_ns() - request->begun_ns);
    if (*error != 0) {
        fprintf(stderr, "nbd: slot %llu: %s\n", (unsigned long long)request->slot,
                strerror(*error));
        traffic->failed = true;
    } else if (request->reads && !is_as_written(traffic, request)) {
        fprintf(stderr, "nbd: slot %llu: other bytes than were written\n",
                (unsigned long long)request->slot);
        traffic->failed = true;
    }
    memset(traffic->busy + request->slot, 0, request->pages);
    request->next_free = traffic->free_ones;
    traffic->free_ones = request;
    traffic->on_the_way--;
    return 1;
}

static bool is_busy(const struct traffic *traffic, uint64_t slot, unsigned pages)
{
    return memchr(traffic->busy + slot, 1, pages) != NULL;
}

static uint64_t choose(struct traffic *traffic, const struct traffic_plan *plan)
{
    uint64_t runs = traffic->options.slots / plan->run_pages, slot;
    if (plan->in_order) {
        slot = traffic->next_slot;
        traffic->next_slot = slot + plan->run_pages >= runs * plan->run_pages
                                 ? 0 : slot + plan->run_pages;
        return slot;
    }
    do slot = draw_key(&traffic->draw) / plan->run_pages * plan->run_pages;
    while (slot + plan->run_pages > traffic->options.slots ||
           is_busy(traffic, slot, plan->run_pages));
    return slot;
}

static bool begin(struct traffic *traffic, const struct traffic_plan *plan)
{
    struct request *request = traffic->free_ones;
    request->slot = choose(traffic, plan);
    if (is_busy(traffic, request->slot, plan->run_pages)) return true;
    traffic->free_ones = request->next_free;
    request->reads = plan->kind == TRAFFIC_READ;
    request->pages = plan->run_pages;
    memset(traffic->busy + request->slot, 1, request->pages);
    traffic->on_the_way++;
    for (unsigned i = 0; i < request->pages && !request->reads; i++) {
        traffic->versions[request->slot + i]++;
        memcpy(request->bytes + i * PAGE, page_of(traffic, request->slot + i), PAGE);
    }
    nbd_completion_callback done = {.callback = on_done, .user_data = request};
    size_t size = (size_t)request->pages * PAGE;
    request->begun_ns = clock_monotonic_ns();
    int64_t cookie =
        request->reads
            ? nbd_aio_pread(traffic->nbd, request->bytes, size, request->slot * PAGE, done, 0)
            : nbd_aio_pwrite(traffic->nbd, request->bytes, size, request->slot * PAGE, done, 0);
    return cookie >= 0 || complain("a request");
}

/* --- many ------------------------------------------------------------------------------------- */

static bool wait_for_some(struct traffic *traffic)
{
    return nbd_poll(traffic->nbd, -1) >= 0 || complain("poll");
}

bool traffic_run(struct traffic *traffic, const struct traffic_plan *plan,
                 struct traffic_result *result)
{
    uint64_t begun_ns = clock_monotonic_ns(), now_ns = begun_ns, started = 0;
    uint64_t all = traffic->options.slots / plan->run_pages;
    bool good = true;
    histogram_init(&traffic->latencies);
    traffic->next_slot = 0;
    while (good && !traffic->failed) {
        bool over = plan->duration_ns != 0 ? now_ns - begun_ns >= plan->duration_ns
                                           : started >= all;
        if (over && traffic->on_the_way == 0) break;
        if (!over && traffic->on_the_way < plan->depth) {
            unsigned before = traffic->on_the_way;
            good = begin(traffic, plan);
            started += traffic->on_the_way > before;
            if (traffic->on_the_way > before) continue;
        }
        good = good && wait_for_some(traffic);
        now_ns = clock_monotonic_ns();
    }
    result->duration_ns = clock_monotonic_ns() - begun_ns;
    result->requests = traffic->latencies.count;
    result->p50_us = (double)histogram_quantile(&traffic->latencies, 0.5) / 1000;
    result->p99_us = (double)histogram_quantile(&traffic->latencies, 0.99) / 1000;
    return good && !traffic->failed;
}
