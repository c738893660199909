/* SPDX-License-Identifier: BSD-3-Clause
 * store_tenant - whose what is stored is, as the files of the store count it. Seen by them only. */
#ifndef FARPAGE_STORAGE_STORE_TENANT_H
#define FARPAGE_STORAGE_STORE_TENANT_H
#include "storage/store/store.h"

/* Counts `next` as its tenant's, in the place of `old` (may be NULL), which then counts no more. It
 * comes before store_item_enter_locked. FP_QUOTA: it would pass the quota; nothing has changed. */
enum fp_status store_item_charge_locked(struct store *store, struct store_scratch *scratch,
                                        const struct item *next, const struct item *old)
    FP_MUST_CHECK;
/* The same, whatever the quota: of what was stored once. */
void store_item_charge_anyway_locked(struct store *store, const struct item *next,
                                     const struct item *old);
/* Counts a refusal, if it was one, when nothing can make way any more. */
void store_count_over_quota(struct store *store, const struct item *item, enum fp_status status);
/* What is counted of it becomes more or less by so much, whatever the quota. */
void store_item_recharge(struct store *store, const struct item *item, uint64_t more_bytes);
/* True: something has given way for what was refused so, and it may be tried again: FP_NO_MEMORY,
 * or FP_QUOTA of the tenant that the scratch is for. */
bool store_make_way(struct store *store, struct store_scratch *scratch, enum fp_status status)
    FP_MUST_CHECK;
/* Counts packed bytes of the scratch's tenant; its items give way for them. */
enum fp_status store_tenant_take(struct store *store, struct store_scratch *scratch,
                                 struct tenant_need need) FP_MUST_CHECK;

#endif
