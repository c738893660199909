/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/conn/conn_kept.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"

static struct budget *budget_of(struct dispatcher *dispatcher)
{
    return store_budget(dispatcher->shared->store);
}

static bool charge(struct dispatcher *dispatcher, uint64_t more)
{
    while (!budget_charge(budget_of(dispatcher), BUDGET_CONNECTIONS, more))
        if (!store_evict_one(dispatcher->shared->store, dispatcher->scratch)) return false;
    return true;
}

bool kept_grow(struct kept *kept, struct dispatcher *dispatcher, const struct kept_room *room)
{
    size_t capacity = room->capacity_bytes;
    if (capacity <= kept->capacity_bytes) return true;
    uint64_t more = capacity - kept->capacity_bytes;
    if (!charge(dispatcher, more)) {
        if (!room->anyway && capacity > room->always_bytes) return false;
        budget_charge_anyway(budget_of(dispatcher), BUDGET_CONNECTIONS, more);
    }
    uint8_t *bytes = realloc(kept->bytes, capacity);
    if (bytes == NULL) {
        budget_return(budget_of(dispatcher), BUDGET_CONNECTIONS, more);
        return false;
    }
    kept->bytes = bytes;
    kept->capacity_bytes = capacity;
    return true;
}

bool kept_set(struct kept *kept, struct dispatcher *dispatcher, struct slice bytes,
              const struct kept_room *room)
{
    if (bytes.size_bytes == 0) {
        if (kept->bytes != NULL) kept_drop(kept, dispatcher);
        return true;
    }
    bool own = kept->bytes != NULL && bytes.bytes >= kept->bytes &&
               bytes.bytes < kept->bytes + kept->capacity_bytes;
    if (!own && !kept_grow(kept, dispatcher, room)) return false;
    memmove(kept->bytes, bytes.bytes, bytes.size_bytes);
    kept->size_bytes = bytes.size_bytes;
    return true;
}

void kept_drop(struct kept *kept, struct dispatcher *dispatcher)
{
    budget_return(budget_of(dispatcher), BUDGET_CONNECTIONS, kept->capacity_bytes);
    free(kept->bytes);
    *kept = (struct kept){0};
}
