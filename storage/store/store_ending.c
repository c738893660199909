/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of what was long and nobody wants any more: its pieces are put in a list, in no time -> some
 * of them are freed by each step, for whoever wants memory or, soon, by the maintainer -> its
 * record is freed with the last. Its memory counts until then.
 *
 * The list is taken whole by who works on it and what is left of it put back, so that nobody ever
 * looks at an element that somebody else may free.
 */
#include <stdlib.h>

#include "base/arith.h"
#include "storage/store/item/store_value_internal.h"

enum { PIECES_PER_STEP = 64 };

struct ending {
    struct ending *next;
    struct ending_pieces what;
};

enum { ENDING_BYTES = sizeof(struct ending) + 8 }; /* with malloc's header */

static void free_some(struct store *store, struct store_scratch *scratch,
                      struct ending_pieces *what, uint32_t most)
{
    uint32_t left = what->count - (uint32_t)min_u64(what->count, most);
    while (what->count > left) store_handle_end(store, scratch, what->pieces[--what->count]);
    if (left > 0) return;
    budget_return(&store->budget, BUDGET_ITEMS, what->charged_bytes);
    free(what->table);
    free(what->record);
}

static void put_back(struct store *store, struct ending *first, struct ending *last)
{
    last->next = atomic_load(&store->endings);
    while (!atomic_compare_exchange_weak(&store->endings, &last->next, first)) {}
}

void store_end_pieces(struct store *store, struct store_scratch *scratch,
                      const struct ending_pieces *pieces)
{
    struct ending_pieces what = *pieces;
    struct ending *ending = what.count > PIECES_PER_STEP ? malloc(sizeof *ending) : NULL;
    if (ending == NULL) { /* or all at once: to end something must not fail */
        free_some(store, scratch, &what, what.count);
        return;
    }
    budget_charge_anyway(&store->budget, BUDGET_ITEMS, ENDING_BYTES);
    what.charged_bytes += ENDING_BYTES;
    ending->what = what;
    put_back(store, ending, ending);
}

bool store_end_step(struct store *store, struct store_scratch *scratch)
{
    if (atomic_load_explicit(&store->endings, memory_order_relaxed) == NULL) return false;
    struct ending *first = atomic_exchange(&store->endings, NULL), *left = first, *none = NULL;
    if (first == NULL) return false;
    free_some(store, scratch, &first->what, PIECES_PER_STEP);
    if (first->what.count == 0) {
        left = first->next;
        free(first);
    }
    if (left == NULL || atomic_compare_exchange_strong(&store->endings, &none, left)) return true;
    struct ending *last = left;
    while (last->next != NULL) last = last->next;
    put_back(store, left, last);
    return true;
}
