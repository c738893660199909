/* SPDX-License-Identifier: BSD-3-Clause
 * library_driver SERVER TIMEOUT_MS [FLAG...] - an area that does what it is told, a line at a time:
 *   store SLOT NUMBER   load SLOT   forget SLOT   map SLOT   publish   renew   connections
 *   many FIRST COUNT NUMBER   stores so many pages in one batch
 * Each is answered with the status in words, and what there is to it. FLAG: shared, transient.
 * FARPAGE_TLS_CA and FARPAGE_AUTH name files, as for the farpage command. */
#include <farpage.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, SLOTS = 4096, MANY_MAX = 1024 };

static unsigned char page[PAGE];
static struct farpage_map map;

static void fill(unsigned char *at, unsigned long slot, unsigned long number)
{
    for (size_t i = 0; i < PAGE; i++) at[i] = (unsigned char)(slot * 7 + number * 31 + i / 64);
}

static enum farpage_status many(struct farpage_area *area, unsigned long first,
                                unsigned long count, unsigned long number)
{
    static unsigned char pages[MANY_MAX][PAGE];
    static struct farpage_op ops[MANY_MAX];
    if (count > MANY_MAX) return FARPAGE_INVALID;
    for (unsigned long i = 0; i < count; i++) {
        fill(pages[i], first + i, number);
        ops[i] = (struct farpage_op){
            .kind = FARPAGE_OP_STORE, .slot = first + i, .page = pages[i]};
    }
    enum farpage_status status = farpage_batch(area, ops, count, 0);
    for (unsigned long i = 0; i < count && status == FARPAGE_OK; i++) status = ops[i].status;
    return status;
}

/* Which number the page of that slot was stored with; -1: it is none of ours. */
static long number_of(unsigned long slot)
{
    unsigned char expected[PAGE];
    for (long number = 0; number < 256; number++) {
        fill(expected, slot, (unsigned long)number);
        if (memcmp(page, expected, PAGE) == 0) return number;
    }
    return -1;
}

static void obey(struct farpage_area *area, const char *word, const unsigned long *numbers)
{
    enum farpage_status status = FARPAGE_INVALID;
    struct farpage_area_info info;
    long more = 0;
    if (strcmp(word, "store") == 0) {
        fill(page, numbers[0], numbers[1]);
        status = farpage_store(area, numbers[0], page);
    } else if (strcmp(word, "load") == 0) {
        status = farpage_load(area, numbers[0], page);
        if (status == FARPAGE_OK) more = number_of(numbers[0]);
    } else if (strcmp(word, "forget") == 0) {
        status = farpage_invalidate(area, numbers[0], 1);
    } else if (strcmp(word, "many") == 0) {
        status = many(area, numbers[0], numbers[1], numbers[2]);
    } else if (strcmp(word, "map") == 0) {
        status = farpage_map_page(area, numbers[0], FARPAGE_MAP_WO, 0, &map);
    } else if (strcmp(word, "publish") == 0) {
        status = farpage_map_publish(area, &map);
    } else if (strcmp(word, "renew") == 0) {
        status = farpage_area_renew(area);
    } else if (strcmp(word, "connections") == 0) {
        farpage_area_info(area, &info);
        status = FARPAGE_OK;
        more = (long)info.connections;
    }
    printf("%s %ld %s\n", farpage_status_text(status), more,
           status != FARPAGE_OK ? farpage_area_error(area) : "");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct farpage *client;
    struct farpage_area *area;
    if (argc < 3) return 2;
    struct farpage_options options = {.server = argv[1],
                                      .timeout_ms = (uint32_t)strtoul(argv[2], NULL, 10),
                                      .tls_ca = getenv("FARPAGE_TLS_CA"),
                                      .auth_file = getenv("FARPAGE_AUTH")};
    struct farpage_area_options wish = {.slots = SLOTS, .page_bytes = PAGE};
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "shared") == 0) wish.flags |= FARPAGE_AREA_SHARED;
        if (strcmp(argv[i], "transient") == 0) wish.flags |= FARPAGE_AREA_TRANSIENT;
    }
    int good = farpage_connect(&options, &client) == FARPAGE_OK &&
               farpage_area_open(client, "driven", &wish, &area) == FARPAGE_OK;
    printf("%s\n", good ? "ready" : farpage_error(client));
    fflush(stdout);
    char line[128], word[16];
    while (good && fgets(line, sizeof line, stdin) != NULL) {
        unsigned long numbers[3] = {0, 0, 0};
        if (sscanf(line, "%15s %lu %lu %lu", word, &numbers[0], &numbers[1], &numbers[2]) < 1) {
            continue;
        }
        obey(area, word, numbers);
    }
    farpage_disconnect(&client);
    return good ? 0 : 1;
}
