/* SPDX-License-Identifier: BSD-3-Clause
 * Life of a region: memory and area -> userfaultfd, pager, its one space -> a thread that runs the
 * pager -> stopped, everything let go of in the opposite order. The memory is made inaccessible
 * before the userfaultfd is closed, so that who still touches it is stopped and reads no zeros.
 *
 * Calls of other threads are errands: posted to the pager's thread, and awaited. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arith.h"
#include "client/client.h"
#include "client/uffd/figures.h"
#include "client/uffd/space.h"
#include "client/uffd/target_own.h"
#include "client/uffd/uffd.h"

enum {
    AHEAD_PAGES_DEFAULT = 32,
    SPARE_SLOTS = 4096,      /* for pages that change while their old bytes are still on the way */
    LOCAL_BYTES_MIN = PAGER_LIMIT_PAGES_MIN * UFFD_PAGE_BYTES,
};

struct farpage_region {
    struct farpage_region_options options;
    uint8_t *memory;
    struct pager_budget budget;
    struct pager *pager;
    struct space *space;
    pthread_t thread;
    bool running;
    bool moves;
    int cpu; /* to run on; -1: any */
};

struct opening_region { /* what create needs on its way */
    struct farpage *client;
    struct farpage_region *region;
    struct reason reason;
};

/* --- notices --- */

static void notice(void *context, const struct pager_notice *notice)
{
    static const enum farpage_region_event events[] = {
        [PAGER_LOST] = FARPAGE_REGION_LOST, [PAGER_GONE] = FARPAGE_REGION_GONE,
        [PAGER_BACK] = FARPAGE_REGION_BACK, [PAGER_FULL] = FARPAGE_REGION_FULL,
        [PAGER_ROOM] = FARPAGE_REGION_ROOM, [PAGER_CROWDED] = FARPAGE_REGION_CROWDED};
    const struct farpage_region *region = context;
    if (region->options.notice == NULL) return;
    struct farpage_region_notice told = {
        .event = events[notice->kind], .status = notice->status, .text = notice->text,
        .address = (const void *)(uintptr_t)notice->address};
    region->options.notice(region->options.notice_context, &told);
}

/* --- create --- */

static enum farpage_status check(const struct farpage_region_options *options,
                                 struct reason *reason)
{
    const char *wrong = NULL;
    uint32_t known = FARPAGE_REGION_PROTECT | FARPAGE_REGION_USER_MODE;
    if (options->bytes == 0 || options->bytes % UFFD_PAGE_BYTES != 0)
        wrong = "a region has a size in whole pages of 4096 bytes";
    else if (options->bytes > 1ull << 43)
        wrong = "a region has at most 8 TiB";
    else if (options->local_bytes < LOCAL_BYTES_MIN)
        wrong = "a region needs local_bytes of 1 MiB at least";
    else if (options->ahead_pages > 64)
        wrong = "at most 64 pages are fetched ahead";
    else if ((options->flags & ~known) != 0)
        wrong = "there is no such flag of a region";
    else if ((unsigned)options->mode > FARPAGE_REGION_PINNED)
        wrong = "there is no such mode of a region";
    if (wrong == NULL) return FARPAGE_OK;
    reason_set(reason, "%s", wrong);
    return FARPAGE_INVALID;
}

static enum farpage_status map_memory(struct farpage_region *region, struct reason *reason)
{
    uint64_t bytes = region->options.bytes;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        reason_set(reason, "no address space for the region: %s", strerror(errno));
        return FARPAGE_NO_MEMORY;
    }
    region->memory = memory;
    (void)madvise(memory, bytes, MADV_NOHUGEPAGE); /* EINVAL: a kernel without huge pages */
    if (madvise(memory, bytes, MADV_DONTFORK) == 0) return FARPAGE_OK;
    reason_set(reason, "the region cannot be kept from children: %s", strerror(errno));
    return FARPAGE_REFUSED;
}

