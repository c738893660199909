/* SPDX-License-Identifier: BSD-3-Clause
 *
 *   stored pages --a row at a time--> sample --dictionary_gain_try--> kept, or why not
 *
 * Every job that is asked for is done, in the order of the areas. The thread says under the lock
 * that it is done, and is joined by whoever starts the next, or by trainer_destroy. */
#include "server/jobs/trainer.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/clock.h"
#include "codec/compressor_text.h"
#include "codec/dictionary_gain.h"
#include "storage/store/page/store_area.h"
#include "storage/store/store_dictionary.h"

enum { NICENESS = 10 };

struct trainer {
    struct shared *shared;
    struct lock lock;
    pthread_t thread;
    bool started; /* and not joined */
    bool working; /* false: the thread does not look for jobs any more */
    _Atomic bool stopping;
    struct {
        uint64_t generation; /* whose it is: areas come and go, and others take their places */
        struct training training;
    } places[STORE_AREAS_MAX]; /* by the area's index */
};

struct job {
    struct trainer *trainer;
    struct area *area; /* a use */
    uint64_t bytes_max;
    struct store_sampler sampler;
    struct dictionary_gain gain;
};

static bool is_under_way(enum training_state state)
{
    return state == TRAINING_QUEUED || state == TRAINING_SAMPLING || state == TRAINING_TRAINING;
}

/* What there is of this area, nothing yet where its place was another's. */
static struct training *training_locked(struct trainer *trainer, const struct area *area)
{
    lock_assert_held(&trainer->lock);
    if (trainer->places[area->index].generation != area->generation) {
        trainer->places[area->index].generation = area->generation;
        trainer->places[area->index].training = (struct training){.reason = ""};
    }
    return &trainer->places[area->index].training;
}

/* --- one job ---------------------------------------------------------------------------------- */

static void enter(const struct job *job, enum training_state state, const char *reason)
{
    struct trainer *trainer = job->trainer;
    lock_take(&trainer->lock);
    struct training *training = training_locked(trainer, job->area);
    training->state = state;
    training->reason = reason;
    training->pages = job->sampler.count;
    training->gain_percent = job->gain.percent;
    training->changed_ns = clock_monotonic_ns();
    lock_drop(&trainer->lock);
}

/* NULL, or why there is no sample. */
static const char *sample(struct job *job)
{
    struct store_scratch *scratch = NULL;
    struct trainer *trainer = job->trainer;
    if (store_scratch_create(trainer->shared->store, &scratch) != FP_OK) return "out of memory";
    while (!store_sampler_step(trainer->shared->store, scratch, &job->sampler) &&
           !atomic_load(&trainer->stopping))
        sched_yield(); /* whoever waits for the same stripe goes first */
    store_scratch_destroy(&scratch);
    if (atomic_load(&trainer->stopping)) return "the server stops";
    return job->sampler.count >= TRAINER_PAGES_MIN ? NULL : "too few pages are left";
}

/* What the job comes to; *reason where it fails. */
static enum training_state learn(struct job *job, const char **reason)
{
    struct store *store = job->trainer->shared->store;
    struct compressor_config config;
    struct dictionary *kept = NULL;
    struct dictionary_samples pages = {job->sampler.pages, job->area->page_bytes,
                                       job->sampler.count};
    compressor_pool_current(store_compressors(store), &config);
    enum fp_status status =
        dictionary_gain_try(&pages, &config, job->bytes_max, &kept, &job->gain);
    if (status == FP_INVALID) return TRAINING_NO_GAIN; /* nothing to learn: gain 0 */
    if (status == FP_OK && kept == NULL) return TRAINING_NO_GAIN;
    if (status == FP_OK) status = store_dictionary_keep(store, job->area, kept);
    dictionary_release(&kept);
    if (status == FP_OK) return TRAINING_KEPT;
    *reason = status == FP_BUSY ? "every seat of the compressor still holds objects"
                                : "out of memory";
    return TRAINING_FAILED;
}

static enum training_state work_with(struct job *job, const char **reason)
{
    enter(job, TRAINING_SAMPLING, "");
    *reason = sample(job);
    if (*reason != NULL) return TRAINING_FAILED;
    *reason = "";
    enter(job, TRAINING_TRAINING, "");
    return learn(job, reason);
}

static enum training_state work(struct job *job, const char **reason)
{
    struct budget *budget = store_budget(job->trainer->shared->store);
    const struct area_counters *counters = &job->area->counters;
    uint64_t filled = atomic_load(&counters->stored) - atomic_load(&counters->same_filled);
    uint64_t wanted = min_u64(filled, TRAINER_SAMPLE_BYTES / job->area->page_bytes);
    uint64_t bytes = wanted * job->area->page_bytes, charged = 2 * bytes + TRAINER_WORK_BYTES;
    *reason = "storage.memory_limit leaves no room for training";
    if (!budget_charge(budget, BUDGET_FIXED, charged)) return TRAINING_FAILED;
    enum training_state state = TRAINING_FAILED;
    *reason = "out of memory";
    uint8_t *pages = malloc(bytes > 0 ? bytes : 1);
    job->sampler =
        (struct store_sampler){.area = job->area, .pages = pages, .wanted = (size_t)wanted};
    if (pages != NULL) state = work_with(job, reason);
    free(pages);
    budget_return(budget, BUDGET_FIXED, charged);
    return state;
}

