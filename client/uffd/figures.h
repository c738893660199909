/* SPDX-License-Identifier: BSD-3-Clause
 * figures - what a pager counts, and how long those waited who met a page that was not there.
 *
 * One for each handler, which alone writes it; whoever shows them gets copies from the handlers and
 * merges them. Durations are of the handler: from when it learns of a fault until the page is there
 * and its thread is woken. What the kernel takes before and after is not in them.
 *
 * Threads: one writer. Blocks: never.
 */
#ifndef FARPAGE_CLIENT_UFFD_FIGURES_H
#define FARPAGE_CLIENT_UFFD_FIGURES_H
#include <stdint.h>

#include "base/attrs.h"
#include "base/histogram.h"

#define FIGURES_FAULTS(X)                                                                          \
    X(FIGURES_FIRST, "first", "of a page that was never touched: filled with zeros")               \
    X(FIGURES_STAGED, "staged", "of a page that was about to go: it is brought back")              \
    X(FIGURES_REMOTE, "remote", "of a page on the server")                                         \
    X(FIGURES_THERE, "there", "of a page that was there meanwhile: its thread is woken")           \
    X(FIGURES_WRITE, "write", "a write to a page that is write-protected")

#define FIGURES_COUNTS(X)                                                                          \
    X(zeroed_ahead, "pages filled with zeros beside one that was touched")                         \
    X(prefetched, "pages loaded beside one that was demanded")                                     \
    X(prefetch_used, "of these, those somebody went on behind, as far as one can tell")            \
    X(prefetch_wasted, "of these, those nobody did")                                               \
    X(staged, "pages taken from the program, to go or to come back")                               \
    X(staged_ahead, "pages brought back before they had gone, beside one demanded")                \
    X(stored, "pages sent to the server")                                                          \
    X(loaded, "pages got from the server")                                                         \
    X(damaged, "pages that came damaged; who waits for one has it asked for again")                \
    X(sent_bytes, "on the wire to the server: pages as they are packed, and requests")             \
    X(received_bytes, "on the wire from it")                                                       \
    X(dropped_clean, "pages that went without being sent, for the server had them")                \
    X(dropped_zero, "pages that went without being sent, for they were zeros")                     \
    X(waited, "faults that had to wait until others had gone")                                     \
    X(round_trips, "requests to the server, of any number of pages")

enum figures_fault {
#define X(fault, name, text) fault,
    FIGURES_FAULTS(X)
#undef X
    FIGURES_FAULTS_COUNT
};

struct figures {
    struct histogram faults_ns[FIGURES_FAULTS_COUNT];
#define X(name, text) uint64_t name;
    FIGURES_COUNTS(X)
#undef X
};

void figures_init(struct figures *figures) FP_NONNULL(1);
void figures_merge(struct figures *into, const struct figures *from) FP_NONNULL(1, 2);
const char *figures_fault_name(enum figures_fault fault);

/* Of those counted as used or wasted the part that was used, 0 to 1; 0 where there are none. */
double figures_prefetch_accuracy(const struct figures *figures) FP_NONNULL(1);

#endif