static enum farpage_status open_uffd(const struct farpage_region *region, int *fd, uint32_t *able,
                                     struct reason *reason)
{
    uint32_t wanted = UFFD_PROTECT | UFFD_MOVE | UFFD_POISON | UFFD_CHANGES | UFFD_THREADS;
    if ((region->options.flags & FARPAGE_REGION_PROTECT) != 0) wanted &= ~(uint32_t)UFFD_POISON;
    bool user_mode = (region->options.flags & FARPAGE_REGION_USER_MODE) != 0;
    enum uffd_way way;
    *fd = uffd_open(wanted, user_mode, able, &way);
    uint32_t needed = UFFD_PROTECT | UFFD_CHANGES;
    if (*fd >= 0 && (*able & needed) == needed) return FARPAGE_OK;
    if (*fd >= 0) {
        (void)close(*fd);
        reason_set(reason, "this kernel's userfaultfd has no write protection: "
                           "Linux 5.10 or later is needed");
    } else if (errno == EPERM) {
        reason_set(reason, "no right to userfaultfd: run as root or with CAP_SYS_PTRACE, make "
                           "/dev/userfaultfd readable and writable for the user, or set "
                           "vm.unprivileged_userfaultfd=1");
    } else {
        reason_set(reason, "no userfaultfd: %s", strerror(errno));
    }
    return FARPAGE_REFUSED;
}

static void name_area(char *name, size_t bytes)
{
    static _Atomic unsigned serial;
    char host[64] = "";
    (void)gethostname(host, sizeof host - 1);
    for (char *c = host; *c != '\0'; c++)
        if (*c <= ' ' || *c == '/' || *c > '~') *c = '-';
    (void)snprintf(name, bytes, "farpage-region-%s-%d-%u", host, (int)getpid(),
                   atomic_fetch_add(&serial, 1));
}

static enum farpage_status open_area(struct opening_region *opening, struct farpage_area **area)
{
    const struct farpage_region_options *options = &opening->region->options;
    char name[160];
    name_area(name, sizeof name);
    uint64_t pages = options->bytes / UFFD_PAGE_BYTES;
    struct farpage_area_options wish = {
        .slots = pages + min_u64(pages, SPARE_SLOTS), .flags = FARPAGE_AREA_TRANSIENT,
        .page_bytes = UFFD_PAGE_BYTES, .pack = options->pack, .pack_level = options->pack_level,
        .why = opening->reason.text, .why_bytes = sizeof opening->reason.text};
    return farpage_area_open(opening->client, options->area != NULL ? options->area : name, &wish,
                             area);
}

static enum farpage_status make_pager(struct opening_region *opening)
{
    struct farpage_region *region = opening->region;
    const struct farpage_region_options *options = &region->options;
    region->budget.limit_pages = options->local_bytes / UFFD_PAGE_BYTES;
    uint32_t ahead = options->ahead_pages;
    struct pager_options wish = {
        .budget = &region->budget,
        .mode = options->mode == FARPAGE_REGION_SPIN ? PAGER_SPIN : PAGER_HANDLER,
        .evict = (options->flags & FARPAGE_REGION_PROTECT) != 0 ? PAGER_EVICT_PROTECT
                                                                : PAGER_EVICT_BEST,
        .grace_ms = options->grace_ms,
        .prefetch_pages_max = ahead == 0 ? AHEAD_PAGES_DEFAULT : ahead == 1 ? 0 : ahead,
        .notice = notice,
        .context = region,
    };
    enum farpage_status status = open_area(opening, &wish.area);
    if (status != FARPAGE_OK) return status;
    const char *why;
    region->pager = pager_create(&wish, &why);
    if (region->pager != NULL) return FARPAGE_OK;
    farpage_area_close(&wish.area);
    reason_set(&opening->reason, "the region's pager: %s", why);
    return FARPAGE_NO_MEMORY;
}

static enum farpage_status cover(struct opening_region *opening)
{
    struct farpage_region *region = opening->region;
    int fd;
    uint32_t able;
    enum farpage_status status = open_uffd(region, &fd, &able, &opening->reason);
    if (status != FARPAGE_OK) return status;
    struct target *target = target_own_create(region->pager, fd);
    if (target != NULL) region->space = pager_adopt(region->pager, fd, able, target);
    if (region->space == NULL) {
        int error = errno;
        if (target != NULL) target->table->destroy(target);
        (void)close(fd);
        reason_set(&opening->reason, "the region's memory: %s", strerror(error));
        return FARPAGE_NO_MEMORY;
    }
    region->moves = space_moves(region->space);
    uint64_t start = (uint64_t)(uintptr_t)region->memory;
    int error = space_cover(region->space, start, start + region->options.bytes);
    if (error == 0) return FARPAGE_OK;
    reason_set(&opening->reason, "the region's memory cannot be registered: %s", strerror(error));
    return error == ENOMEM ? FARPAGE_NO_MEMORY : FARPAGE_REFUSED;
}

