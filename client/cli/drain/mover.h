/* SPDX-License-Identifier: BSD-3-Clause
 * mover - copies all pages of an area to somewhere else while it is used, and knows when the copy
 * is as good as the area.
 *
 *   a round: each row that changed since it was copied is copied again
 *   rounds, while each leaves less to do than the one before -> frozen -> a last round -> the same
 *
 * Until it is frozen its users notice nothing; then their stores wait and their loads go on. A row
 * is FARPAGE_ROW_SLOTS slots. What the copier keeps is 144 bytes for each row in use.
 */
#ifndef FARPAGE_CLIENT_CLI_MOVER_H
#define FARPAGE_CLIENT_CLI_MOVER_H
#include <stdbool.h>
#include <stdint.h>

#include "client/cli/pages/transfer.h"
#include "client/cli/say/complaint.h"
#include "client/include/farpage.h"

struct moved_row;

/* Where the copy goes. False, with a reason, stops the moving. */
struct mover_sink {
    /* Takes the pages of the piece that are not absent. */
    bool (*keep)(void *context, const struct piece *piece, struct complaint *complaint);
    /* Forgets slots that were kept before. NULL: it cannot; then the area is frozen first. */
    bool (*forget)(void *context, uint64_t first, uint64_t count, struct complaint *complaint);
    void *context;
};

struct mover {
    struct farpage_area *area; /* opened to drain it; the mover freezes it and leaves it so */
    const char *name;
    struct mover_sink sink;
    /* out */
    uint64_t copied_pages; /* rows that changed count again */
    uint32_t rounds;
    uint64_t frozen_ns;    /* when it was frozen, monotonic */
    bool interrupted;      /* a held signal came */
    /* private to mover.c */
    struct moved_row *rows;
    size_t row_count, row_room;
    struct piece piece;
    uint8_t *absent;
    struct farpage_op *ops;
    uint32_t piece_pages;
};

/* True: the area is frozen, and the sink has exactly its pages. False, with a reason: neither is to
 * be relied on. mover_fini is due either way. */
bool mover_run(struct mover *mover, struct complaint *complaint) FP_MUST_CHECK;
void mover_fini(struct mover *mover);

/* How many pages the copy has. */
uint64_t mover_pages(const struct mover *mover);

#endif
