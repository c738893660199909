/* SPDX-License-Identifier: BSD-3-Clause
 * store_packed - pages that come and go packed: kept as a client packed them, and given as they are
 * kept to whoever can unpack them. Nothing is unpacked or checked on the way.
 *
 * Threads, locks, blocking: as store.h. */
#ifndef FARPAGE_STORAGE_STORE_PACKED_H
#define FARPAGE_STORAGE_STORE_PACKED_H
#include "storage/store/store.h"

/* A page as somebody else packed it, who knows the checksum of the plain one. */
struct page_packed {
    struct packed_kind kind;
    struct packed bytes; /* of a word PACKED_WORD_BYTES, else less than a page */
    uint32_t crc;        /* where the store says it, the upper 30 bits of it; the others are 0 */
};
/* Keeps it as it is; what it unpacks to is looked at by nobody before it is loaded. FP_ABSENT: its
 * dictionary is not the area's. FP_TOO_BIG: there is no page of so many bytes. FP_BUSY: every seat
 * still has objects. FP_NO_MEMORY, FP_RANGE: as above. */
enum fp_status store_page_store_packed(struct store *store, struct store_scratch *scratch,
                                       struct page_place place, const struct page_packed *page)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);

struct page_wish {
    uint32_t formats; /* a bit for each enum packed_format that is welcome, plain besides */
    uint8_t *out;     /* packed_at + page_bytes of room */
    size_t packed_at; /* in it; a plain page is at its beginning */
};
/* As store_page_load, but what is kept packed in a welcome format is given as it is, unchecked, in
 * page->bytes; else page->kind.format is PACKED_PLAIN and the page in wish->out, with its checksum
 * whole. FP_CORRUPT as there. */
enum fp_status store_page_load_packed(struct store *store, struct store_scratch *scratch,
                                      struct page_place place, const struct page_wish *wish,
                                      struct page_packed *page)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);

/* The dictionary of that id which this area has, or had and has objects of; one use is the
 * caller's. NULL: there is none. */
struct dictionary *store_page_dictionary(struct store *store, const struct area *area, uint32_t id)
    FP_NONNULL(1, 2);

#endif
