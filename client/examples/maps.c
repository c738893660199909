/* SPDX-License-Identifier: BSD-3-Clause
 * maps SERVER - a page is changed in part, whole or not at all: a reader keeps the page that it
 * mapped, and of two writers that had the same page before them, the second is told. */
#include <farpage.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 4096, SLOT = 7 };

/* Adds one to the number that the page begins with, as often as somebody else is faster. */
static enum farpage_status count_up(struct farpage_area *area)
{
    enum farpage_status status = FARPAGE_CHANGED;
    for (int tries = 0; tries < 10 && status == FARPAGE_CHANGED; tries++) {
        struct farpage_map map;
        unsigned number;
        status = farpage_map_page(area, SLOT, FARPAGE_MAP_RW, 30, &map);
        if (status != FARPAGE_OK) return status;
        status = farpage_map_read(area, &map, 0, sizeof number, &number);
        number++;
        if (status == FARPAGE_OK) {
            status = farpage_map_write(area, &map, 0, sizeof number, &number);
        }
        if (status == FARPAGE_OK) status = farpage_map_publish(area, &map);
    }
    return status;
}

static unsigned number_of(struct farpage_area *area)
{
    static unsigned char page[PAGE];
    unsigned number = 0;
    if (farpage_load(area, SLOT, page) == FARPAGE_OK) memcpy(&number, page, sizeof number);
    return number;
}

static int use(struct farpage_area *area)
{
    static unsigned char page[PAGE];
    struct farpage_map reader, writer;
    unsigned seen = 1;
    if (farpage_store(area, SLOT, page) != FARPAGE_OK) return 0;
    if (farpage_map_page(area, SLOT, FARPAGE_MAP_RO, 0, &reader) != FARPAGE_OK) return 0;
    for (int i = 0; i < 3; i++) {
        if (count_up(area) != FARPAGE_OK) return 0;
    }
    /* Three, for whoever loads it now; the reader still has what it mapped. */
    if (farpage_map_read(area, &reader, 0, sizeof seen, &seen) != FARPAGE_OK) return 0;
    if (farpage_map_discard(area, &reader) != FARPAGE_OK) return 0;
    if (number_of(area) != 3 || seen != 0) return 0;

    /* Somebody stores meanwhile: nothing of ours is. */
    if (farpage_map_page(area, SLOT, FARPAGE_MAP_RW, 0, &writer) != FARPAGE_OK) return 0;
    if (farpage_map_write(area, &writer, 100, 4, "ours") != FARPAGE_OK) return 0;
    page[0] = 9;
    if (farpage_store(area, SLOT, page) != FARPAGE_OK) return 0;
    return farpage_map_publish(area, &writer) == FARPAGE_CHANGED && number_of(area) == 9;
}

int main(int argc, char **argv)
{
    struct farpage *client;
    struct farpage_area *area;
    struct farpage_options options = {.server = argc > 1 ? argv[1] : NULL};
    struct farpage_area_options wish = {
        .slots = 64, .page_bytes = PAGE, .flags = FARPAGE_AREA_TRANSIENT};
    int good = farpage_connect(&options, &client) == FARPAGE_OK &&
               farpage_area_open(client, "example/maps", &wish, &area) == FARPAGE_OK;
    if (!good) {
        fprintf(stderr, "maps: %s\n", farpage_error(client));
    } else {
        good = use(area);
        if (!good) fprintf(stderr, "maps: %s\n", farpage_area_error(area));
    }
    farpage_disconnect(&client);
    if (good) printf("a reader kept its page, and a writer was told\n");
    return good ? 0 : 1;
}
