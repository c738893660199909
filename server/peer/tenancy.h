/* SPDX-License-Identifier: BSD-3-Clause
 * tenancy - who belongs to which tenant, as the configuration in force says.
 *
 * A connection's tenant is that of the user who authenticated; else of a name in its certificate;
 * else of the uid at the other end of a unix socket; else the default one. It is settled when each
 * becomes known: what a reload changes is for connections to come.
 *
 * Threads: any. Locks: RANK_CONFIG_RELOAD, for a moment. Blocks: never.
 */
#ifndef FARPAGE_SERVER_TENANCY_H
#define FARPAGE_SERVER_TENANCY_H
#include "server/shared.h"
#include "tls/tls.h"

/* NULL, or why tenancy_apply would fail: too many names in one run. */
const char *tenancy_refusal(struct shared *shared, const struct config *next) FP_NONNULL(1, 2);
/* Gives the tenants their limits, and those that are configured no more none. By one thread at a
 * time. */
void tenancy_apply(struct shared *shared, const struct config *next) FP_NONNULL(1, 2);

/* The number of the tenant that is called so ("": the default one); it is configured. */
uint8_t tenancy_number(struct shared *shared, const char *name) FP_NONNULL(1, 2);

/* Writes whose it is to *tenant, where somebody has that member; else leaves it. */
void tenancy_of_user(struct shared *shared, struct slice user, _Atomic uint8_t *tenant)
    FP_NONNULL(1, 3);
void tenancy_of_uid(struct shared *shared, uint32_t uid, _Atomic uint8_t *tenant)
    FP_NONNULL(1, 3);
/* By the certificate that the other end showed, if it did. */
void tenancy_of_peer(struct shared *shared, const struct tls *tls, _Atomic uint8_t *tenant)
    FP_NONNULL(1, 2, 3);

#endif
