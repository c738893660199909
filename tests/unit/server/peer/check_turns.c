/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/turns.h"

#include "tests/unit/base/suite.h"

enum { MS = 1000000, US = 1000 };

static struct turns turns;
static uint64_t now_ns;

static void setup(void)
{
    turns = (struct turns){0};
    now_ns = 1000 * (uint64_t)MS;
}

static void take(uint8_t tenant, uint64_t took_ns)
{
    turns_note(&turns, tenant, now_ns, now_ns + took_ns);
    now_ns += took_ns;
}

static bool is_ahead(uint8_t tenant)
{
    return turns_ahead(&turns, tenant);
}

START_TEST(who_is_alone_is_never_ahead)
{
    setup();
    for (int i = 0; i < 1000; i++) {
        take(3, MS);
        ck_assert(!is_ahead(3) && turns_ns_max(&turns, 3) == TURN_NS_MAX);
    }
}
END_TEST

START_TEST(who_takes_most_waits_and_who_asks_seldom_does_not)
{
    setup();
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 10; k++) take(1, 90 * US);
        take(2, 5 * US);
        now_ns += 95 * US;
        if (i < 10) continue;
        ck_assert(is_ahead(1) && !is_ahead(2) && !is_ahead(0));
        ck_assert(turns_ns_max(&turns, 1) == TURN_AHEAD_NS_MAX);
    }
}
END_TEST

START_TEST(who_comes_back_after_a_moment_finds_others_behind_him)
{
    setup();
    for (int i = 0; i < 20; i++) take(2, 5 * US);
    for (int i = 0; i < 500; i++) take(1, MS); /* half a second, alone */
    ck_assert(is_ahead(1));
    for (int i = 0; i < 600; i++) take(1, MS);
    ck_assert(!is_ahead(1)); /* nobody else has asked for a second */
}
END_TEST

START_TEST(who_waited_long_enough_is_not_ahead_any_more)
{
    setup();
    for (int i = 0; i < 20; i++) {
        take(1, 4 * MS);
        take(2, MS);
    }
    ck_assert(is_ahead(1) && !is_ahead(2));
    for (int i = 0; i < 20; i++) {
        take(2, 4 * MS);
        take(1, MS);
    }
    ck_assert(!is_ahead(1) && is_ahead(2));
    now_ns += 5000 * (uint64_t)MS; /* nobody */
    take(2, 10 * US);
    ck_assert(!is_ahead(1) && !is_ahead(2));
}
END_TEST

int main(void)
{
    return suite_run("turns", who_is_alone_is_never_ahead,
                     who_takes_most_waits_and_who_asks_seldom_does_not,
                     who_comes_back_after_a_moment_finds_others_behind_him,
                     who_waited_long_enough_is_not_ahead_any_more);
}
