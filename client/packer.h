/* SPDX-License-Identifier: BSD-3-Clause
 * packer - one area's pages, packed before they are sent and unpacked where they are read.
 *
 * What is agreed on comes with each opening: which codecs the server takes, what it packs with
 * itself, which dictionary the area has. A dictionary is fetched by its id by whoever sends things,
 * and learnt here; until then pages are packed without.
 *
 *   unknown --wanted, asked for--> known --forgotten by the server--> unknown
 *                              '--> useless: what came is no dictionary, or another
 *
 * Threads: the area's. Blocks: never; a page takes microseconds, a dictionary milliseconds.
 */
#ifndef FARPAGE_CLIENT_PACKER_H
#define FARPAGE_CLIENT_PACKER_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "client/include/farpage.h"
#include "client/reason.h"
#include "codec/codec_solo.h"
#include "protocol/frame_batch.h"

enum {
    PACKER_KITS = 6,         /* codecs with a dictionary each, ready to unpack */
    PACKER_DICTIONARIES = 4, /* at most DICTIONARY_BYTES_MAX each */
};

struct packer_kit {
    uint8_t codec; /* 0: free */
    uint32_t dictionary_id;
    uint64_t used; /* when last: by packer->clock */
    struct codec_solo solo;
};

struct packer_dictionary {
    uint32_t id; /* 0: free */
    uint64_t used;
    struct dictionary *dictionary; /* NULL: useless */
};

struct packer {
    enum farpage_pack wish;
    int level; /* 0: the codec's own */

    uint32_t codecs;    /* the server takes: a bit for each; 0: nothing travels packed */
    uint8_t codec;      /* stores are packed with; FRAME_CODEC_PLAIN: they are not */
    int codec_level;
    uint32_t page_bytes;
    uint32_t dictionary_id; /* of the area, as the server last said; 0: none */
    uint32_t wanted_id;     /* to be asked for; 0: none */

    uint64_t clock;
    struct packer_kit packing, kits[PACKER_KITS];
    struct packer_dictionary dictionaries[PACKER_DICTIONARIES];
    uint8_t *page; /* owned, page_bytes: a page on its way in or out */
};

/* FARPAGE_INVALID, with a reason: there is no such codec or level. Allocates nothing. */
enum farpage_status packer_init(struct packer *packer, enum farpage_pack wish, int level,
                                struct reason *reason) FP_MUST_CHECK FP_NONNULL(1, 4);
void packer_fini(struct packer *packer) FP_NONNULL(1);

/* Whether HELLO should ask for packed pages. */
bool packer_wants(const struct packer *packer) FP_NONNULL(1);

struct packer_terms {
    uint32_t codecs;        /* of the welcome */
    uint32_t page_bytes;
    uint8_t hint;           /* what the server packs with */
    int hint_level;
    uint32_t dictionary_id;
};
/* Where memory is out, pages travel plain. */
void packer_agree(struct packer *packer, const struct packer_terms *terms) FP_NONNULL(1, 2);

/* Writes an entry of STORE BATCH with its bytes to `at`, which has room for a plain one; how many
 * bytes that is. What does not shrink stays plain. Its dictionary goes to *dictionary_id. */
size_t packer_put(struct packer *packer, uint64_t slot, const uint8_t *page, uint8_t *at,
                  uint32_t *dictionary_id) FP_NONNULL(1, 3, 4, 5);

enum packer_result {
    PACKER_GOOD,
    PACKER_CORRUPT,      /* not exactly one page of that checksum */
    PACKER_NONSENSE,     /* not what the protocol allows */
    PACKER_NO_MEMORY,
    PACKER_UNKNOWN,      /* it needs a dictionary that is wanted now; ask for it plain */
};
/* The page of a `packed` reply, into page_bytes at `page`, which is touched where it is good. */
enum packer_result packer_take(struct packer *packer, struct slice body, uint8_t *page)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* What the server sent for wanted_id; no bytes where it has none. */
void packer_learn(struct packer *packer, struct slice bytes) FP_NONNULL(1);
/* The server knows the area's dictionary no more. */
void packer_forget(struct packer *packer, uint32_t id) FP_NONNULL(1);
/* The server takes nothing packed. */
void packer_stop(struct packer *packer) FP_NONNULL(1);

static inline bool packer_packs(const struct packer *packer)
{
    return packer->codec != FRAME_CODEC_PLAIN;
}

#endif
