/* SPDX-License-Identifier: BSD-3-Clause
 * blocking SERVER - a page goes out and comes back; then a batch of them; then the server is asked
 * how it goes. What can go wrong is said at each step, and where nobody can help, shown. */
#include <farpage.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 4096, SLOTS = 1 << 20, PAGES = 64 };

static unsigned char pages[PAGES][PAGE], back[PAGES][PAGE];

static int batch(struct farpage_area *area)
{
    struct farpage_op ops[PAGES];
    for (unsigned i = 0; i < PAGES; i++) {
        memset(pages[i], 'a' + (int)(i % 26), PAGE);
        ops[i] = (struct farpage_op){.kind = FARPAGE_OP_STORE, .slot = i, .page = pages[i]};
    }
    if (farpage_batch(area, ops, PAGES, 0) != FARPAGE_OK) return 0;
    for (unsigned i = 0; i < PAGES; i++) {
        if (ops[i].status != FARPAGE_OK) return 0; /* this page, and why: NO_MEMORY, QUOTA, ... */
        ops[i] = (struct farpage_op){.kind = FARPAGE_OP_LOAD, .slot = i, .page = back[i]};
    }
    if (farpage_batch(area, ops, PAGES, 0) != FARPAGE_OK) return 0;
    return memcmp(pages, back, sizeof pages) == 0;
}

static int use(struct farpage_area *area)
{
    unsigned char page[PAGE] = "a page is as many bytes as its area says";
    enum farpage_status status = farpage_store(area, 7, page);
    if (status == FARPAGE_OK) status = farpage_load(area, 7, back[0]);
    if (status == FARPAGE_OK) status = farpage_invalidate(area, 7, 1);
    if (status != FARPAGE_OK) return 0;
    if (memcmp(page, back[0], PAGE) != 0) return 0;
    /* What is not there is told apart from what went wrong. */
    return farpage_load(area, 7, back[0]) == FARPAGE_ABSENT && batch(area);
}

static void show(void *context, const char *name, const char *value)
{
    (void)context;
    if (strcmp(name, "farpage_page_stores") == 0) printf("%s %s\n", name, value);
}

int main(int argc, char **argv)
{
    struct farpage *client;
    struct farpage_area *area = NULL;
    struct farpage_options options = {.server = argc > 1 ? argv[1] : NULL, .timeout_ms = 5000};
    /* Our buffers have one size, so we say so: an area of other pages is not opened. */
    struct farpage_area_options wish = {
        .slots = SLOTS, .page_bytes = PAGE, .flags = FARPAGE_AREA_TRANSIENT};
    int good = farpage_connect(&options, &client) == FARPAGE_OK &&
               farpage_area_open(client, "example/blocking", &wish, &area) == FARPAGE_OK &&
               farpage_stats(client, NULL, show, NULL) == FARPAGE_OK;
    if (!good) {
        fprintf(stderr, "blocking: %s\n", farpage_error(client));
    } else {
        good = use(area);
        if (!good) fprintf(stderr, "blocking: %s\n", farpage_area_error(area));
    }
    farpage_disconnect(&client);
    if (good) printf("%d pages went out and came back\n", PAGES + 1);
    return good ? 0 : 1;
}
