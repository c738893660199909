/* SPDX-License-Identifier: BSD-3-Clause
 * store_item - items as memcached's classic commands ask for them; store.h includes it, and says
 * what holds for all of the store. What the meta commands ask for besides is in store_meta.h.
 */
#ifndef FARPAGE_STORAGE_STORE_ITEM_H
#define FARPAGE_STORAGE_STORE_ITEM_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "base/status.h"
#include "storage/keydir/item.h"

struct store;
struct store_join;
struct store_scratch;
struct store_value;

/* New times for an item, as exptimes. A client may give both. */
struct item_times {
    const int64_t *touch;  /* NULL: as it is */
    const int64_t *create; /* of an item that is made for this request; NULL: `touch`, else never */
    bool touch_created;    /* with both, a new item gets `touch` */
};

/* Seconds an item had left, and has with each of those times. */
enum { ITEM_TTL_NEVER = -1 };
struct item_ttls {
    int64_t before; /* of an item made for this request ITEM_TTL_NEVER */
    int64_t touched, created;
};

enum item_mode { ITEM_SET, ITEM_ADD, ITEM_REPLACE, ITEM_APPEND, ITEM_PREPEND, ITEM_CAS };

struct item_stored { /* what became of it */
    uint64_t cas;
    uint32_t value_bytes;
};

struct item_put {
    enum item_mode mode;
    struct slice key, value;
    uint32_t flags;
    int64_t exptime; /* as memcached means it */
    uint64_t cas;    /* ITEM_CAS: what it must have now; of an append or prepend unless 0, too */
    bool may_be_stale; /* ITEM_CAS: or a higher one; it is stored as stale then */
    bool creates;      /* append and prepend: the first one sets */
    bool key_binary;   /* the key is to be shown in base64 */
    const uint64_t *new_cas;    /* NULL: the next one */
    struct item_stored *stored; /* filled on FP_OK; may be NULL */
    /* store_value.h. whole: unless NULL the value, packed already, in place of `value`; *whole is
     * NULL afterwards where it was taken. join: unless NULL a long append or prepend may be left
     * undone: *join is not NULL then, and the same put is to be given again until it is, or it is
     * given up (store_join_end). */
    struct store_value **whole;
    struct store_join **join;
};

/* FP_NOT_STORED: the mode's condition does not hold. FP_ABSENT, FP_EXISTS: for a cas.
 * FP_NO_MEMORY: nothing could give way. FP_LATER: not yet, only with scratch->may_wait.
 * FP_SPILLED: what was to be appended to has to be read first. FP_TOO_BIG: the whole value would
 * exceed value_bytes_max. FP_CORRUPT: what was to be appended to. Unless FP_OK the old value is
 * still there. */
enum fp_status store_item_put(struct store *store, struct store_scratch *scratch,
                              const struct item_put *put, uint64_t value_bytes_max)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* What can be told before the value is there: whether the mode's condition holds now. */
enum fp_status store_item_look_ahead(struct store *store, struct store_scratch *scratch,
                                     const struct item_put *put) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* Adds to or takes from a decimal value, as incr (wraps at 2^64) and decr (stops at 0) do. */
struct item_delta {
    struct slice key;
    uint64_t delta;
    bool down;
    bool creates; /* where it is absent it becomes `initial` */
    bool key_binary;
    uint64_t initial;
    uint64_t cas;            /* unless 0: what it must have now */
    const uint64_t *new_cas; /* NULL: the next one */
    struct item_times times;
};
struct item_counted {
    uint64_t number;
    uint64_t cas;
    bool created;
    struct item_ttls ttls;
};
/* FP_ABSENT, FP_EXISTS: for the cas, FP_NOT_A_NUMBER, FP_CORRUPT, FP_NO_MEMORY, and FP_LATER and
 * FP_SPILLED as of a put: nothing changed. */
enum fp_status store_item_delta(struct store *store, struct store_scratch *scratch,
                                const struct item_delta *change, struct item_counted *counted)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* The item with one reference for the caller, who must release it; it counts as used now. `touch`
 * (may be NULL) is a new exptime. What is spilled counts as used once its value was read for the
 * request (store_spill.h). NULL: there is none, or it has expired. */
struct item *store_item_acquire(struct store *store, struct store_scratch *scratch,
                                struct slice key, const int64_t *touch) FP_NONNULL(1, 2);
/* The same, but it does not count as used. */
struct item *store_item_hold(struct store *store, struct store_scratch *scratch, struct slice key)
    FP_NONNULL(1, 2);
void store_item_release(struct store *store, struct store_scratch *scratch,
                        struct item **item) FP_NONNULL(1, 2, 3);
/* Writes the item's value_bytes to out. FP_SPILLED: some of it is in the file below memory, and was
 * not read for this request (store_spill.h). FP_CORRUPT: out is not to be shown to anybody. */
enum fp_status store_item_read(struct store *store, struct store_scratch *scratch,
                               const struct item *item, uint8_t *out)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);
/* The same of one of its pieces: item_piece_bytes(). */
enum fp_status store_item_read_piece(struct store *store, struct store_scratch *scratch,
                                     const struct item *item, uint32_t piece, uint8_t *out)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 5);

enum fp_status store_item_delete(struct store *store, struct store_scratch *scratch,
                                 struct slice key) FP_MUST_CHECK FP_NONNULL(1, 2); /* FP_ABSENT */
/* Makes all items invalid that are stored until now or, where exptime is positive, until then, a
 * delay or a date as memcached means it; a date before the start makes none invalid. It takes the
 * place of one that waits. */
void store_flush(struct store *store, struct store_scratch *scratch, int64_t exptime)
    FP_NONNULL(1, 2);

/* Called for each item that gives way while it is valid, with no lock held; it is in no table any
 * more. To be set before any other thread is there. */
typedef void store_evicted(void *context, const struct item *item, uint64_t now_ms);
void store_on_eviction(struct store *store, store_evicted *evicted, void *context)
    FP_NONNULL(1, 2);

/* What packed the item's value: "zstd:3"; "none" where nothing did, "same" for one repeated word,
 * "mixed" where pieces differ. The caller has a reference. */
enum { ITEM_CODEC_TEXT_BYTES = 32 };
void store_item_codec(struct store *store, const struct item *item,
                      char text[ITEM_CODEC_TEXT_BYTES]) FP_NONNULL(1, 2, 3);

#endif
