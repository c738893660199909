/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/tenancy.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert((int)CONFIG_GUARANTEED_PERCENT == (int)TENANTS_GUARANTEED_PERCENT,
               "what is configured can be kept");
_Static_assert((int)CONFIG_TENANTS_MAX < (int)TENANTS_MAX, "each has a number");

/* --- who there is ----------------------------------------------------------------------------- */

const char *tenancy_refusal(struct shared *shared, const struct config *next)
{
    const struct tenants *tenants = store_tenants(shared->store);
    uint32_t added = 0;
    for (uint32_t i = 0; i < next->tenants_count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < atomic_load(&tenants->count); k++)
            known |= strcmp(tenants->of[k].name, next->tenants[i].name) == 0;
        added += !known;
    }
    return added <= tenants_room(tenants)
               ? NULL
               : "tenants: 64 names since the start are the most; so many need a restart";
}

static bool is_configured(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->tenants_count; i++)
        if (strcmp(config->tenants[i].name, name) == 0) return true;
    return false;
}

void tenancy_apply(struct shared *shared, const struct config *next)
{
    struct tenants *tenants = store_tenants(shared->store);
    for (uint32_t i = 0; i < atomic_load(&tenants->count); i++)
        if (!is_configured(next, tenants->of[i].name)) tenants_dismiss(tenants, (uint8_t)i);
    for (uint32_t i = 0; i < next->tenants_count; i++) {
        const struct config_tenant *wanted = &next->tenants[i];
        struct tenant_limits limits = {.quota_bytes = wanted->quota_bytes,
                                       .quota_pages = wanted->quota_pages,
                                       .guaranteed_bytes = wanted->guaranteed_bytes};
        uint8_t number;
        fp_assert(tenants_define(tenants, slice_text(wanted->name), &limits, &number) == FP_OK);
    }
}

uint8_t tenancy_number(struct shared *shared, const char *name)
{
    uint8_t number = TENANT_DEFAULT;
    if (name[0] == '\0') return number;
    fp_assert(tenants_find(store_tenants(shared->store), slice_text(name), &number));
    return number;
}

/* --- who belongs to whom ---------------------------------------------------------------------- */

static bool find(struct shared *shared, const struct config_member *member,
                 _Atomic uint8_t *tenant)
{
    bool found = false;
    lock_take(&shared->config_lock);
    const struct config *config = shared->config;
    for (uint32_t i = 0; i < config->tenants_count && !found; i++) {
        uint8_t number;
        if (!config_tenant_has(&config->tenants[i], member)) continue;
        found = tenants_find(store_tenants(shared->store), slice_text(config->tenants[i].name),
                             &number);
        if (found) atomic_store(tenant, number);
    }
    lock_drop(&shared->config_lock);
    return found;
}

void tenancy_of_user(struct shared *shared, struct slice user, _Atomic uint8_t *tenant)
{
    (void)find(shared, &(struct config_member){MEMBER_USER, user}, tenant);
}

void tenancy_of_uid(struct shared *shared, uint32_t uid, _Atomic uint8_t *tenant)
{
    char text[16];
    snprintf(text, sizeof text, "%" PRIu32, uid);
    (void)find(shared, &(struct config_member){MEMBER_UID, slice_text(text)}, tenant);
}

void tenancy_of_peer(struct shared *shared, const struct tls *tls, _Atomic uint8_t *tenant)
{
    char name[TLS_PEER_NAME_BYTES];
    for (unsigned i = 0; tls_peer_name(tls, i, name); i++)
        if (find(shared, &(struct config_member){MEMBER_CERTIFICATE, slice_text(name)}, tenant))
            return;
}