static void *run(void *context)
{
    struct farpage_region *region = context;
    if (region->cpu >= 0) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET((size_t)region->cpu, &one);
        (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    }
    pager_run(region->pager);
    return NULL;
}

static enum farpage_status start(struct opening_region *opening)
{
    struct farpage_region *region = opening->region;
    region->cpu = region->options.mode == FARPAGE_REGION_PINNED ? sched_getcpu() : -1;
    sigset_t all, before; /* the program's signals are for the program's threads */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&region->thread, NULL, run, region);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    region->running = error == 0;
    if (error == 0) return FARPAGE_OK;
    reason_set(&opening->reason, "no thread for the region: %s", strerror(error));
    return FARPAGE_NO_MEMORY;
}

static void tell_why(struct opening_region *opening)
{
    const struct farpage_region_options *options = &opening->region->options;
    if (options->why != NULL && options->why_bytes > 0)
        (void)snprintf(options->why, options->why_bytes, "%s", opening->reason.text);
    else
        opening->client->reason = opening->reason;
}

enum farpage_status farpage_region_create(struct farpage *client,
                                          const struct farpage_region_options *options,
                                          struct farpage_region **region)
{
    if (region == NULL) return FARPAGE_INVALID;
    *region = NULL;
    if (client == NULL || options == NULL) return FARPAGE_INVALID;
    struct farpage_region *made = calloc(1, sizeof *made);
    if (made == NULL) return FARPAGE_NO_MEMORY;
    made->options = *options;
    struct opening_region opening = {.client = client, .region = made};
    enum farpage_status status = check(options, &opening.reason);
    if (status == FARPAGE_OK) status = map_memory(made, &opening.reason);
    if (status == FARPAGE_OK) status = make_pager(&opening);
    if (status == FARPAGE_OK) status = cover(&opening);
    if (status == FARPAGE_OK) status = start(&opening);
    if (status == FARPAGE_OK) {
        *region = made;
        return FARPAGE_OK;
    }
    tell_why(&opening);
    farpage_region_destroy(&made);
    return status;
}

void farpage_region_destroy(struct farpage_region **region)
{
    if (region == NULL || *region == NULL) return;
    struct farpage_region *taken = *region;
    *region = NULL;
    if (taken->running) {
        pager_stop(taken->pager);
        (void)pthread_join(taken->thread, NULL);
    }
    if (taken->memory != NULL) (void)mprotect(taken->memory, taken->options.bytes, PROT_NONE);
    pager_destroy(&taken->pager);
    if (taken->memory != NULL) (void)munmap(taken->memory, taken->options.bytes);
    free(taken);
}

void *farpage_region_memory(const struct farpage_region *region)
{
    return region->memory;
}

/* --- errands --- */

struct errand {
    struct farpage_region *region;
    void (*call)(struct errand *errand);
    uint64_t start, end;
    enum space_hint hint;
    int error;
    struct farpage_region_figures *figures;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over;
};

static void errand_end(void *context, int error)
{
    struct errand *errand = context;
    (void)pthread_mutex_lock(&errand->lock);
    errand->error = error;
    errand->over = true;
    (void)pthread_cond_signal(&errand->ended);
    (void)pthread_mutex_unlock(&errand->lock);
}

static void errand_begin(void *context)
{
    struct errand *errand = context;
    errand->call(errand);
}

static enum farpage_status status_of(int error)
{
    switch (error) {
    case 0: return FARPAGE_OK;
    case EDQUOT: return FARPAGE_LIMIT;
    case EIO: return FARPAGE_CORRUPT;
    case ENOMEM: return FARPAGE_NO_MEMORY;
    default: return FARPAGE_INVALID;
    }
}

