/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/conns.h"

#include <string.h>

#include "base/check.h"

void conns_init(struct conns *conns)
{
    *conns = (struct conns){0};
    lock_init(&conns->lock, RANK_CONNS);
}

void conns_fini(struct conns *conns)
{
    fp_assert(conns->first == NULL && atomic_load(&conns->count) == 0);
    lock_fini(&conns->lock);
}

bool conns_admit(struct conns *conns, uint32_t max)
{
    uint32_t count = atomic_load(&conns->count);
    do {
        if (count >= max) {
            atomic_fetch_add(&conns->rejected, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&conns->count, &count, count + 1));
    atomic_fetch_add(&conns->accepted, 1);
    return true;
}

void conns_dismiss(struct conns *conns)
{
    fp_assert(atomic_fetch_sub(&conns->count, 1) > 0);
}

void conns_link(struct conns *conns, struct conn_row *row)
{
    lock_take(&conns->lock);
    row->prev = NULL;
    row->next = conns->first;
    if (row->next != NULL) row->next->prev = row;
    conns->first = row;
    lock_drop(&conns->lock);
}

void conns_unlink(struct conns *conns, struct conn_row *row)
{
    lock_take(&conns->lock);
    if (row->prev != NULL) row->prev->next = row->next;
    else conns->first = row->next;
    if (row->next != NULL) row->next->prev = row->prev;
    lock_drop(&conns->lock);
}

void conns_each(struct conns *conns, void (*each)(void *context, const struct conn_row *row),
                void *context)
{
    lock_take(&conns->lock);
    for (const struct conn_row *row = conns->first; row != NULL; row = row->next)
        each(context, row);
    lock_drop(&conns->lock);
}

bool conn_row_is_local(const struct conn_row *row)
{
    static const char *const beginnings[] = {"unix:", "tcp:127.", "tcp6:[::1]",
                                             "tcp6:[::ffff:127."};
    for (size_t i = 0; i < FP_COUNT_OF(beginnings); i++)
        if (strncmp(row->peer, beginnings[i], strlen(beginnings[i])) == 0) return true;
    return false;
}

const char *conn_state_name(enum conn_state state)
{
    static const char *const names[] = {
#define X(state, name, meaning) name,
        CONN_STATES(X)
#undef X
    };
    fp_assert((unsigned)state < FP_COUNT_OF(names));
    return names[state];
}

const char *conn_dialect_name(int dialect)
{
    if (dialect == DIALECT_TEXT) return "text";
    if (dialect == DIALECT_NBD) return "nbd";
    return dialect == DIALECT_FRAMES ? "frames" : "unknown";
}
