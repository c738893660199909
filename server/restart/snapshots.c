/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between the thread and the session is one slice of bytes, and who has it: the thread fills it and
 * says so, the session takes it bit by bit and says so. Each waits for the other without a lock. */
#include "server/restart/snapshots.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/jobs/process.h"
#include "server/shared.h"
#include "storage/store/snapshot/store_snapshot.h"

enum { WAIT_MS = 100, NS_PER_MS = 1000000 };

enum turn { TURN_THREAD, TURN_SESSION, TURN_COMPLETE, TURN_BROKEN };

struct snapshot_job {
    struct shared *shared;
    struct store_scratch *scratch; /* the thread's */
    struct store_snapshot *snapshot;
    char (*names)[SNAPSHOT_NAME_BYTES_MAX + 1]; /* of exports that templates made */
    struct slice *exports;
    uint32_t export_count;
    uint64_t begun_ns;
    int wake_fd;
    _Atomic bool left; /* by its session */
    _Atomic int turn;  /* enum turn; whose the next two are */
    struct slice bytes;
    struct store_snapshot_progress progress;
};

static void sleep_some(const struct snapshot_job *job)
{
    struct pollfd wake = {.fd = job->wake_fd, .events = POLLIN};
    uint64_t ignored;
    if (poll(&wake, 1, WAIT_MS) != 1) return;
    ssize_t got = read(wake.fd, &ignored, sizeof ignored);
    (void)got; /* only clears it */
}

static void wake(const struct snapshot_job *job)
{
    const uint64_t one = 1;
    ssize_t put = write(job->wake_fd, &one, sizeof one);
    (void)put; /* it wakes by itself, too */
}

static void destroy(struct snapshot_job *job)
{
    store_snapshot_end(&job->snapshot, job->scratch);
    store_scratch_destroy(&job->scratch);
    if (job->wake_fd >= 0) close(job->wake_fd);
    free(job->names);
    free(job->exports);
    free(job);
}

static void step(struct snapshot_job *job)
{
    uint64_t unix_ns = clock_unix_ns();
    job->scratch->now_ms = shared_store_ms(job->shared, clock_monotonic_ns());
    job->scratch->unix_s = unix_ns / 1000000000;
    enum fp_status status =
        store_snapshot_step(job->snapshot, job->scratch, unix_ns, &job->bytes);
    job->progress = store_snapshot_progress(job->snapshot);
    bool goes_on = status == FP_OK && job->bytes.size_bytes > 0;
    /* Whoever hears that it is over may begin the next one at once. */
    if (!goes_on) store_snapshot_end(&job->snapshot, job->scratch);
    if (goes_on) atomic_store(&job->turn, TURN_SESSION);
    else atomic_store(&job->turn, status == FP_OK ? TURN_COMPLETE : TURN_BROKEN);
}

static void count(struct snapshot_counts *snapshots, const struct snapshot_job *job, bool complete)
{
    atomic_fetch_add(complete ? &snapshots->taken : &snapshots->given_up, 1);
    atomic_fetch_add(&snapshots->bytes, job->progress.bytes);
    if (complete) atomic_store(&snapshots->taken_unix_ns, clock_unix_ns());
}

static void *run_thread(void *opaque)
{
    struct snapshot_job *job = opaque;
    struct shared *shared = job->shared;
    process_thread_give_way();
    while (!atomic_load(&job->left)) {
        if (atomic_load(&job->turn) == TURN_THREAD) step(job);
        else sleep_some(job);
    }
    bool complete = atomic_load(&job->turn) == TURN_COMPLETE;
    log_event(shared->log, LOG_INFO, complete ? "snapshot taken" : "snapshot given up",
              log_number("pages", job->progress.pages), log_number("bytes", job->progress.bytes),
              log_number("took_ms", (clock_monotonic_ns() - job->begun_ns) / NS_PER_MS));
    count(&shared->snapshots, job, complete);
    destroy(job);
    atomic_fetch_sub(&shared->snapshots.running, 1); /* the last thing it does */
    return NULL;
}