static enum farpage_status errand_run(struct errand *errand)
{
    struct farpage_region *region = errand->region;
    if (region == NULL || pthread_equal(pthread_self(), region->thread)) return FARPAGE_INVALID;
    if (pthread_mutex_init(&errand->lock, NULL) != 0) return FARPAGE_NO_MEMORY;
    bool posted = pthread_cond_init(&errand->ended, NULL) == 0;
    if (posted && !pager_post(region->pager, errand_begin, errand)) {
        (void)pthread_cond_destroy(&errand->ended);
        posted = false;
    }
    if (posted) {
        (void)pthread_mutex_lock(&errand->lock);
        while (!errand->over) (void)pthread_cond_wait(&errand->ended, &errand->lock);
        (void)pthread_mutex_unlock(&errand->lock);
        (void)pthread_cond_destroy(&errand->ended);
    }
    (void)pthread_mutex_destroy(&errand->lock);
    return posted ? status_of(errand->error) : FARPAGE_NO_MEMORY;
}

static void hint(struct errand *errand)
{
    errand_end(errand, space_hint(errand->region->space, errand->hint, errand->start,
                                  errand->end));
}

static void pin(struct errand *errand)
{
    int error =
        space_pin(errand->region->space, errand->start, errand->end, errand_end, errand);
    if (error != 0) errand_end(errand, error);
}

static enum farpage_status of_range(struct errand *errand, const void *memory, uint64_t bytes)
{
    const struct farpage_region *region = errand->region;
    if (region == NULL) return FARPAGE_INVALID;
    errand->start = (uint64_t)(uintptr_t)memory;
    uint64_t first = (uint64_t)(uintptr_t)region->memory, last = first + region->options.bytes;
    if (!add_u64(errand->start, bytes, &errand->end)) return FARPAGE_RANGE;
    if (errand->start < first || errand->end > last) return FARPAGE_RANGE;
    return bytes == 0 ? FARPAGE_OK : errand_run(errand);
}

enum farpage_status farpage_region_will_need(struct farpage_region *region, const void *memory,
                                             uint64_t bytes)
{
    struct errand errand = {.region = region, .call = hint, .hint = SPACE_WILL_NEED};
    return of_range(&errand, memory, bytes);
}

enum farpage_status farpage_region_will_not_need(struct farpage_region *region,
                                                 const void *memory, uint64_t bytes)
{
    struct errand errand = {.region = region, .call = hint, .hint = SPACE_WILL_NOT_NEED};
    return of_range(&errand, memory, bytes);
}

enum farpage_status farpage_region_pin(struct farpage_region *region, const void *memory,
                                       uint64_t bytes)
{
    struct errand errand = {.region = region, .call = pin};
    return of_range(&errand, memory, bytes);
}

enum farpage_status farpage_region_unpin(struct farpage_region *region, const void *memory,
                                         uint64_t bytes)
{
    struct errand errand = {.region = region, .call = hint, .hint = SPACE_UNPIN};
    return of_range(&errand, memory, bytes);
}

static void tell_figures(struct errand *errand)
{
    struct farpage_region *region = errand->region;
    struct pager_state state;
    pager_state(region->pager, &state);
    const struct figures *figures = pager_figures(region->pager);
    const struct histogram *loads = &figures->faults_ns[FIGURES_REMOTE];
    *errand->figures = (struct farpage_region_figures){
        .resident_bytes = state.resident_pages * UFFD_PAGE_BYTES,
        .resident_bytes_peak = state.resident_pages_peak * UFFD_PAGE_BYTES,
        .remote_bytes = space_pages(region->space).away * UFFD_PAGE_BYTES,
        .overhead_bytes = state.overhead_bytes,
        .first_touches = figures->faults_ns[FIGURES_FIRST].count,
        .wanted_back = figures->faults_ns[FIGURES_STAGED].count,
        .loads = loads->count,
        .prefetched_pages = figures->prefetched,
        .prefetched_used = figures->prefetch_used,
        .stored_pages = figures->stored,
        .dropped_clean = figures->dropped_clean,
        .dropped_zero = figures->dropped_zero,
        .fault_ns_p50 = histogram_quantile(loads, 0.5),
        .fault_ns_p99 = histogram_quantile(loads, 0.99),
        .moves = region->moves,
    };
    errand_end(errand, 0);
}

enum farpage_status farpage_region_figures(struct farpage_region *region,
                                           struct farpage_region_figures *figures)
{
    if (figures == NULL) return FARPAGE_INVALID;
    struct errand errand = {.region = region, .call = tell_figures, .figures = figures};
    return errand_run(&errand);
}
