/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/pages/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/cli/interrupt.h"
#include "client/cli/say/json.h"
#include "client/cli/say/progress.h"

enum { PIECE_BYTES = 1 << 20, MOMENT_NS = 100000000, PATIENCE_MOMENTS = 5 };

struct shared {
    const struct transfer *transfer;
    uint32_t piece_pages;
    _Atomic uint64_t next; /* first page that nobody took */
    _Atomic uint64_t done;
    atomic_bool stop, interrupted;
    sem_t ended; /* posted by each worker */
};

struct worker {
    struct shared *shared;
    struct farpage *client;
    struct farpage_area *area;
    uint8_t *pages, *absent;
    struct farpage_op *ops;
    struct histogram latency;
    uint64_t absent_count, ended_ns, wire_ns;
    bool failed;
    struct complaint complaint;
    pthread_t thread;
};

/* --- one worker ----------------------------------------------------------------------------- */

static void worker_fini(struct worker *worker)
{
    farpage_disconnect(&worker->client);
    free(worker->pages);
    free(worker->absent);
    free(worker->ops);
}

static bool worker_init(struct worker *worker, struct shared *shared, const struct cli *cli)
{
    const struct transfer *transfer = shared->transfer;
    *worker = (struct worker){.shared = shared};
    histogram_init(&worker->latency);
    worker->pages = calloc(shared->piece_pages, transfer->page_bytes);
    worker->absent = calloc(shared->piece_pages, 1);
    worker->ops = calloc(shared->piece_pages, sizeof *worker->ops);
    if (worker->pages == NULL || worker->absent == NULL || worker->ops == NULL) {
        complain(&worker->complaint, "out of memory");
        return false;
    }
    struct farpage_options options = cli_options(cli, cli->server);
    enum farpage_status status = farpage_connect(&options, &worker->client);
    if (status == FARPAGE_OK) {
        status = cli_area_open(worker->client, transfer->area, 0, &worker->area);
    }
    if (status != FARPAGE_OK) {
        complain(&worker->complaint, "%s", farpage_error(worker->client));
        return false;
    }
    if (farpage_area_page_bytes(worker->area) == transfer->page_bytes) return true;
    complain(&worker->complaint, "area '%.64s' has pages of another size now", transfer->area);
    return false;
}

static bool fail_op(struct worker *worker, const struct farpage_op *op)
{
    static const char *const sentences[] = {
        [FARPAGE_ABSENT] = "nothing is stored there",
        [FARPAGE_CORRUPT] = "the page is corrupt: it does not match its checksum",
        [FARPAGE_NO_MEMORY] = "the server's memory limit is reached",
        [FARPAGE_RANGE] = "the area is too small",
    };
    const char *sentence = NULL;
    if ((unsigned)op->status < FP_COUNT_OF(sentences)) sentence = sentences[op->status];
    if (sentence == NULL) sentence = farpage_area_error(worker->area);
    const struct transfer *transfer = worker->shared->transfer;
    bool advise = op->status == FARPAGE_ABSENT && transfer->absent_advice != NULL;
    complain(&worker->complaint, "%s slot %llu of area '%.64s': %.120s%s%s", transfer->verb,
             (unsigned long long)op->slot, transfer->area, sentence, advise ? "; " : "",
             advise ? transfer->absent_advice : "");
    return false;
}

static bool judge_ops(struct worker *worker, uint32_t count)
{
    const struct transfer *transfer = worker->shared->transfer;
    for (uint32_t i = 0; i < count; i++) {
        const struct farpage_op *op = &worker->ops[i];
        bool absent = op->status == FARPAGE_ABSENT && transfer->absent_is_fine;
        worker->absent[i] = absent;
        if (op->status != FARPAGE_OK && !absent) return fail_op(worker, op);
        if (!absent) {
            histogram_add(&worker->latency, op->latency_ns);
            continue;
        }
        worker->absent_count++;
        memset(op->page, 0, transfer->page_bytes);
    }
    return true;
}

static bool move_piece(struct worker *worker, uint64_t first, uint32_t count)
{
    const struct transfer *transfer = worker->shared->transfer;
    struct piece piece = {first, count, transfer->page_bytes, worker->pages, worker->absent};
    for (uint32_t i = 0; i < count; i++) {
        worker->ops[i] = (struct farpage_op){
            .kind = transfer->kind,
            .slot = first + i,
            .page = worker->pages + (size_t)i * transfer->page_bytes,
        };
    }
    bool store = transfer->kind == FARPAGE_OP_STORE;
    if (store && !transfer->move(transfer->context, &piece, &worker->complaint)) return false;
    uint64_t begun_ns = clock_monotonic_ns();
    enum farpage_status status = farpage_batch(worker->area, worker->ops, count, transfer->depth);
    worker->wire_ns += clock_monotonic_ns() - begun_ns;
    if (status != FARPAGE_OK) {
        complain(&worker->complaint, "%s", farpage_area_error(worker->area));
        return false;
    }
    if (!judge_ops(worker, count)) return false;
    return store || transfer->move(transfer->context, &piece, &worker->complaint);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct shared *shared = worker->shared;
    uint64_t pages = shared->transfer->pages;
    while (!atomic_load(&shared->stop)) {
        uint64_t first = atomic_fetch_add(&shared->next, shared->piece_pages);
        if (first >= pages) break;
        uint32_t count = (uint32_t)min_u64(pages - first, shared->piece_pages);
        worker->failed = !move_piece(worker, first, count);
        if (!worker->failed) atomic_fetch_add(&shared->done, count);
        if (interrupt_came()) atomic_store(&shared->interrupted, true);
        if (worker->failed || atomic_load(&shared->interrupted)) atomic_store(&shared->stop, true);
    }
    worker->ended_ns = clock_monotonic_ns();
    (void)sem_post(&shared->ended);
    return NULL;
}

