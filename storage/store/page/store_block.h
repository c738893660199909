/* SPDX-License-Identifier: BSD-3-Clause
 * store_block - an area as the blocks of a disk: what is absent reads as zeros, a page of zeros is
 * not kept, and part of a page can be written while others write the rest of it.
 *
 * A write of part of a page is a read, a change and a store that takes effect only while the slot
 * still holds what was read; else it is done anew. So nobody's bytes are lost, and somebody always
 * gets on.
 *
 * Threads, locks, blocking: as store.h. */
#ifndef FARPAGE_STORAGE_STORE_BLOCK_H
#define FARPAGE_STORAGE_STORE_BLOCK_H
#include "storage/store/store.h"

/* Writes the page to out (page_bytes); or *zeros is true, and out as it was: absent, or zeros that
 * are kept as a word. FP_CORRUPT, FP_RANGE, FP_LOST, FP_MOVED: as store_page_load. */
enum fp_status store_block_read(struct store *store, struct store_scratch *scratch,
                                struct page_place place, uint8_t *out, bool *zeros)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);

/* Keeps page_bytes from `page`, or nothing where they are zeros. Fails as store_page_store does. */
enum fp_status store_block_write(struct store *store, struct store_scratch *scratch,
                                 struct page_place place, const uint8_t *page)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);

struct block_part {
    uint32_t offset; /* in the page; offset + size_bytes <= page_bytes */
    uint32_t size_bytes;
    const uint8_t *bytes; /* NULL: zeros */
};
/* Keeps part of a page, and the rest of it as it is; `room` is page_bytes to work in. FP_CORRUPT:
 * what was there could not be unpacked. Fails as store_page_store does, too. */
enum fp_status store_block_write_part(struct store *store, struct store_scratch *scratch,
                                      struct page_place place, const struct block_part *part,
                                      uint8_t *room) FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);

/* Lets the slot hold zeros that are kept: it is not absent, and costs its cell. */
enum fp_status store_block_zero(struct store *store, struct store_scratch *scratch,
                                struct page_place place) FP_MUST_CHECK FP_NONNULL(1, 2);

enum block_kind { BLOCK_ABSENT, BLOCK_ZEROS, BLOCK_DATA };
struct block_run { /* slots that are alike */
    uint64_t end;  /* behind the last of them */
    enum block_kind kind;
};
/* What the slots from `slot` on are, as far as they are alike, up to `end`; *rows is how many rows
 * may be looked at, and is counted down: at 0 the run may go on behind what was looked at. Of what
 * others store meanwhile it may be as before or after. */
struct block_run store_block_look(struct store *store, struct area *area, uint64_t slot,
                                  uint64_t end, uint32_t *rows)
    FP_MUST_CHECK FP_NONNULL(1, 2, 5);

#endif
