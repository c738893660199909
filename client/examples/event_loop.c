/* SPDX-License-Identifier: BSD-3-Clause
 * event_loop SERVER - an area in a program that has a loop of its own, here one around poll(): the
 * program goes on while pages are on their way, and each answer begins the next request. */
#include <farpage.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, PAGES = 500, AT_ONCE = 50 };

struct job {
    struct farpage_area *area;
    unsigned begun, answered, wrong;
};

struct errand { /* one page's way: out, back, compared */
    struct job *job;
    unsigned number;
    unsigned char page[PAGE], back[PAGE];
};

static void begin(struct job *job);

static void end(struct errand *errand, const struct farpage_answer *answer)
{
    struct job *job = errand->job;
    int good = answer->status == FARPAGE_OK && memcmp(errand->page, errand->back, PAGE) == 0;
    if (!good) fprintf(stderr, "page %u: %s\n", errand->number, answer->why);
    job->wrong += !good;
    job->answered++;
    free(errand);
    begin(job);
}

static void came_back(void *context, const struct farpage_answer *answer)
{
    end(context, answer);
}

static void went_out(void *context, const struct farpage_answer *answer)
{
    struct errand *errand = context;
    struct farpage_request load = {
        .kind = FARPAGE_OP_LOAD, .slot = errand->number, .page = errand->back};
    int good = answer->status == FARPAGE_OK &&
               farpage_submit(errand->job->area, &load, came_back, errand) == FARPAGE_OK;
    if (!good) end(errand, answer);
}

/* The page is the errand's, which lives until its answer: the library only borrows it. */
static void begin(struct job *job)
{
    if (job->begun == PAGES) return;
    struct errand *errand = malloc(sizeof *errand);
    if (errand == NULL) return;
    errand->job = job;
    errand->number = job->begun++;
    memset(errand->page, (int)errand->number, PAGE);
    memset(errand->back, 0, PAGE);
    struct farpage_request store = {
        .kind = FARPAGE_OP_STORE, .slot = errand->number, .page = errand->page,
        .timeout_ms = 2000};
    if (farpage_submit(job->area, &store, went_out, errand) == FARPAGE_OK) return;
    job->wrong++;
    job->answered++;
    free(errand);
}

/* The fd and what to wait for change with every call: they are asked for anew each time. */
static void run(struct job *job)
{
    for (unsigned i = 0; i < AT_ONCE; i++) begin(job);
    while (job->answered < job->begun) {
        struct pollfd entry = {farpage_area_fd(job->area), farpage_area_events(job->area), 0};
        int ready = poll(&entry, 1, farpage_area_wait_ms(job->area));
        farpage_area_process(job->area, ready > 0 ? entry.revents : 0);
    }
}

int main(int argc, char **argv)
{
    struct farpage *client;
    struct job job = {NULL, 0, 0, 0};
    struct farpage_options options = {.server = argc > 1 ? argv[1] : NULL};
    struct farpage_area_options wish = {
        .slots = PAGES, .page_bytes = PAGE, .flags = FARPAGE_AREA_TRANSIENT};
    if (farpage_connect(&options, &client) != FARPAGE_OK ||
        farpage_area_open(client, "example/event_loop", &wish, &job.area) != FARPAGE_OK) {
        fprintf(stderr, "event_loop: %s\n", farpage_error(client));
    } else {
        run(&job);
    }
    farpage_disconnect(&client);
    printf("%u pages went out and came back, %u of them wrong\n", job.answered, job.wrong);
    return job.answered == PAGES && job.wrong == 0 ? 0 : 1;
}
