/* SPDX-License-Identifier: BSD-3-Clause
 * Who comes back to a block has its neighbours fetched, as long as that is worth it. */
#include <check.h>

#include "client/uffd/nearby.h"
#include "tests/unit/base/suite.h"

enum { BLOCKS = 400 };

static struct nearby nearby;

static uint16_t bit(unsigned place)
{
    return (uint16_t)(1u << place);
}

static uint64_t block_at(unsigned block)
{
    return 7000000 + (uint64_t)block * NEARBY_PAGES;
}

/* Two faults of the block: what is fetched, where all others are away. */
static uint16_t two_faults(uint64_t first, unsigned one, unsigned other)
{
    uint16_t away = (uint16_t)~(bit(one) | bit(other));
    ck_assert(!nearby_fault(&nearby, first + one));
    ck_assert(nearby_fault(&nearby, first + other));
    return nearby_choose(&nearby, first + other, away);
}

static unsigned watched(uint16_t fetched, unsigned one, unsigned other)
{
    return (unsigned)__builtin_ctz((uint16_t)~(fetched | bit(one) | bit(other)));
}

START_TEST(the_second_fault_of_a_block_fetches_the_rest_but_one)
{
    nearby_init(&nearby);
    uint16_t fetched = two_faults(block_at(0), 3, 9);
    ck_assert_int_eq(__builtin_popcount(fetched), NEARBY_PAGES - 3);
    ck_assert_int_eq(fetched & (bit(3) | bit(9)), 0);
    ck_assert(!nearby_fault(&nearby, block_at(0) + watched(fetched, 3, 9)));
    ck_assert_uint_eq(nearby.used, NEARBY_PAGES - 3);
    ck_assert(nearby_fault(&nearby, block_at(0) + 3)); /* it went away again: once more */
}
END_TEST

START_TEST(one_fault_a_block_fetches_nothing)
{
    nearby_init(&nearby);
    for (unsigned i = 0; i < BLOCKS; i++) ck_assert(!nearby_fault(&nearby, block_at(i) + i % 16));
    ck_assert(!nearby_fault(&nearby, block_at(BLOCKS - 1) + (BLOCKS - 1) % 16)); /* the same page */
    ck_assert_uint_eq(nearby.used + nearby.wasted, 0);
}
END_TEST

START_TEST(nothing_is_fetched_where_nothing_is_away)
{
    nearby_init(&nearby);
    ck_assert(!nearby_fault(&nearby, 160));
    ck_assert(nearby_fault(&nearby, 161));
    ck_assert_uint_eq(nearby_choose(&nearby, 161, 0), 0);
    ck_assert_uint_eq(nearby_choose(&nearby, 161, bit(5)), 0); /* it is watched, and no other is */
}
END_TEST

/* Two pages of a block are used, and no more; then all of them are. */
START_TEST(what_nobody_uses_is_not_fetched_until_somebody_does)
{
    nearby_init(&nearby);
    unsigned blocks = 0, before;
    while (two_faults(block_at(blocks), 0, 15) != 0) ck_assert_uint_lt(++blocks, 8 * BLOCKS);
    ck_assert_uint_gt(nearby.wasted, 0);
    ck_assert_uint_eq(nearby.used, 0);
    before = ++blocks;
    bool again = false;
    for (; !again; blocks++) {
        again = two_faults(block_at(blocks), 0, 15) != 0;
        for (unsigned i = 1; i < 15; i++) (void)!nearby_fault(&nearby, block_at(blocks) + i);
        ck_assert_uint_lt(blocks - before, BLOCKS);
    }
}
END_TEST

/* Each page of a heap is as likely as any: no block is remembered for long enough. */
START_TEST(who_jumps_about_in_very_much_is_left_alone)
{
    nearby_init(&nearby);
    uint32_t dice = 5;
    unsigned fetched = 0, faults = 100000;
    for (unsigned i = 0; i < faults; i++) {
        dice = dice * 1664525u + 1013904223u;
        uint64_t page = (dice >> 8) % (1u << 20); /* of 4 GiB */
        if (nearby_fault(&nearby, page))
            fetched += (unsigned)__builtin_popcount(nearby_choose(&nearby, page, 0x7fff));
    }
    ck_assert_uint_lt(fetched, faults / 50);
}
END_TEST

int main(void)
{
    return suite_run("nearby", the_second_fault_of_a_block_fetches_the_rest_but_one,
                     one_fault_a_block_fetches_nothing, nothing_is_fetched_where_nothing_is_away,
                     what_nobody_uses_is_not_fetched_until_somebody_does,
                     who_jumps_about_in_very_much_is_left_alone);
}
