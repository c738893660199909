/* SPDX-License-Identifier: BSD-3-Clause
 * store_again - what was packed and kept before, kept once more. Seen by store*.c only. */
#ifndef FARPAGE_STORAGE_STORE_AGAIN_H
#define FARPAGE_STORAGE_STORE_AGAIN_H
#include "storage/store/store_internal.h"

/* What was packed and kept before, as a snapshot has it. */
struct again {
    enum { AGAIN_PACKED, AGAIN_PLAIN, AGAIN_WORD, AGAIN_CORRUPT } form;
    struct compressor *compressor; /* of what is packed; acquired by the caller */
    uint32_t crc;                  /* the bits of it that were kept; the others are 0 */
    struct slice bytes;            /* of a word 8 */
};
/* Keeps it as it is; what was damaged stays so. FP_TOO_BIG: the allocator has no objects of that
 * size. FP_NO_MEMORY. */
enum fp_status store_keep_again(struct store *store, struct store_scratch *scratch,
                                const struct again *again, struct stored *stored) FP_MUST_CHECK;

#endif
