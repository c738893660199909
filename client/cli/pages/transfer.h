/* SPDX-License-Identifier: BSD-3-Clause
 * transfer - moves a run of pages between a source or sink here and an area there.
 *
 * Each connection has a thread. The threads take pieces of up to `piece` pages off one counter, so
 * a slow one does not hold up the rest; a piece is one batch. The first failure stops them all.
 *
 * Threads: `move` is called by all of them, for different pages.
 */
#ifndef FARPAGE_CLIENT_CLI_TRANSFER_H
#define FARPAGE_CLIENT_CLI_TRANSFER_H
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "client/cli/cli.h"
#include "client/include/farpage.h"
#include "client/cli/say/complaint.h"

/* Some consecutive pages in memory. */
struct piece {
    uint64_t first; /* slot, and page of the source */
    uint32_t count;
    uint32_t page_bytes;
    uint8_t *pages;         /* count * page_bytes */
    const uint8_t *absent;  /* after loading: 1 for each page that is not there, and zeroed */
};

struct transfer {
    enum farpage_op_kind kind; /* STORE or LOAD */
    const char *verb;          /* for the progress line */
    const char *area;
    uint64_t pages;
    uint32_t page_bytes;
    uint32_t depth, connections;
    bool absent_is_fine;
    const char *absent_advice; /* where it is not: what to do about it; may be NULL */
    bool time_wire_only; /* result->seconds without what `move` took */
    /* STORE: fills the piece. LOAD: takes it. False, with a reason, stops the transfer. */
    bool (*move)(void *context, const struct piece *piece, struct complaint *complaint);
    /* A held signal came and some thread still waits for the server: cleans up, for the signal ends
     * the process then. NULL: the thread's answer or timeout is awaited. */
    void (*abandon)(void *context);
    void *context;
};

struct transfer_result {
    uint64_t pages, absent; /* moved; asked for, but the slots held nothing */
    double seconds;
    bool interrupted;
    struct histogram latency;
    struct complaint complaint; /* why it failed */
};

/* False, with result->complaint, where not every page went as it should. */
bool transfer_run(const struct cli *cli, const struct transfer *transfer,
                  struct transfer_result *result) FP_MUST_CHECK;

double transfer_pages_per_second(const struct transfer_result *result);
double transfer_mib_per_second(const struct transfer_result *result, uint32_t page_bytes);

struct json;
/* Adds pages, seconds, rates and latencies to the object that is open. */
void transfer_json(struct json *json, const struct transfer_result *result, uint32_t page_bytes);

#endif
