/* SPDX-License-Identifier: BSD-3-Clause
 * agent - the part of the pager that lives in the program: what its files share.
 *
 * libfarpage-agent.so is loaded into a program by LD_PRELOAD and does nothing unless FARPAGE_AGENT
 * says where a pager is. Its state is one struct, because a library that is preloaded has no main
 * to keep it in.
 */
#ifndef FARPAGE_CLIENT_AGENT_AGENT_H
#define FARPAGE_CLIENT_AGENT_AGENT_H
#include <stdint.h>

#include "client/agent/agent_wire.h"

/* The thread's whole world. Lies in memory that is neither private nor forked, so that the pager
 * never takes it away and a child never has it. */
struct agent_thread {
    struct agent_ring *ring;
    int socket, bell; /* in the thread's own table of descriptors, as those below */
    int uffd;         /* the process's, which moves pages, and is to be kept */
    int trash;        /* the userfaultfd of what is behind staging, which tells of nothing */
    uint64_t stage_from;
};

/* What clone(2) runs; never returns before the process ends. */
int agent_thread_main(void *thread);

/* Has the pager do what it is asked, and waits until it did. Nothing where there is no pager.
 * Any thread, any signal handler. `fork` goes with AGENT_ASK_FREEZE. */
void agent_ask(enum agent_ask_kind kind, uint64_t from, uint64_t bytes, uint32_t fork);

/* Mappings of at least so many bytes are to be announced; UINT64_MAX: none. */
uint64_t agent_announces_from(void);

#endif
