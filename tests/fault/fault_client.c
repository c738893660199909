/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A program's use of libfarpage, from connect to disconnect, played with each of its allocations
 * failing in turn. The server is a process of its own: its memory is not meant.
 *
 * Proven each time: no crash; each call succeeds or says FARPAGE_NO_MEMORY, with a sentence; what
 * was acknowledged is loaded byte for byte; and nothing is left behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "client/include/farpage.h"
#include "codec/dictionary.h"
#include "protocol/frame_batch.h"
#include "tests/fault/fault.h"
#include "tests/unit/client/fake_server.h"

enum { PAGE = 4096, SLOTS = 64, SAMPLES = 400 };

static struct {
    char address[128];
    pid_t server;
    int ends; /* ours; the server ends with it */
    enum farpage_pack pack;
} fixture;

static void make_page(uint8_t *page, unsigned number)
{
    uint32_t random = number * 2654435761u + 1;
    for (size_t i = 0; i < PAGE; i++) {
        random = random * 1664525u + 1013904223u;
        page[i] = (uint8_t)"the quick brown fox"[(i + (random >> 30)) % 19];
        if (number % 3 == 0) page[i] = (uint8_t)number;
    }
}

/* --- the server ----------------------------------------------------------------------------- */

static void serve(int told)
{
    static uint8_t samples[SAMPLES][PAGE];
    struct dictionary *dictionary;
    const char *reason;
    for (unsigned i = 0; i < SAMPLES; i++) make_page(samples[i], 3 * i + 1);
    struct dictionary_samples all = {samples[0], PAGE, SAMPLES};
    fp_assert(dictionary_train(&all, 4096, &dictionary, &reason) == FP_OK);
    struct slice bytes = dictionary_bytes(dictionary);
    struct fake_plan plan = {.codecs = (1u << FRAME_CODECS) - 1,
                             .hint = FRAME_CODEC_ZSTD,
                             .dictionary_id = dictionary_id(dictionary),
                             .dictionary = bytes.bytes,
                             .dictionary_bytes = bytes.size_bytes};
    struct fake_server *server = fake_server_create(&plan);
    const char *address = fake_server_address(server);
    fp_assert(write(told, address, strlen(address) + 1) == (ssize_t)strlen(address) + 1);
    char end;
    while (read(told, &end, 1) > 0) { /* until the other end is closed */
    }
    fake_server_destroy(&server);
    dictionary_release(&dictionary);
    exit(0);
}

/* --- the program ---------------------------------------------------------------------------- */

/* The sentence is asked for when the call has returned. */
static bool done(enum farpage_status status, struct farpage *const *client)
{
    fp_assert(status == FARPAGE_OK || status == FARPAGE_NO_MEMORY);
    fp_assert(status == FARPAGE_OK || client == NULL || farpage_error(*client)[0] != '\0');
    return status == FARPAGE_OK;
}

static bool area_done(enum farpage_status status, const struct farpage_area *area)
{
    fp_assert(status == FARPAGE_OK || farpage_area_error(area)[0] != '\0');
    return done(status, NULL);
}

static void ignore(void *context, const char *name, const char *value)
{
    (void)context, (void)name, (void)value;
}

static void one_by_one(struct farpage_area *area)
{
    uint8_t page[PAGE], back[PAGE];
    for (unsigned i = 0; i < 8; i++) {
        make_page(page, i);
        if (!area_done(farpage_store(area, i, page), area)) continue;
        memset(back, 0, PAGE);
        if (area_done(farpage_load(area, i, back), area)) {
            fp_assert(memcmp(page, back, PAGE) == 0);
        }
    }
    (void)area_done(farpage_invalidate(area, 0, 8), area);
}

static void many(struct farpage_area *area)
{
    static uint8_t pages[SLOTS][PAGE], back[SLOTS][PAGE];
    struct farpage_op ops[SLOTS];
    bool stored[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++) {
        make_page(pages[i], i);
        ops[i] = (struct farpage_op){.kind = FARPAGE_OP_STORE, .slot = i, .page = pages[i]};
    }
    fp_assert(farpage_batch(area, ops, SLOTS, 0) == FARPAGE_OK);
    for (unsigned i = 0; i < SLOTS; i++) {
        stored[i] = done(ops[i].status, NULL);
        ops[i] = (struct farpage_op){.kind = FARPAGE_OP_LOAD, .slot = i, .page = back[i]};
    }
    fp_assert(farpage_batch(area, ops, SLOTS, 0) == FARPAGE_OK);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (stored[i] && done(ops[i].status, NULL)) {
            fp_assert(memcmp(pages[i], back[i], PAGE) == 0);
        }
    }
}

static void map(struct farpage_area *area)
{
    struct farpage_map map;
    char text[4] = "";
    if (!area_done(farpage_map_page(area, 3, FARPAGE_MAP_RW, 0, &map), area)) return;
    if (area_done(farpage_map_write(area, &map, 5, 3, "abc"), area) &&
        area_done(farpage_map_read(area, &map, 5, 3, text), area)) {
        fp_assert(memcmp(text, "abc", 3) == 0);
    }
    (void)area_done(farpage_map_discard(area, &map), area);
}

static void play(void)
{
    struct farpage *client;
    struct farpage_area *area;
    struct farpage_options options = {.server = fixture.address, .timeout_ms = 20000};
    struct farpage_area_options wish = {
        .slots = SLOTS, .page_bytes = PAGE, .pack = fixture.pack};
    if (done(farpage_connect(&options, &client), &client)) {
        (void)done(farpage_stats(client, "", ignore, NULL), &client);
        (void)done(farpage_ping(client, NULL), &client);
        if (done(farpage_area_open(client, "swap", &wish, &area), &client)) {
            one_by_one(area);
            many(area);
            map(area);
        }
    }
    farpage_disconnect(&client);
}

static void start_server(void)
{
    int ends[2];
    fp_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    fixture.server = fork();
    fp_assert(fixture.server >= 0);
    if (fixture.server == 0) {
        close(ends[0]);
        serve(ends[1]);
    }
    close(ends[1]);
    fixture.ends = ends[0];
    fp_assert(read(ends[0], fixture.address, sizeof fixture.address) > 0);
}

static void end_server(void)
{
    int status;
    close(fixture.ends);
    fp_assert(waitpid(fixture.server, &status, 0) == fixture.server);
    fp_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    static const enum farpage_pack packs[] = {FARPAGE_PACK_OFF, FARPAGE_PACK_AUTO,
                                              FARPAGE_PACK_LZ4HC};
    start_server();
    for (size_t i = 0; i < sizeof packs / sizeof *packs; i++) {
        fixture.pack = packs[i];
        for (int for_good = 0; for_good < 2; for_good++) {
            uint64_t allocations = fault_each(play, for_good != 0);
            printf("pack %d, %s: %llu allocations\n", (int)packs[i],
                   for_good != 0 ? "for good" : "once", (unsigned long long)allocations);
        }
    }
    end_server();
    return 0;
}