static void add_name(void *context, const char *name)
{
    struct snapshot_job *job = context;
    if (job->export_count == SNAPSHOT_EXPORTS_MAX) return;
    char *copy = job->names[job->export_count];
    (void)snprintf(copy, sizeof *job->names, "%s", name);
    job->exports[job->export_count++] = slice_text(copy);
}

static bool take_names(struct snapshot_job *job)
{
    job->names = calloc(SNAPSHOT_EXPORTS_MAX, sizeof *job->names);
    job->exports = calloc(SNAPSHOT_EXPORTS_MAX, sizeof *job->exports);
    if (job->names == NULL || job->exports == NULL) return false;
    exports_each_made(&job->shared->exports, add_name, job);
    return true;
}

static enum fp_status begin(struct snapshot_job *job, struct store_scratch *scratch)
{
    struct store_snapshot_options options = {.kind = SNAPSHOT_OF_SERVING,
                                             .boot_id = job->shared->boot_id,
                                             .unix_ns = clock_unix_ns(),
                                             .release = FARPAGE_VERSION,
                                             .exports = job->exports,
                                             .export_count = job->export_count};
    job->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->wake_fd < 0) return FP_NO_MEMORY;
    enum fp_status status = store_scratch_create(job->shared->store, &job->scratch);
    if (status != FP_OK) return status;
    return store_snapshot_begin(job->shared->store, scratch, &options, &job->snapshot);
}

static enum fp_status start(struct snapshot_job *job)
{
    pthread_t thread;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return FP_NO_MEMORY;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    atomic_fetch_add(&job->shared->snapshots.running, 1);
    bool started = pthread_create(&thread, &attributes, run_thread, job) == 0;
    (void)pthread_attr_destroy(&attributes);
    if (!started) atomic_fetch_sub(&job->shared->snapshots.running, 1);
    return started ? FP_OK : FP_NO_MEMORY;
}

enum fp_status snapshot_begin(struct shared *shared, struct store_scratch *scratch,
                              struct snapshot_job **out)
{
    struct snapshot_job *job = calloc(1, sizeof *job);
    if (job == NULL) return FP_NO_MEMORY;
    job->shared = shared;
    job->wake_fd = -1;
    job->begun_ns = clock_monotonic_ns();
    enum fp_status status = take_names(job) ? begin(job, scratch) : FP_NO_MEMORY;
    if (status == FP_OK) {
        job->progress = store_snapshot_progress(job->snapshot);
        status = start(job);
    }
    if (status == FP_OK) *out = job;
    else destroy(job);
    return status;
}

enum fp_status snapshot_look(struct snapshot_job *job, struct snapshot_piece *piece)
{
    enum turn turn = (enum turn)atomic_load(&job->turn);
    *piece = (struct snapshot_piece){.complete = turn == TURN_COMPLETE};
    if (turn == TURN_BROKEN) return FP_NO_MEMORY;
    if (turn == TURN_THREAD) return FP_OK;
    piece->todo = job->progress.todo;
    piece->done = job->progress.done;
    if (turn == TURN_SESSION) piece->bytes = job->bytes;
    return FP_OK;
}

void snapshot_take(struct snapshot_job *job, size_t bytes)
{
    if (bytes == 0) return;
    fp_assert(atomic_load(&job->turn) == TURN_SESSION && bytes <= job->bytes.size_bytes);
    job->bytes = slice_of(job->bytes.bytes + bytes, job->bytes.size_bytes - bytes);
    if (job->bytes.size_bytes > 0) return;
    atomic_store(&job->turn, TURN_THREAD);
    wake(job);
}

void snapshot_leave(struct snapshot_job **job_ptr)
{
    struct snapshot_job *job = *job_ptr;
    if (job == NULL) return;
    *job_ptr = NULL;
    /* The thread may end, and the job with it, as soon as it sees that. */
    int fd = dup(job->wake_fd);
    atomic_store(&job->left, true);
    const uint64_t one = 1;
    ssize_t put = fd >= 0 ? write(fd, &one, sizeof one) : 0;
    (void)put;
    if (fd >= 0) close(fd);
}

void snapshots_wait(struct shared *shared)
{
    while (atomic_load(&shared->snapshots.running) > 0) (void)usleep(1000);
}
