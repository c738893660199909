/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbers: read from the value as text, changed, written back as a value of the same item. A number
 * that becomes shorter keeps the old length, filled with blanks as memcached does, and then counts
 * as the same value: it stays stale if it was. */
#include <inttypes.h>
#include <stdio.h>

#include "base/number.h"
#include "storage/store/store_internal.h"

enum {
    NUMBER_DIGITS_MAX = 20,
    NUMBER_VALUE_BYTES_MAX = 256, /* with its blanks; a longer value is no number */
};

/* Digits, then perhaps the blanks that an earlier decr left. */
static bool read_number(struct slice text, uint64_t *number)
{
    while (text.size_bytes > 0 && text.bytes[text.size_bytes - 1] == ' ') text.size_bytes--;
    return number_wire_u64(text, number);
}

/* FP_INVALID: it has not the cas that was asked for. FP_EXISTS: it has changed meanwhile. */
static enum fp_status change_once(struct store *store, struct store_scratch *scratch,
                                  const struct item_delta *change, const struct item *old,
                                  struct item_counted *counted)
{
    uint8_t text[NUMBER_VALUE_BYTES_MAX + NUMBER_DIGITS_MAX + 4] = {0};
    uint64_t number, old_cas = item_cas(old);
    size_t old_bytes = old->value_bytes;
    if (old_bytes == 0 || old_bytes > NUMBER_VALUE_BYTES_MAX) return FP_NOT_A_NUMBER;
    if (change->cas != 0 && old_cas != change->cas) return FP_INVALID;
    enum fp_status status = store_item_read(store, scratch, old, text);
    if (status != FP_OK) return status;
    if (!read_number(slice_of(text, old_bytes), &number)) return FP_NOT_A_NUMBER;
    if (!change->down) number += change->delta;
    else number = number > change->delta ? number - change->delta : 0;

    int size = snprintf((char *)text, sizeof text, "%-*" PRIu64, (int)old_bytes, number);
    struct item_stored stored = {0};
    struct rewrite rewrite = {.item = old,
                              .item_cas = old_cas,
                              .value = slice_of(text, (size_t)size),
                              .keeps_marks = (size_t)size == old_bytes,
                              .cas = change->new_cas,
                              .stored = &stored,
                              .times = &change->times,
                              .ttls = &counted->ttls};
    status = store_item_rewrite(store, scratch, &rewrite);
    counted->number = number;
    counted->cas = stored.cas;
    counted->created = false;
    return status;
}

static enum fp_status create(struct store *store, struct store_scratch *scratch,
                             const struct item_delta *change, struct item_counted *counted)
{
    char text[NUMBER_DIGITS_MAX + 4];
    if (!change->creates) return FP_ABSENT;
    int size = snprintf(text, sizeof text, "%" PRIu64, change->initial);
    struct item_stored stored = {0};
    struct item_put put = {.mode = ITEM_ADD,
                           .key = change->key,
                           .value = slice_of(text, (size_t)size),
                           .exptime = store_created_exptime(&change->times),
                           .key_binary = change->key_binary,
                           .new_cas = change->new_cas,
                           .stored = &stored};
    enum fp_status status = store_item_put(store, scratch, &put, NUMBER_VALUE_BYTES_MAX);
    if (status == FP_NOT_STORED) return FP_EXISTS; /* somebody else was quicker */
    *counted = (struct item_counted){
        .number = change->initial,
        .cas = stored.cas,
        .created = true,
        .ttls = store_item_ttls(scratch, 0, &change->times),
    };
    return status;
}

enum fp_status store_item_delta(struct store *store, struct store_scratch *scratch,
                                const struct item_delta *change, struct item_counted *counted)
{
    enum fp_status status;
    scratch->later = false;
    do {
        struct item *old = store_item_hold(store, scratch, change->key);
        if (old == NULL) {
            status = create(store, scratch, change, counted);
        } else {
            status = change_once(store, scratch, change, old, counted);
            if (status == FP_NO_MEMORY && scratch->later) status = FP_LATER;
            if (status == FP_NO_MEMORY) store_count(&store->counters.no_memory, 1);
            store_item_release(store, scratch, &old);
        }
    } while (status == FP_EXISTS);
    return status == FP_INVALID ? FP_EXISTS : status;
}
