/* SPDX-License-Identifier: BSD-3-Clause
 * follower - a program that keeps its pages on a server and does not care which one.
 *
 *   follower SERVER AREA SLOTS
 *
 * Creates the area, alone in it; stores, loads and forgets at random, and compares what it loads
 * with what it stored, until standard input ends; then loads all. Any answer but a good one, or a
 * page that differs, ends it with 1 and a line. At the end it tells how much it did and how long it
 * had to wait at most.
 *
 * Asked to take its pages, it does: it loads, compares and forgets all, and stores none from there
 * on. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/number.h"
#include "client/include/farpage.h"

enum { PAGE_BYTES = 4096, OPS_PER_LOOK = 16 };

struct follower {
    struct farpage_area *area;
    uint64_t slots, state, operations, waited_ns;
    uint32_t *versions; /* of each slot; 0: nothing is stored */
    bool asked;         /* to take its pages */
    bool taken;
};

static int unuse(void *context, uint64_t stored_pages, uint32_t seconds)
{
    struct follower *follower = context;
    (void)stored_pages, (void)seconds;
    follower->asked = true;
    return 1;
}

static uint64_t draw(struct follower *follower)
{
    follower->state = follower->state * 6364136223846793005ull + 1442695040888963407ull;
    return follower->state >> 33;
}

static void make_page(uint64_t slot, uint32_t version, uint8_t page[PAGE_BYTES])
{
    memset(page, (int)(slot % 251), PAGE_BYTES);
    snprintf((char *)page, 64, "slot %llu version %u", (unsigned long long)slot, version);
}

static _Noreturn void give_up(const struct follower *follower, const char *what, uint64_t slot)
{
    fprintf(stderr, "follower: %s slot %llu: %s\n", what, (unsigned long long)slot,
            farpage_area_error(follower->area));
    exit(1);
}

static void compare(struct follower *follower, uint64_t slot)
{
    uint8_t want[PAGE_BYTES], got[PAGE_BYTES];
    enum farpage_status status = farpage_load(follower->area, slot, got);
    bool absent = follower->versions[slot] == 0;
    if (status != (absent ? FARPAGE_ABSENT : FARPAGE_OK)) give_up(follower, "loading", slot);
    if (absent) return;
    make_page(slot, follower->versions[slot], want);
    if (memcmp(want, got, sizeof want) != 0) give_up(follower, "another page is in", slot);
}

static void change(struct follower *follower, uint64_t slot)
{
    uint8_t page[PAGE_BYTES];
    if (draw(follower) % 8 == 0) {
        if (farpage_invalidate(follower->area, slot, 1) != FARPAGE_OK)
            give_up(follower, "forgetting", slot);
        follower->versions[slot] = 0;
        return;
    }
    make_page(slot, ++follower->versions[slot], page);
    if (farpage_store(follower->area, slot, page) != FARPAGE_OK)
        give_up(follower, "storing", slot);
}

static void take_all(struct follower *follower)
{
    for (uint64_t slot = 0; slot < follower->slots; slot++) {
        compare(follower, slot);
        follower->versions[slot] = 0;
    }
    if (farpage_invalidate(follower->area, 0, follower->slots) != FARPAGE_OK)
        give_up(follower, "forgetting all from", 0);
    follower->asked = false;
    follower->taken = true;
}

static bool input_ended(void)
{
    struct pollfd entry = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&entry, 1, 0) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void work(struct follower *follower)
{
    while (!input_ended()) {
        for (int i = 0; i < OPS_PER_LOOK; i++) {
            uint64_t slot = draw(follower) % follower->slots, begun_ns = clock_monotonic_ns();
            if (follower->taken || draw(follower) % 2 == 0) compare(follower, slot);
            else change(follower, slot);
            uint64_t took_ns = clock_monotonic_ns() - begun_ns;
            if (took_ns > follower->waited_ns) follower->waited_ns = took_ns;
            follower->operations++;
        }
        if (follower->asked) take_all(follower);
    }
    for (uint64_t slot = 0; slot < follower->slots; slot++) compare(follower, slot);
}

int main(int argc, char **argv)
{
    struct farpage *client;
    struct follower follower = {.state = 1};
    if (argc != 4 || !number_u64(slice_text(argv[3]), &follower.slots)) return 2;
    struct farpage_options options = {.server = argv[1], .flags = FARPAGE_FOLLOW_MOVES};
    struct farpage_area_options wish = {
        .slots = follower.slots, .unuse = unuse, .unuse_context = &follower};
    follower.versions = calloc(follower.slots, sizeof *follower.versions);
    if (follower.versions == NULL) return 1;
    if (farpage_connect(&options, &client) != FARPAGE_OK ||
        farpage_area_open(client, argv[2], &wish, &follower.area) != FARPAGE_OK) {
        fprintf(stderr, "follower: %s\n", farpage_error(client));
        return 1;
    }
    puts("ready");
    fflush(stdout);
    work(&follower);
    struct farpage_area_info info;
    farpage_area_info(follower.area, &info);
    printf("%llu operations, %llu connections, waited %llu ms at most\n",
           (unsigned long long)follower.operations, (unsigned long long)info.connections,
           (unsigned long long)(follower.waited_ns / 1000000));
    farpage_disconnect(&client);
    free(follower.versions);
    return 0;
}
