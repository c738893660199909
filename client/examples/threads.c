/* SPDX-License-Identifier: BSD-3-Clause
 * threads SERVER - one client, eight threads, an area each: each area has a connection of its own,
 * and nothing is locked on a page's way. */
#include <farpage.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 4096, PAGES = 200, THREADS = 8 };

struct worker {
    struct farpage *client;
    unsigned number;
    int good;
    char why[256]; /* farpage_error() is for the thread that has the client */
    pthread_t thread;
};

static int use(struct worker *worker, struct farpage_area *area)
{
    unsigned char page[PAGE], back[PAGE];
    for (unsigned i = 0; i < PAGES; i++) {
        memset(page, (int)(i + worker->number), PAGE);
        if (farpage_store(area, i, page) != FARPAGE_OK) return 0;
    }
    for (unsigned i = 0; i < PAGES; i++) {
        memset(page, (int)(i + worker->number), PAGE);
        if (farpage_load(area, i, back) != FARPAGE_OK) return 0;
        if (memcmp(page, back, PAGE) != 0) return 0;
    }
    return 1;
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct farpage_area *area;
    struct farpage_area_options wish = {.slots = PAGES,
                                        .page_bytes = PAGE,
                                        .flags = FARPAGE_AREA_TRANSIENT,
                                        .why = worker->why,
                                        .why_bytes = sizeof worker->why};
    char name[32];
    snprintf(name, sizeof name, "example/threads-%u", worker->number);
    if (farpage_area_open(worker->client, name, &wish, &area) != FARPAGE_OK) return NULL;
    worker->good = use(worker, area);
    if (!worker->good) snprintf(worker->why, sizeof worker->why, "%s", farpage_area_error(area));
    farpage_area_close(&area);
    return NULL;
}

int main(int argc, char **argv)
{
    struct farpage *client;
    struct farpage_options options = {.server = argc > 1 ? argv[1] : NULL};
    struct worker workers[THREADS];
    int good = farpage_connect(&options, &client) == FARPAGE_OK;
    if (!good) fprintf(stderr, "threads: %s\n", farpage_error(client));
    unsigned started = 0;
    while (good && started < THREADS) {
        workers[started] = (struct worker){.client = client, .number = started};
        good = pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0;
        started += good != 0;
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        if (!workers[i].good) fprintf(stderr, "thread %u: %s\n", i, workers[i].why);
        good = good && workers[i].good;
    }
    farpage_disconnect(&client);
    if (good) printf("%d threads, %d pages each\n", THREADS, PAGES);
    return good ? 0 : 1;
}
