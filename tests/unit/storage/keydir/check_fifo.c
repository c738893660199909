/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir/fifo.h"

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit.h"

static struct budget budget;
static struct fifo_spares spares;

static void setup(uint64_t limit_bytes)
{
    budget_init(&budget, limit_bytes);
    spares = (struct fifo_spares){0};
}

static void teardown(struct fifo *fifo)
{
    fifo_clear(fifo, &spares);
    fifo_spares_fini(&spares, &budget);
    ck_assert(budget_total(&budget) == 0 && fifo->words == 0);
}

static void push(struct fifo *fifo, uint32_t word)
{
    ck_assert(fifo_spares_fit(&spares, 1, &budget));
    fifo_push(fifo, &spares, word);
}

static bool is_even(void *context, uint32_t word)
{
    (void)context;
    return word % 2 == 0;
}

START_TEST(words_come_out_as_they_went_in)
{
    setup(UINT64_MAX);
    struct fifo fifo = {0};
    struct rng rng = {.state = 3};
    uint32_t in = 0, out = 0, word;
    for (int step = 0; step < 50000; step++) {
        if (rng_below(&rng, 1000) < (step / 5000 % 2 ? 300u : 700u)) {
            push(&fifo, in++);
        } else {
            bool there = fifo_pop(&fifo, &spares, &word);
            ck_assert(there == (in != out));
            if (there) ck_assert_uint_eq(word, out++);
        }
        ck_assert(fifo.words == in - out);
    }
    teardown(&fifo);
}
END_TEST

START_TEST(memory_comes_and_goes_with_the_words)
{
    setup(UINT64_MAX);
    struct fifo fifo = {0};
    uint32_t word;
    for (uint32_t i = 0; i < 61000; i++) push(&fifo, i);
    ck_assert(budget_total(&budget) <= (1000 + 8) * FIFO_CHUNK_BYTES);
    for (uint32_t i = 0; i < 61000; i++) ck_assert(fifo_pop(&fifo, &spares, &word));
    ck_assert(fifo_spares_fit(&spares, 2, &budget));
    ck_assert(budget_total(&budget) <= 8 * FIFO_CHUNK_BYTES);
    teardown(&fifo);
}
END_TEST

START_TEST(spares_that_cannot_be_had_are_said_so)
{
    setup(3 * FIFO_CHUNK_BYTES);
    struct fifo fifo = {0};
    ck_assert(fifo_spares_fit(&spares, 3, &budget));
    ck_assert(!fifo_spares_fit(&spares, 4, &budget));
    ck_assert(spares.count == 3 && budget_total(&budget) == 3 * FIFO_CHUNK_BYTES);
    teardown(&fifo);
}
END_TEST

START_TEST(a_sweep_drops_the_unwanted_keeps_the_order_and_frees_chunks)
{
    setup(UINT64_MAX);
    struct fifo fifo = {0};
    uint32_t word;
    for (uint32_t i = 0; i < 6100; i++) push(&fifo, i);
    for (uint32_t i = 0; i < 30; i++) ck_assert(fifo_pop(&fifo, &spares, &word));
    for (int step = 0; step < 101; step++) fifo_sweep(&fifo, &spares, is_even, NULL);
    ck_assert(fifo.words == 3035);
    ck_assert(fifo_spares_fit(&spares, 0, &budget));
    ck_assert(budget_total(&budget) <= 75 * FIFO_CHUNK_BYTES);
    for (uint32_t i = 6100; i < 6200; i++) push(&fifo, i);
    for (uint32_t i = 30; i < 6200; i += i < 6100 ? 2 : 1) {
        ck_assert(fifo_pop(&fifo, &spares, &word));
        ck_assert_uint_eq(word, i);
    }
    ck_assert(!fifo_pop(&fifo, &spares, &word));
    teardown(&fifo);
}
END_TEST

/* Sweeps, pops and pushes in any order, beside an array. */
START_TEST(sweeps_between_everything_else_lose_nothing)
{
    enum { STEPS = 40000 };
    static uint32_t words[STEPS];
    setup(UINT64_MAX);
    struct fifo fifo = {0};
    struct rng rng = {.state = 11};
    size_t first = 0, end = 0;
    uint32_t word;
    for (uint32_t step = 0; step < STEPS; step++) {
        uint64_t what = rng_below(&rng, 20);
        if (what < 9) {
            push(&fifo, words[end++] = step);
        } else if (what < 13) {
            /* Odd words may have been swept out, even ones may not. */
            if (!fifo_pop(&fifo, &spares, &word)) continue;
            while (words[first] != word) ck_assert(words[first++] % 2 == 1);
            first++;
        } else {
            fifo_sweep(&fifo, &spares, is_even, NULL);
        }
    }
    while (fifo_pop(&fifo, &spares, &word)) {
        while (words[first] != word) ck_assert(words[first++] % 2 == 1);
        first++;
    }
    while (first < end) ck_assert(words[first++] % 2 == 1);
    teardown(&fifo);
}
END_TEST

/* What the header promises of three chunks, with the most wandering that there may be. */
START_TEST(words_that_wander_between_two_queues_need_three_chunks)
{
    setup(UINT64_MAX);
    struct rng rng = {.state = 5};
    for (int round = 0; round < 200; round++) {
        struct fifo a = {0}, b = {0};
        uint32_t word;
        for (uint64_t i = rng_below(&rng, 1000); i > 0; i--) push(&a, 1);
        for (uint64_t i = rng_below(&rng, 1000); i > 0; i--) push(&b, 1);
        for (uint64_t i = rng_below(&rng, 70); i > 0; i--) (void)!fifo_pop(&a, &spares, &word);
        fifo_spares_fini(&spares, &budget);
        ck_assert(fifo_spares_fit(&spares, FIFO_SPARES - 1, &budget));
        for (int step = 0; step < 3000; step++) {
            struct fifo *from = rng_below(&rng, 10) < 5 ? &a : &b;
            if (fifo_pop(from, &spares, &word)) fifo_push(&b, &spares, word);
        }
        fifo_clear(&a, &spares);
        teardown(&b);
    }
}
END_TEST

int main(void)
{
    return suite_run("fifo", words_come_out_as_they_went_in, memory_comes_and_goes_with_the_words,
                     spares_that_cannot_be_had_are_said_so,
                     a_sweep_drops_the_unwanted_keeps_the_order_and_frees_chunks,
                     sweeps_between_everything_else_lose_nothing,
                     words_that_wander_between_two_queues_need_three_chunks);
}