static void tell(const struct job *job, enum training_state state, const char *reason)
{
    struct store_dictionary look;
    store_dictionary_look(job->trainer->shared->store, job->area, &look);
    log_event(job->trainer->shared->log, LOG_INFO, "dictionary trained",
              log_text("area", job->area->name), log_text("state", training_state_text(state)),
              log_number("pages", job->sampler.count), log_number("id", look.id),
              log_text("reason", reason));
}

static void do_job(struct job *job)
{
    const char *reason = "";
    enum training_state state = work(job, &reason);
    if (state != TRAINING_FAILED) reason = "";
    tell(job, state, reason);
    enter(job, state, reason);
    area_release(&job->area);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* False, and nobody works any more: none is left. */
static bool take_job(struct trainer *trainer, struct job *job)
{
    struct area *area = NULL;
    bool stopping = atomic_load(&trainer->stopping);
    lock_take(&trainer->lock);
    while (!stopping && (area = store_area_next(trainer->shared->store, area)) != NULL) {
        const struct training *training = training_locked(trainer, area);
        if (training->state != TRAINING_QUEUED) continue;
        *job = (struct job){.trainer = trainer, .area = area, .bytes_max = training->bytes_max};
        break;
    }
    trainer->working = area != NULL;
    lock_drop(&trainer->lock);
    return area != NULL;
}

static void *run(void *opaque)
{
    struct job job;
    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* on Linux: of this thread */
    while (take_job(opaque, &job)) do_job(&job);
    return NULL;
}

/* A thread that works no more only returns: joining it waits for nothing. */
static bool start_locked(struct trainer *trainer)
{
    if (trainer->working) return true;
    if (trainer->started) fp_assert(pthread_join(trainer->thread, NULL) == 0);
    trainer->started = pthread_create(&trainer->thread, NULL, run, trainer) == 0;
    trainer->working = trainer->started;
    return trainer->started;
}

static uint64_t objects_bytes(const struct area *area)
{
    return atomic_load(&area->counters.packed_bytes);
}

enum fp_status trainer_ask(struct trainer *trainer, struct area *area, uint64_t bytes_max)
{
    enum fp_status status = FP_OK;
    lock_take(&trainer->lock);
    struct training *training = training_locked(trainer, area);
    struct training before = *training;
    if (is_under_way(before.state)) {
        status = FP_BUSY;
    } else {
        *training = (struct training){.state = TRAINING_QUEUED,
                                      .bytes_max = bytes_max,
                                      .tried_bytes = objects_bytes(area),
                                      .changed_ns = clock_monotonic_ns(),
                                      .reason = ""};
        if (!start_locked(trainer)) {
            *training = before;
            status = FP_NO_MEMORY;
        }
    }
    lock_drop(&trainer->lock);
    return status;
}

/* --- by itself -------------------------------------------------------------------------------- */

static bool is_due(struct trainer *trainer, struct area *area)
{
    struct training training;
    struct store_dictionary look;
    trainer_look(trainer, area, &training);
    if (is_under_way(training.state) || training.state == TRAINING_KEPT) return false;
    uint64_t bytes = objects_bytes(area);
    if (area->as_they_are) return false;
    if (bytes < TRAINER_AUTO_BYTES || bytes / 2 < training.tried_bytes) return false;
    store_dictionary_look(trainer->shared->store, area, &look);
    return look.id == 0;
}

void trainer_upkeep(struct trainer *trainer)
{
    struct compressor_config current;
    struct area *area = NULL;
    compressor_pool_current(store_compressors(trainer->shared->store), &current);
    if (strcmp(current.algorithm, "none") == 0) return; /* it uses no dictionary */
    while ((area = store_area_next(trainer->shared->store, area)) != NULL) {
        if (!is_due(trainer, area)) continue;
        enum fp_status asked = trainer_ask(trainer, area, DICTIONARY_BYTES_USUAL);
        (void)asked; /* what was refused is asked for again the next time */
        area_release(&area);
        return;
    }
}

void trainer_look(struct trainer *trainer, const struct area *area, struct training *training)
{
    lock_take(&trainer->lock);
    *training = *training_locked(trainer, area);
    lock_drop(&trainer->lock);
}

enum fp_status trainer_drop(struct trainer *trainer, struct area *area)
{
    lock_take(&trainer->lock);
    struct training *training = training_locked(trainer, area);
    bool busy = is_under_way(training->state), had = training->state != TRAINING_NONE;
    if (!busy) training->state = TRAINING_NONE;
    if (!busy) training->tried_bytes = objects_bytes(area);
    lock_drop(&trainer->lock);
    if (busy) return FP_BUSY;
    bool dropped = store_dictionary_drop(trainer->shared->store, area);
    return dropped || had ? FP_OK : FP_ABSENT;
}

const char *training_state_text(enum training_state state)
{
    static const char *const texts[] = {"none", "queued",  "sampling", "training",
                                        "kept", "no gain", "failed"};
    return texts[state];
}

enum fp_status trainer_create(struct shared *shared, struct trainer **out)
{
    struct trainer *trainer = calloc(1, sizeof *trainer);
    if (trainer == NULL) return FP_NO_MEMORY;
    trainer->shared = shared;
    lock_init(&trainer->lock, RANK_DICTIONARIES);
    *out = trainer;
    return FP_OK;
}

void trainer_destroy(struct trainer **trainer_ptr)
{
    struct trainer *trainer = *trainer_ptr;
    if (trainer == NULL) return;
    atomic_store(&trainer->stopping, true);
    if (trainer->started) fp_assert(pthread_join(trainer->thread, NULL) == 0);
    lock_fini(&trainer->lock);
    free(trainer);
    *trainer_ptr = NULL;
}
