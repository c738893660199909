/* SPDX-License-Identifier: BSD-3-Clause
 * store_scrub - looks at all that is stored before somebody needs it: every page and item is
 * unpacked and compared with its checksum, every page in the file below memory is read and compared
 * with its record. In bounded steps, while everybody goes on.
 *
 * Nothing is changed: what is damaged answers FP_CORRUPT as it would have, but its owner is told
 * now. Nothing counts as used or loaded for it; `corrupt` of the store counts what is found, too.
 *
 * Threads: one walk is one thread's; walks and all other calls of the store go together.
 * Locks:   enter holding none. Blocks: as unpacking does, and on the disk for what is spilled.
 */
#ifndef FARPAGE_STORAGE_STORE_SCRUB_H
#define FARPAGE_STORAGE_STORE_SCRUB_H
#include "storage/store/store.h"

#define SCRUB_COUNTS(X)                                                                            \
    X(pages, "pages looked at, spilled ones included")                                             \
    X(spilled_pages, "pages read from the file below memory")                                      \
    X(items, "items looked at")                                                                    \
    X(plain_bytes, "bytes that they unpack to, and of what is spilled its object's")               \
    X(damaged_pages, "pages that are not what was stored")                                         \
    X(damaged_items, "items that are not")                                                         \
    X(unread_pages, "spilled pages that the system refused to read, for want of memory or else")   \
    X(unread_items, "spilled items that it refused to read")

struct scrub_counts {
#define X(name, text) uint64_t name;
    SCRUB_COUNTS(X)
#undef X
};

struct scrub_found { /* what is damaged: a page, or an item */
    const struct area *area; /* NULL: an item */
    uint64_t slot;
    struct slice key;
};

struct store_scrub;

struct scrub_caller {
    /* Asked before each piece of an item, which may be long; it may sleep. False: the rest of that
     * item is left out. */
    bool (*go_on)(void *context);
    void (*found)(void *context, const struct scrub_found *found); /* with no lock held */
    void *context;
};

enum fp_status store_scrub_create(struct store *store, const struct scrub_caller *caller,
                                  struct store_scrub **scrub) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void store_scrub_destroy(struct store_scrub **scrub) FP_NONNULL(1);

/* Sets the walk to the beginning. Returns how many pages and items there are to look at. */
uint64_t store_scrub_begin(struct store_scrub *scrub) FP_NONNULL(1);
/* Goes on from where the last step stopped, for about so many pages or items; adds to *counts.
 * True: that was the end. */
bool store_scrub_step(struct store_scrub *scrub, struct store_scratch *scratch, unsigned looks,
                      struct scrub_counts *counts) FP_MUST_CHECK FP_NONNULL(1, 2, 4);

#endif
