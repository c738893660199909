/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/turns.h"

#include <string.h>

static bool is_there(const struct turns *turns, unsigned tenant, uint64_t now_ns)
{
    uint64_t asked_ns = turns->asked_ns[tenant];
    return asked_ns != 0 && now_ns < asked_ns + TURNS_WANTED_NS;
}

/* The slice is over: who took more than an equal share of the last ones? */
static void judge(struct turns *turns, uint64_t now_ns)
{
    uint64_t sum = 0, there = 0;
    bool long_ago = now_ns >= turns->slice_ns + TURNS_WANTED_NS;
    for (unsigned i = 0; i < TENANTS_MAX; i++) {
        turns->lately[i] = long_ago ? 0 : turns->lately[i] / 2 + turns->taken[i];
        sum += turns->lately[i];
        there += is_there(turns, i, now_ns);
    }
    for (unsigned i = 0; i < TENANTS_MAX; i++)
        turns->ahead[i] = there > 1 && turns->lately[i] * there > sum;
    memset(turns->taken, 0, sizeof turns->taken);
    turns->slice_ns = now_ns;
}

void turns_note(struct turns *turns, uint8_t tenant, uint64_t began_ns, uint64_t ended_ns)
{
    turns->taken[tenant] += ended_ns - began_ns;
    turns->asked_ns[tenant] = ended_ns;
    if (ended_ns >= turns->slice_ns + TURNS_SLICE_NS) judge(turns, ended_ns);
}
