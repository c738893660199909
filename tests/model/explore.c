/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One execution: setup, then `go_on` at each border between two steps, then finish. go_on follows
 * the choices of the last execution and, past their end, takes the first option of each new state.
 * An execution ends with its threads or at a state seen before; `next_path` then advances the last
 * choice that has options left, which makes it a depth-first search.
 *
 * What a thread does between two steps depends on what it has read alone: hence the hash of all it
 * has read stands for where it is and for its local variables. With a lock it reads what the lock
 * guards, so the whole memory is hashed there.
 */
#include "tests/model/explore.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/check.h"

enum {
    ARENA_BYTES = 8192,
    STACK_BYTES = 65536,
    STORES_MAX = 16,
    DEPTH_MAX = 400,
    OPTIONS_MAX = EXPLORE_THREADS_MAX * (1 + STORES_MAX),
    VISITED_MAX = 1 << 22, /* a power of two; states */
};

struct store { /* one that waits */
    volatile void *at;
    uint64_t value;
    size_t size;
    bool release;
};

struct fiber {
    ucontext_t context;
    void (*run)(void);
    bool done;
    int *wants;            /* the lock its next step takes, or NULL */
    bool (*waits)(void);   /* what its next step needs, or NULL */
    uint64_t read;         /* hash of all that it has read */
    unsigned stores_count;
    struct store stores[STORES_MAX]; /* oldest first */
};

struct option {
    int fiber;
    int store; /* the one that leaves the buffer, or -1: the fiber goes on */
};

static struct { /* the exploration under way; this program has but one */
    const struct explore_program *program;
    struct explore_faults faults;
    struct explore_result result;
    ucontext_t outside;
    struct fiber fibers[EXPLORE_THREADS_MAX];
    int current; /* -1: alone */
    int last;    /* the fiber that went on last, or -1 */
    unsigned preemptions; /* of this execution: how often it was another although it could go on */
    bool beginning; /* each fiber runs to its first border */
    size_t arena_used;
    unsigned depth, known_depth;
    uint8_t choice[DEPTH_MAX], options[DEPTH_MAX];
    struct option taken[DEPTH_MAX];
    uint64_t *visited; /* hashes; 0: none */
} now;
static _Alignas(128) uint8_t arena[ARENA_BYTES];
static uint8_t stacks[EXPLORE_THREADS_MAX][STACK_BYTES];

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t hash_arena(void)
{
    uint64_t hash = 1, word;
    for (size_t at = 0; at < now.arena_used; at += sizeof word) {
        memcpy(&word, arena + at, sizeof word);
        hash = mix(hash, word);
    }
    return hash;
}

static uint64_t hash_state(void)
{
    uint64_t hash = hash_arena();
    if (now.program->preemptions_max > 0)
        hash = mix(hash, now.preemptions * (EXPLORE_THREADS_MAX + 1) + (uint64_t)(now.last + 1));
    for (int f = 0; f < EXPLORE_THREADS_MAX; f++) {
        const struct fiber *fiber = &now.fibers[f];
        hash = mix(mix(hash, fiber->read), fiber->stores_count * 2 + fiber->done);
        for (unsigned s = 0; s < fiber->stores_count; s++) {
            const struct store *store = &fiber->stores[s];
            hash = mix(mix(hash, (uintptr_t)store->at + store->release), store->value);
        }
    }
    return hash == 0 ? 1 : hash;
}

