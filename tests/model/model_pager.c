/* SPDX-License-Identifier: BSD-3-Clause
 * model_pager [SEED [STEPS]] - what programs do with paged memory, at random, against a note of
 * what each page was last: written, read, forgotten, moved, unmapped and mapped anew, pinned,
 * hinted, from two threads at once, over four times the budget. For both ways of evicting; the
 * server may be slow, and cuts its connections. What is wrong is told with the seed. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "client/include/farpage.h"
#include "client/uffd/pager.h"
#include "client/uffd/space.h"
#include "client/uffd/target_own.h"
#include "client/uffd/uffd.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/storage/kit.h"

enum {
    PAGE = UFFD_PAGE_BYTES, WORDS = PAGE / 8,
    LOCAL = 300, BLOCK_PAGES = 100, BLOCKS = 6, THREADS = 2, /* 1200 pages */
    STEPS = 3000,
};

static struct pager *pager;
static struct space *space;
static struct pager_budget budget;
static struct fake_server *server;
static uint64_t seed;
static _Atomic unsigned failures;

/* A mapping that may be elsewhere each time, and what its pages are: 0, or the seed of their
 * words. */
struct block {
    uint8_t *memory;
    uint64_t pages[BLOCK_PAGES];
};

struct player {
    pthread_t thread;
    struct rng rng;
    unsigned steps, number;
    bool still; /* its blocks stay where they are */
    struct block blocks[BLOCKS];
};

/* --- errands to the pager's thread --- */

struct errand {
    enum { COVER, PIN, HINT } kind;
    enum space_hint hint;
    uint64_t start, end;
    int error;
    atomic_bool over;
};

static void errand_end(void *context, int error)
{
    struct errand *errand = context;
    errand->error = error;
    atomic_store(&errand->over, true);
}

static void errand_begin(void *context)
{
    struct errand *errand = context;
    int error = 0;
    switch (errand->kind) {
    case COVER: error = space_cover(space, errand->start, errand->end); break;
    case HINT: error = space_hint(space, errand->hint, errand->start, errand->end); break;
    case PIN:
        error = space_pin(space, errand->start, errand->end, errand_end, errand);
        if (error == 0) return;
    }
    errand_end(errand, error);
}

static int run(struct errand *errand, const struct block *block, uint64_t first, uint64_t count)
{
    errand->start = (uint64_t)(uintptr_t)block->memory + first * PAGE;
    errand->end = errand->start + count * PAGE;
    fp_assert(pager_post(pager, errand_begin, errand));
    while (!atomic_load(&errand->over)) (void)usleep(20);
    return errand->error;
}

/* --- pages --- */

static void wrong(const struct player *player, unsigned block, unsigned page, const char *what)
{
    (void)fprintf(stderr, "seed %llu, thread %u, block %u, page %u: %s\n",
                  (unsigned long long)seed, player->number, block, page, what);
    atomic_fetch_add(&failures, 1);
}

static uint64_t *words_of(const struct block *block, unsigned page)
{
    return (uint64_t *)(void *)(block->memory + (size_t)page * PAGE);
}

/* Half of the pages pack well, some are nearly zeros: they end with the only word that is not. */
static uint64_t word(uint64_t page_seed, unsigned at)
{
    if (page_seed == 0) return 0;
    if (page_seed % 8 == 0) return at == WORDS - 1 ? page_seed : 0;
    return page_seed % 2 == 0 ? page_seed : page_seed * (at + 1) * 0x9e3779b97f4a7c15u;
}

static void put(struct block *block, unsigned page, uint64_t page_seed)
{
    uint64_t *words = words_of(block, page);
    for (unsigned i = 0; i < WORDS; i++) words[i] = word(page_seed, i);
    block->pages[page] = page_seed;
}