/* --- all of them ---------------------------------------------------------------------------- */

/* Waits a moment for a worker to end; true where one did. */
static bool one_ended(struct shared *shared)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += MOMENT_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return sem_timedwait(&shared->ended, &until) == 0;
}

static void run_workers(struct shared *shared, struct worker *workers,
                        struct transfer_result *result)
{
    const struct transfer *transfer = shared->transfer;
    uint32_t started = 0;
    uint64_t begun_ns = clock_monotonic_ns();
    for (; started < transfer->connections; started++) {
        struct worker *worker = &workers[started];
        int error = pthread_create(&worker->thread, NULL, work, worker);
        if (error == 0) continue;
        worker->failed = true;
        complain_errno(&worker->complaint, error, "cannot start a thread");
        atomic_store(&shared->stop, true);
        break;
    }
    struct progress progress;
    unsigned moments = 0; /* since a signal came */
    progress_init(&progress, transfer->verb, transfer->pages, transfer->page_bytes);
    for (uint32_t running = started; running > 0;) {
        if (one_ended(shared)) {
            running--;
            continue;
        }
        progress_show(&progress, atomic_load(&shared->done));
        if (transfer->abandon == NULL || !interrupt_came()) continue;
        if (++moments < PATIENCE_MOMENTS) continue;
        progress_fini(&progress);
        transfer->abandon(transfer->context);
        interrupt_release();
    }
    progress_fini(&progress);
    uint64_t ended_ns = begun_ns, wire_ns = 0;
    for (uint32_t i = 0; i < started; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        ended_ns = max_u64(ended_ns, workers[i].ended_ns);
        wire_ns = max_u64(wire_ns, workers[i].wire_ns);
    }
    uint64_t took_ns = transfer->time_wire_only ? wire_ns : ended_ns - begun_ns;
    result->seconds = (double)took_ns / 1e9;
    result->pages = atomic_load(&shared->done);
}

/* Gathers what the workers saw; false, with the reason, where one failed. */
static bool gather(const struct worker *workers, uint32_t count, struct transfer_result *result)
{
    const struct worker *failed = NULL;
    for (uint32_t i = 0; i < count; i++) {
        histogram_merge(&result->latency, &workers[i].latency);
        result->absent += workers[i].absent_count;
        if (workers[i].failed && failed == NULL) failed = &workers[i];
    }
    /* An empty slot is answered faster than a page. A piece that failed is in neither sum whole. */
    result->pages -= min_u64(result->pages, result->absent);
    if (failed != NULL) result->complaint = failed->complaint;
    return failed == NULL;
}

bool transfer_run(const struct cli *cli, const struct transfer *transfer,
                  struct transfer_result *result)
{
    *result = (struct transfer_result){0};
    struct shared shared = {.transfer = transfer};
    shared.piece_pages = (uint32_t)max_u64(PIECE_BYTES / transfer->page_bytes, transfer->depth);
    struct worker *workers = calloc(transfer->connections, sizeof *workers);
    if (workers == NULL || sem_init(&shared.ended, 0, 0) != 0) {
        complain(&result->complaint, "out of memory");
        free(workers);
        return false;
    }
    bool good = true;
    uint32_t made = 0;
    while (good && made < transfer->connections) {
        good = worker_init(&workers[made], &shared, cli);
        if (!good) result->complaint = workers[made].complaint;
        made++;
    }
    if (good) {
        run_workers(&shared, workers, result);
        good = gather(workers, made, result);
    }
    result->interrupted = atomic_load(&shared.interrupted);
    if (good && result->interrupted) {
        complain(&result->complaint, "interrupted");
        good = false;
    }
    for (uint32_t i = 0; i < made; i++) worker_fini(&workers[i]);
    free(workers);
    (void)sem_destroy(&shared.ended);
    return good;
}

double transfer_pages_per_second(const struct transfer_result *result)
{
    return result->seconds > 0 ? (double)result->pages / result->seconds : 0;
}

double transfer_mib_per_second(const struct transfer_result *result, uint32_t page_bytes)
{
    return transfer_pages_per_second(result) * page_bytes / (1 << 20);
}

void transfer_json(struct json *json, const struct transfer_result *result, uint32_t page_bytes)
{
    json_number(json, "pages", result->pages);
    json_number(json, "page_bytes", page_bytes);
    json_number(json, "absent", result->absent);
    json_real(json, "seconds", result->seconds);
    json_real(json, "pages_per_second", transfer_pages_per_second(result));
    json_real(json, "mib_per_second", transfer_mib_per_second(result, page_bytes));
    json_object(json, "latency_ns");
    json_number(json, "p50", histogram_quantile(&result->latency, 0.50));
    json_number(json, "p99", histogram_quantile(&result->latency, 0.99));
    json_number(json, "highest", result->latency.highest);
    json_object_end(json);
}
