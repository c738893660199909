/* SPDX-License-Identifier: BSD-3-Clause
 * target_agent - a target that is another process, with the agent in it.
 *
 * It is made before the agent is there: a forked child's begins when the kernel tells of the fork,
 * and gets its agent when that has said hello. Orders wait until then.
 *
 * Threads, blocking: target.h. The pager's loop is to wait for link.bell and call ready.
 */
#ifndef FARPAGE_CLIENT_UFFD_TARGET_AGENT_H
#define FARPAGE_CLIENT_UFFD_TARGET_AGENT_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/agent/agent_link.h"
#include "client/uffd/target.h"

enum { TARGET_AGENT_WORKS = 64 };

/* An order on its way: pages[0 .. told) are done, [told .. put) are with the agent. */
struct target_agent_work {
    struct target_order *order;
    uint32_t put, told;
};

struct target_agent {
    struct target target; /* first */
    struct agent_link link;
    bool linked, gone;    /* gone: orders fail */
    int mem;              /* /proc/PID/mem */
    int uffd;             /* the program's, borrowed, which staging is registered with */
    int trash_uffd;       /* -1: there is no staging */
    uint64_t stage_from;
    struct target_agent_work works[TARGET_AGENT_WORKS]; /* a ring: [first, last) */
    uint32_t first, last;
    void (*destroyed)(struct target_agent *target); /* the memory is the owner's again */
};

/* Without an agent and without staging. */
void target_agent_init(struct target_agent *target, void (*destroyed)(struct target_agent *target))
    FP_NONNULL(1, 2);

/* /proc/PID/NAME, to be read; -1 with errno. */
int target_agent_open(int pid, const char *name) FP_MUST_CHECK FP_NONNULL(2);

/* Whose memory it is: opens its files in /proc. 0 or an errno: EACCES, we may not look. */
int target_agent_find(struct target_agent *target, int pid) FP_MUST_CHECK FP_NONNULL(1);

/* Staging that the agent has mapped, and what is behind it: `trash` is the target's from now on,
 * the program's `uffd` is borrowed until the target was adopted. */
void target_agent_stage(struct target_agent *target, int uffd, int trash, uint64_t from)
    FP_NONNULL(1);

/* The link has been opened: what waits goes out. target_agent_ready is due. */
void target_agent_linked(struct target_agent *target) FP_NONNULL(1);

/* The bell rang: empties it, and tells what is done. Then it will ring again. What is asked is left
 * to the caller to look for, now: it may have been what rang. */
void target_agent_ready(struct target_agent *target) FP_NONNULL(1);

/* There is no agent any more, or none will come: whatever was ordered fails. */
void target_agent_lost(struct target_agent *target) FP_NONNULL(1);

#endif