static void look(struct player *player, unsigned number, unsigned page)
{
    struct block *block = &player->blocks[number];
    const uint64_t *words = words_of(block, page);
    for (unsigned i = 0; i < WORDS; i++) {
        if (words[i] == word(block->pages[page], i)) continue;
        wrong(player, number, page, words[i] == 0 ? "zeros" : "other bytes");
        put(block, page, block->pages[page]);
        return;
    }
}

static void map(struct block *block)
{
    block->memory = mmap(NULL, BLOCK_PAGES * PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fp_assert(block->memory != MAP_FAILED);
    (void)madvise(block->memory, BLOCK_PAGES * PAGE, MADV_NOHUGEPAGE);
    memset(block->pages, 0, sizeof block->pages);
    put(block, 7, 77); /* before it is covered */
    struct errand errand = {.kind = COVER};
    fp_assert(run(&errand, block, 0, BLOCK_PAGES) == 0);
}

/* --- steps --- */

static void move(struct block *block)
{
    void *to = mmap(NULL, BLOCK_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fp_assert(to != MAP_FAILED);
    void *moved = mremap(block->memory, BLOCK_PAGES * PAGE, BLOCK_PAGES * PAGE,
                         MREMAP_MAYMOVE | MREMAP_FIXED, to);
    fp_assert(moved == to);
    block->memory = moved;
}

static void forget(struct player *player, struct block *block)
{
    unsigned first = (unsigned)rng_below(&player->rng, BLOCK_PAGES);
    unsigned count = 1 + (unsigned)rng_below(&player->rng, BLOCK_PAGES - first);
    fp_assert(madvise(block->memory + (size_t)first * PAGE, (size_t)count * PAGE,
                      MADV_DONTNEED) == 0);
    memset(block->pages + first, 0, count * sizeof *block->pages);
}

static void pin(struct player *player, unsigned number)
{
    struct block *block = &player->blocks[number];
    unsigned first = (unsigned)rng_below(&player->rng, BLOCK_PAGES - 5);
    struct errand errand = {.kind = PIN};
    if (run(&errand, block, first, 5) != 0) return;
    for (unsigned i = 0; i < 5; i++) look(player, number, first + i);
    struct errand unpin = {.kind = HINT, .hint = SPACE_UNPIN};
    fp_assert(run(&unpin, block, first, 5) == 0);
}

static void hint(struct player *player, const struct block *block)
{
    unsigned first = (unsigned)rng_below(&player->rng, BLOCK_PAGES - 9);
    struct errand errand = {.kind = HINT};
    errand.hint = rng_below(&player->rng, 2) == 0 ? SPACE_WILL_NEED : SPACE_WILL_NOT_NEED;
    fp_assert(run(&errand, block, first, 9) == 0);
}

static void walk(struct player *player, unsigned number)
{
    unsigned first = (unsigned)rng_below(&player->rng, BLOCK_PAGES);
    for (unsigned i = first; i < BLOCK_PAGES; i++) look(player, number, i);
}

static void step(struct player *player)
{
    unsigned number = (unsigned)rng_below(&player->rng, BLOCKS);
    unsigned page = (unsigned)rng_below(&player->rng, BLOCK_PAGES);
    struct block *block = &player->blocks[number];
    unsigned what = (unsigned)rng_below(&player->rng, 200);
    if (what == 0 && !player->still) {
        fp_assert(munmap(block->memory, BLOCK_PAGES * PAGE) == 0);
        map(block);
    } else if (what < 4 && !player->still) {
        move(block);
    } else if (what < 6) {
        forget(player, block);
    } else if (what < 8) {
        pin(player, number);
    } else if (what < 12) {
        hint(player, block);
    } else if (what < 16) {
        walk(player, number);
    } else if (what < 18 && player->number == 0) {
        fake_server_cut(server);
    } else if (what < 90) {
        put(block, page, rng_next(&player->rng) | 1ull << 40);
    } else {
        look(player, number, page);
    }
}

static void *play(void *context)
{
    struct player *player = context;
    for (int i = 0; i < BLOCKS; i++) map(&player->blocks[i]);
    for (unsigned i = 0; i < player->steps && atomic_load(&failures) < 10; i++) step(player);
    for (unsigned i = 0; i < BLOCKS; i++)
        for (unsigned page = 0; page < BLOCK_PAGES; page++) look(player, i, page);
    for (int i = 0; i < BLOCKS; i++) (void)munmap(player->blocks[i].memory, BLOCK_PAGES * PAGE);
    return NULL;
}

static void *serve(void *context)
{
    (void)context;
    pager_run(pager);
    return NULL;
}

static void notice(void *context, const struct pager_notice *notice)
{
    (void)context;
    if (notice->kind != PAGER_LOST && notice->kind != PAGER_CROWDED) return;
    (void)fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, notice->text);
    atomic_fetch_add(&failures, 1);
}

static void adopt(void)
{
    uint32_t able;
    enum uffd_way way;
    int fd = uffd_open(UFFD_PROTECT | UFFD_MOVE | UFFD_POISON | UFFD_CHANGES, false, &able, &way);
    if (fd < 0 || (able & UFFD_PROTECT) == 0) {
        (void)printf("skipped: no userfaultfd with write protection: %s\n", strerror(errno));
        exit(77);
    }
    struct target *target = target_own_create(pager, fd);
    fp_assert(target != NULL);
    space = pager_adopt(pager, fd, able, target);
    fp_assert(space != NULL);
}

/* In a program that unmaps what is just being dropped, only moving is safe (docs/pager.md, Limits):
 * so blocks stay where they are where pages are protected. */
static void game(enum pager_evict evict, enum pager_mode mode, unsigned steps)
{
    struct farpage *client;
    struct fake_plan plan = {.mischief = FAKE_OVERTAKES};
    server = fake_server_create(&plan);
    struct farpage_options options = {.server = fake_server_address(server)};
    fp_assert(farpage_connect(&options, &client) == FARPAGE_OK);
    budget = (struct pager_budget){.limit_pages = LOCAL};
    struct pager_options wish = {
        .budget = &budget, .evict = evict, .mode = mode, .prefetch_pages_max = 16,
        .notice = notice};
    struct farpage_area_options area = {.slots = 4000, .page_bytes = PAGE};
    fp_assert(farpage_area_open(client, "swap", &area, &wish.area) == FARPAGE_OK);
    pager = pager_create(&wish, NULL);
    fp_assert(pager != NULL);
    adopt();
    pthread_t thread;
    fp_assert(pthread_create(&thread, NULL, serve, NULL) == 0);
    static struct player players[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        players[i].number = i;
        players[i].rng.state = seed * THREADS + i;
        players[i].steps = steps;
        players[i].still = !space_moves(space);
        fp_assert(pthread_create(&players[i].thread, NULL, play, &players[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) fp_assert(pthread_join(players[i].thread, NULL) == 0);
    pager_stop(pager);
    fp_assert(pthread_join(thread, NULL) == 0);
    struct pager_state state;
    pager_state(pager, &state);
    fp_assert(state.resident_pages_peak <= LOCAL + 10); /* what was there when it was covered */
    fp_assert(state.away_pages == 0 && state.resident_pages == state.staged_pages);
    pager_destroy(&pager);
    fp_assert(atomic_load(&budget.resident_pages) == 0);
    farpage_disconnect(&client);
    fake_server_destroy(&server);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : clock_unix_ns() / 1000 % 1000000000;
    unsigned steps = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : STEPS;
    (void)printf("seed %llu, %u steps\n", (unsigned long long)seed, steps);
    game(PAGER_EVICT_BEST, PAGER_HANDLER, steps);
    game(PAGER_EVICT_PROTECT, PAGER_HANDLER, steps / 2);
    return atomic_load(&failures) == 0 ? 0 : 1;
}
