/* SPDX-License-Identifier: BSD-3-Clause
 * config_tenant - who shares the server: what each may hold and can count on, and who belongs to
 * him. Pure; any thread. */
#ifndef FARPAGE_SERVER_CONFIG_TENANT_H
#define FARPAGE_SERVER_CONFIG_TENANT_H
#include "base/attrs.h"
#include "base/slice.h"
#include "protocol/limits.h"
#include "server/config/config_item.h"

enum {
    CONFIG_TENANTS_MAX = 63, /* and everybody else */
    CONFIG_MEMBERS_BYTES = 240,
    CONFIG_GUARANTEED_PERCENT = 75, /* of storage.memory_limit, of all together */
};
#define CONFIG_TENANT_DEFAULT "default" /* whoever belongs to no other */

struct config_tenant {
    struct config_item item;
    char name[AREA_NAME_BYTES_MAX + 1];
    char members[CONFIG_MEMBERS_BYTES + 1]; /* blank separated; well formed */
    uint64_t quota_bytes;                   /* 0: none */
    uint32_t quota_pages;                   /* 0: none */
    uint64_t guaranteed_bytes;              /* <= quota_bytes, where that is not 0 */
};

enum config_member_kind { MEMBER_USER, MEMBER_UID, MEMBER_CERTIFICATE };
struct config_member {
    enum config_member_kind kind;
    struct slice name; /* of a uid its digits */
};

/* Takes the next of `members` off its front. False: there is none, or (*wrong is not empty) it is
 * none of user:NAME, uid:NUMBER and cert:NAME. */
bool config_member_next(struct slice *members, struct config_member *member, struct slice *wrong)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* Whether it is among them. */
bool config_tenant_has(const struct config_tenant *tenant, const struct config_member *member)
    FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
