/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a client of a block device may send, through a connection of the server's own over a socket:
 * from the greeting on, or behind a handshake that is as it should be; in pieces.
 *   - of the answers nothing is asked but a greeting, and a sanitizer's silence;
 *   - when the client hangs up the connection is gone, and with it what it was charged for;
 *   - the store's own check holds. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "server/nbd/nbd_conn.h"

enum { PAGE = 4096, DISK_BYTES = 64 * PAGE, MEMORY = 24 << 20, PIECE_MAX = 1 << 16, ROUNDS = 400 };

static struct {
    struct shared *shared;
    struct worker *worker;
    struct log log;
} world;

static struct config config; /* zero but for what is needed */

static void make_world(void)
{
    struct store_options options = {.memory_limit_bytes = MEMORY,
                                    .page_bytes = PAGE,
                                    .allocator = "blocks",
                                    .compressor = {"lz4", 1, NULL}};
    char reason[EXPORTS_REASON_BYTES];
    struct shared *shared = aligned_alloc(64, (sizeof *shared + 63) / 64 * 64);
    fp_assert(shared != NULL);
    memset(shared, 0, sizeof *shared);
    fp_assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR); /* as the server does */
    world.shared = shared;
    log_init(&world.log, STDERR_FILENO, LOG_ERROR, LOG_TEXT);
    shared->log = &world.log;
    shared->counters = aligned_alloc(64, sizeof *shared->counters);
    shared->latencies = calloc(1, sizeof *shared->latencies);
    fp_assert(shared->counters != NULL && shared->latencies != NULL);
    memset(shared->counters, 0, sizeof *shared->counters);
    fp_assert(store_create(&options, &shared->store) == FP_OK);
    conns_init(&shared->conns);
    openers_init(&shared->openers);
    exports_init(&shared->exports);
    credentials_init(&shared->credentials);
    config.storage.page_bytes = PAGE;
    config.exports_count = 1;
    config.exports[0] = (struct config_export){.name = "disk",
                                               .size_bytes = DISK_BYTES,
                                               .recreate = CONFIG_RECREATE_ALWAYS};
    struct exports_place place = {shared->store, &shared->openers, shared->boot_id, &config};
    fp_assert(exports_start(&shared->exports, &place, reason) == FP_OK);
    atomic_store(&shared->settings.requests_per_turn, 8);
    atomic_store(&shared->settings.output_buffer_max_bytes, 1 << 16);
    shared->worker_count = 1;
    fp_assert(worker_create(shared, 0, &world.worker) == FP_OK);
}

/* --- one client ------------------------------------------------------------------------------- */

static int client_open(void)
{
    int ends[2];
    struct arrival arrival = {.protocol = CONFIG_NBD, .peer = "fuzz", .listener = "fuzz"};
    fp_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    arrival.fd = ends[1];
    fp_assert(conns_admit(&world.shared->conns, 10));
    atomic_fetch_add(&world.worker->conn_count, 1);
    worker_tick(world.worker);
    nbd_conn_open(world.worker, &arrival);
    return ends[0];
}

/* Lets the server do what it can now, and reads what it says. */
static void turn(int client)
{
    static uint8_t heard[1 << 16];
    fp_assert(event_base_loop(world.worker->base, EVLOOP_NONBLOCK) >= 0);
    while (client >= 0 && recv(client, heard, sizeof heard, 0) > 0) continue;
}

static void say(int client, struct slice bytes)
{
    while (bytes.size_bytes > 0 && world.worker->nbd_conns != NULL) {
        ssize_t sent = send(client, bytes.bytes, bytes.size_bytes, MSG_NOSIGNAL);
        if (sent > 0) bytes = slice_of(bytes.bytes + sent, bytes.size_bytes - (size_t)sent);
        turn(client);
    }
    turn(client);
}

/* Client flags, STRUCTURED_REPLY, SET_META_CONTEXT and GO, or GO alone. */
static void shake_hands(int client, bool structured)
{
    static const char structured_reply[] = "IHAVEOPT\0\0\0\10\0\0\0\0";
    static const char contexts[] = "IHAVEOPT\0\0\0\12\0\0\0\37\0\0\0\4disk\0\0\0\1\0\0\0\17"
                                   "base:allocation";
    static const char go[] = "IHAVEOPT\0\0\0\7\0\0\0\12\0\0\0\4disk\0\0";
    say(client, slice_of("\0\0\0\3", 4));
    if (structured) say(client, slice_of(structured_reply, sizeof structured_reply - 1));
    if (structured) say(client, slice_of(contexts, sizeof contexts - 1));
    say(client, slice_of(go, sizeof go - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    if (world.shared == NULL) make_world();
    if (size_bytes < 2) return 0;
    struct budget *budget = store_budget(world.shared->store);
    uint64_t before = budget_held(budget, BUDGET_CONNECTIONS);
    int client = client_open();
    uint8_t greeting[18];
    turn(-1);
    fp_assert(recv(client, greeting, sizeof greeting, 0) == sizeof greeting);
    fp_assert(memcmp(greeting, "NBDMAGICIHAVEOPT", 16) == 0);
    if ((data[0] & 1) != 0) shake_hands(client, (data[0] & 2) != 0);
    size_t piece = 1 + (size_t)data[1] * data[1];
    for (size_t at = 2; at < size_bytes; at += piece) {
        size_t size = size_bytes - at < piece ? size_bytes - at : piece;
        say(client, slice_of(data + at, size));
    }
    close(client);
    for (int i = 0; i < ROUNDS && world.worker->nbd_conns != NULL; i++) turn(-1);
    fp_assert(world.worker->nbd_conns == NULL);
    fp_assert(budget_held(budget, BUDGET_CONNECTIONS) == before);
    fp_assert(atomic_load(&world.shared->conns.count) == 0);
    fp_assert(world.shared->exports.connections == 0);
    store_check(world.shared->store);
    return 0;
}
