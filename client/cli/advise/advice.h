/* SPDX-License-Identifier: BSD-3-Clause
 * advice - what each algorithm and level would make of some stored pages, and which to take.
 *
 * Computes on the calling thread with the server's own codecs, for some seconds; knows no server.
 * Runs of 16 neighbouring pages go in turn to training a dictionary and to being measured, so that
 * all figures are of pages that no dictionary has seen. Times are of this thread's processor, the
 * faster of two rounds. */
#ifndef FARPAGE_CLIENT_CLI_ADVICE_H
#define FARPAGE_CLIENT_CLI_ADVICE_H
#include "codec/compressor_text.h"
#include "codec/packing.h"

enum {
    ADVICE_ROWS_MAX = 24,
    ADVICE_PAGES_MIN = 64, /* with something in them; fewer say nothing about the others */
};

struct advice_group { /* one area: a dictionary never serves two */
    struct dictionary_samples pages; /* neighbours side by side; the caller's */
    uint64_t stored, same_filled;    /* of all of the area; only some are in `pages` */
};

struct advice_row {
    char compressor[COMPRESSOR_TEXT_BYTES];
    bool dictionary;
    uint64_t plain_bytes, packed_bytes; /* of the measured pages; one that does not shrink counts
                                           as it is */
    double pack_us, unpack_us;          /* a page */
    uint64_t memory_bytes;     /* all pages of the groups: objects, headers, slots, dictionaries */
    uint64_t dictionary_bytes; /* of that, the dictionaries with the algorithm's tables */
    bool in_use;
    bool worth_it; /* false: a dictionary that the server would not keep */
};

struct advice {
    struct advice_row rows[ADVICE_ROWS_MAX];
    unsigned row_count;
    unsigned fast, dense; /* the rows to take; the same where one is both */
    uint64_t found_pages, same_filled_pages, trained_pages, measured_pages;
    const char *no_dictionary; /* why there is no row with one; NULL: there are some */
};

struct advice_use { /* what the server packs with now */
    struct compressor_config config;
    bool known;      /* false: nobody told, and no row is marked */
    bool dictionary; /* each area packs with one of its own */
};

/* Fast: the least memory of what packs and unpacks a page in at most 1.5 times the least time.
 * Dense: the quickest of what needs at most 5 % more than the least memory.
 * FP_INVALID: fewer than ADVICE_PAGES_MIN pages that are not same-filled; then only the counts of
 * pages are set. FP_NO_MEMORY. */
enum fp_status advice_make(const struct advice_group *groups, unsigned group_count,
                           const struct advice_use *use, struct advice *advice)
    FP_MUST_CHECK FP_NONNULL(1, 3, 4);

#endif