/* False: it was there already. */
static bool visit(uint64_t hash)
{
    size_t at = hash & (VISITED_MAX - 1);
    while (now.visited[at] != 0) {
        if (now.visited[at] == hash) return false;
        at = (at + 1) & (VISITED_MAX - 1);
    }
    now.visited[at] = hash;
    now.result.states++;
    fp_assert(now.result.states < VISITED_MAX / 2); /* make the program smaller */
    return true;
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t memory_get(const volatile void *at, size_t size)
{
    return size == 8 ? *(const volatile uint64_t *)at : *(const volatile uint32_t *)at;
}

static void memory_set(volatile void *at, size_t size, uint64_t value)
{
    if (size == 8)
        *(volatile uint64_t *)at = value;
    else
        *(volatile uint32_t *)at = (uint32_t)value;
}

static bool may_leave(const struct fiber *fiber, unsigned index)
{
    if (index > 0 && fiber->stores[index].release) return false;
    for (unsigned s = 0; s < index; s++)
        if (fiber->stores[s].at == fiber->stores[index].at) return false;
    return true;
}

static void leave(struct fiber *fiber, unsigned index)
{
    struct store *store = &fiber->stores[index];
    memory_set(store->at, store->size, store->value);
    fiber->stores_count--;
    memmove(store, store + 1, (fiber->stores_count - index) * sizeof *store);
}

static void empty_buffer(struct fiber *fiber)
{
    while (fiber->stores_count > 0) leave(fiber, 0);
}

/* --- choosing --------------------------------------------------------------------------------- */

static bool can_go_on(const struct fiber *fiber)
{
    return !fiber->done && (fiber->wants == NULL || *fiber->wants == 0) &&
           (fiber->waits == NULL || fiber->waits());
}

static bool is_preemption(int next)
{
    return next != now.last && now.last >= 0 && can_go_on(&now.fibers[now.last]);
}

static unsigned list_options(struct option options[OPTIONS_MAX])
{
    unsigned count = 0, most = now.program->preemptions_max;
    for (int f = 0; f < EXPLORE_THREADS_MAX; f++) {
        const struct fiber *fiber = &now.fibers[f];
        bool bound = most > 0 && now.preemptions == most && is_preemption(f);
        if (can_go_on(fiber) && !bound)
            options[count++] = (struct option){.fiber = f, .store = -1};
        for (unsigned s = 0; s < fiber->stores_count; s++)
            if (may_leave(fiber, s))
                options[count++] = (struct option){.fiber = f, .store = (int)s};
    }
    return count;
}

static FP_NORETURN void stop(void)
{
    setcontext(&now.outside);
    abort();
}

static void breach(const char *text)
{
    now.result.breach = text;
    if (now.current >= 0) stop();
}

/* Chooses until a fiber goes on; -1: this execution is over. */
static int choose(void)
{
    struct option options[OPTIONS_MAX];
    for (;;) {
        unsigned count = list_options(options);
        if (count == 0) return -1;
        fp_assert(now.depth < DEPTH_MAX);
        if (now.depth == now.known_depth) {
            if (!visit(hash_state())) return -1;
            now.choice[now.depth] = 0;
            now.options[now.depth] = (uint8_t)count;
            now.known_depth++;
        }
        struct option option = options[now.choice[now.depth]];
        now.taken[now.depth++] = option;
        if (option.store < 0) {
            now.preemptions += is_preemption(option.fiber);
            now.last = option.fiber;
            return option.fiber;
        }
        leave(&now.fibers[option.fiber], (unsigned)option.store);
    }
}

static void go_on(void)
{
    int before = now.current;
    if (now.beginning) {
        swapcontext(&now.fibers[before].context, &now.outside);
        return; /* chosen by execute or another fiber */
    }
    int next = choose();
    if (next < 0) stop();
    now.current = next;
    if (next == before) return;
    swapcontext(&now.fibers[before].context, &now.fibers[next].context);
}

/* The border before a step. Alone there is none. */
static struct fiber *step(void)
{
    if (now.current < 0) return NULL;
    go_on();
    return &now.fibers[now.current];
}

static void fiber_main(void)
{
    now.fibers[now.current].run();
    now.fibers[now.current].done = true;
    go_on();
}

/* --- executing -------------------------------------------------------------------------------- */

static void prepare(void)
{
    memset(arena, 0, now.arena_used);
    now.arena_used = 0;
    now.depth = 0;
    now.preemptions = 0;
    now.last = now.current = -1;
    now.program->setup();
    for (int f = 0; f < EXPLORE_THREADS_MAX; f++) {
        struct fiber *fiber = &now.fibers[f];
        fiber->run = now.program->threads[f];
        fiber->done = fiber->run == NULL;
        fiber->wants = NULL;
        fiber->waits = NULL;
        fiber->read = 0;
        fiber->stores_count = 0;
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = stacks[f];
        fiber->context.uc_stack.ss_size = STACK_BYTES;
        makecontext(&fiber->context, fiber_main, 0);
    }
    now.beginning = true;
    for (int f = 0; f < EXPLORE_THREADS_MAX; f++) {
        now.current = f;
        if (now.fibers[f].run != NULL) swapcontext(&now.outside, &now.fibers[f].context);
    }
    now.beginning = false;
    now.current = -1;
}

static bool all_done(void)
{
    for (int f = 0; f < EXPLORE_THREADS_MAX; f++)
        if (!now.fibers[f].done || now.fibers[f].stores_count > 0) return false;
    return true;
}

static void execute(void)
{
    volatile bool back = false;
    prepare();
    now.result.executions++;
    getcontext(&now.outside);
    if (!back) {
        back = true;
        now.current = choose();
        if (now.current >= 0) setcontext(&now.fibers[now.current].context);
    }
    now.current = -1;
    if (now.result.breach != NULL) return;
    struct option options[OPTIONS_MAX];
    if (all_done())
        now.program->finish();
    else if (list_options(options) == 0)
        now.result.breach = "the threads wait for each other";
}

static bool next_path(void)
{
    while (now.known_depth > 0) {
        unsigned last = now.known_depth - 1;
        if (++now.choice[last] < now.options[last]) return true;
        now.known_depth--;
    }
    return false;
}

struct explore_result explore(const struct explore_program *program, struct explore_faults faults)
{
    memset(&now.result, 0, sizeof now.result);
    now.program = program;
    now.faults = faults;
    now.known_depth = 0;
    now.visited = calloc(VISITED_MAX, sizeof *now.visited);
    fp_assert(now.visited != NULL);
    do execute();
    while (now.result.breach == NULL && next_path());
    free(now.visited);
    return now.result;
}

void explore_print_last_execution(void)
{
    for (unsigned i = 0; i < now.depth; i++)
        if (now.taken[i].store < 0)
            fprintf(stderr, " %d", now.taken[i].fiber);
        else
            fprintf(stderr, " (%d stores)", now.taken[i].fiber);
    fputc('\n', stderr);
}

/* --- steps ------------------------------------------------------------------------------------ */

void *explore_alloc(size_t size)
{
    size = (size + 127) / 128 * 128;
    fp_assert(size <= ARENA_BYTES - now.arena_used);
    now.arena_used += size;
    return arena + now.arena_used - size;
}

void explore_check(bool condition, const char *text)
{
    if (!condition) breach(text);
}

int explore_thread(void)
{
    return now.current;
}

void explore_wait(bool (*ready)(void))
{
    struct fiber *fiber = &now.fibers[now.current];
    fiber->waits = ready;
    go_on();
    fiber->waits = NULL;
    fiber->read = mix(fiber->read, 1);
}

static uint64_t as_read(struct fiber *fiber, const volatile void *at, size_t size)
{
    uint64_t value = memory_get(at, size);
    for (unsigned s = 0; fiber != NULL && s < fiber->stores_count; s++)
        if (fiber->stores[s].at == at) value = fiber->stores[s].value;
    if (fiber != NULL) fiber->read = mix(fiber->read, value + 2);
    return value;
}

uint64_t explore_load(const volatile void *at, size_t size)
{
    return as_read(step(), at, size);
}

void explore_store(volatile void *at, size_t size, uint64_t value, int order)
{
    struct fiber *fiber = step();
    if (fiber == NULL) {
        memory_set(at, size, value);
        return;
    }
    fp_assert(fiber->stores_count < STORES_MAX);
    fiber->stores[fiber->stores_count++] = (struct store){
        .at = at, .size = size, .value = value, .release = order != memory_order_relaxed};
    fiber->read = mix(fiber->read, 3);
    if (order == memory_order_seq_cst && !now.faults.seq_cst_stores_wait) empty_buffer(fiber);
}

uint64_t explore_add(volatile void *at, uint64_t delta)
{
    struct fiber *fiber = step();
    if (fiber != NULL) empty_buffer(fiber);
    uint64_t value = as_read(fiber, at, sizeof value);
    memory_set(at, sizeof value, value + delta);
    return value;
}

bool explore_compare_exchange(volatile void *at, uint64_t *expected, uint64_t desired)
{
    struct fiber *fiber = step();
    if (fiber != NULL) empty_buffer(fiber);
    uint64_t value = as_read(fiber, at, sizeof value);
    bool equal = value == *expected;
    if (equal) memory_set(at, sizeof value, desired);
    *expected = value;
    return equal;
}

uint64_t explore_load_own(const volatile void *at, size_t size)
{
    return as_read(now.current < 0 ? NULL : &now.fibers[now.current], at, size);
}

void explore_forget(uint64_t place)
{
    if (now.current >= 0) now.fibers[now.current].read = mix(place + 1, 7);
}

bool explore_fence_all(void)
{
    struct fiber *fiber = step();
    if (fiber == NULL) return true;
    fiber->read = mix(fiber->read, 5);
    for (int f = 0; f < EXPLORE_THREADS_MAX && !now.faults.fence_all_does_nothing; f++)
        empty_buffer(&now.fibers[f]);
    return true;
}

void explore_lock_take(int *held)
{
    if (now.current < 0) {
        *held = 1;
        return;
    }
    struct fiber *fiber = &now.fibers[now.current];
    fiber->wants = held;
    go_on();
    fiber->wants = NULL;
    empty_buffer(fiber);
    *held = 1;
    fiber->read = mix(fiber->read, hash_arena());
}

void explore_lock_drop(int *held)
{
    if (now.current >= 0) empty_buffer(&now.fibers[now.current]);
    *held = 0;
}
