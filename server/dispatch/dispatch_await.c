/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/dispatch/dispatch_await.h"

enum { AHEAD_PIECES_MAX = 64 }; /* asked for by one request before it looks for no more */

static enum spill_item ask(struct dispatcher *dispatcher, struct item *item,
                           enum store_promote how)
{
    struct spill_wish wish = {.how = how, .pieces_max = UINT32_MAX};
    return spill_ask_item(&dispatcher->asked, dispatcher->shared->store, dispatcher->scratch, item,
                          &wish);
}

/* What is sent in steps would be read again for each of them. */
static enum store_promote how_for(const struct item *item)
{
    return item->value_bytes > ITEM_WHOLE_BYTES_MAX ? PROMOTE_ALWAYS : PROMOTE_BY_POLICY;
}

enum spill_item dispatch_ask_item(struct dispatcher *dispatcher, struct item *item)
{
    return ask(dispatcher, item, how_for(item));
}

void dispatch_ask_ahead(struct dispatcher *dispatcher, struct slice key)
{
    struct store *store = dispatcher->shared->store;
    if (dispatcher->asked.count >= AHEAD_PIECES_MAX) return;
    struct item *item = store_item_hold(store, dispatcher->scratch, key);
    if (item == NULL) return;
    (void)ask(dispatcher, item, how_for(item)); /* or it asks when it has its turn */
    store_item_release(store, dispatcher->scratch, &item);
}

bool dispatch_await_key(struct dispatcher *dispatcher, struct slice key, enum dispatch *result)
{
    struct store *store = dispatcher->shared->store;
    struct item *item = store_item_hold(store, dispatcher->scratch, key);
    *result = DISPATCH_AGAIN; /* it is another by now, or none */
    if (item == NULL) return true;
    enum spill_item asked = ask(dispatcher, item, PROMOTE_ALWAYS);
    store_item_release(store, dispatcher->scratch, &item);
    if (asked == SPILL_ITEM_ASKED) *result = DISPATCH_WAIT;
    return asked != SPILL_ITEM_NO_MEMORY;
}
