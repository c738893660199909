/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/door/credentials.h"

#include <stdio.h>

#include "base/clock.h"
#include "server/config/config_doors.h"

void credentials_init(struct credentials *credentials)
{
    *credentials = (struct credentials){0};
    lock_init(&credentials->lock, RANK_CREDENTIALS);
}

void credentials_fini(struct credentials *credentials)
{
    credentials_drop(&credentials->now);
    lock_fini(&credentials->lock);
}

static enum fp_status read_tls(const struct config *config, struct tls_context **context,
                               char reason[CREDENTIALS_REASON_BYTES])
{
    static const enum tls_verify verify[] = {TLS_VERIFY_NONE, TLS_VERIFY_OPTIONAL,
                                             TLS_VERIFY_REQUIRED};
    const struct tls_options options = {
        .role = TLS_SERVER,
        .certificate = config->tls.certificate,
        .key = config->tls.key,
        .authorities = config->tls.client_ca,
        .verify = verify[config->tls.verify_clients],
        .minimum = config->tls.minimum_version == CONFIG_TLS_1_3 ? TLS_1_3 : TLS_1_2};
    char why[TLS_REASON_BYTES];
    if (!config_uses_tls(config)) return FP_OK;
    enum fp_status status = tls_context_create(&options, context, why);
    if (status != FP_OK) snprintf(reason, CREDENTIALS_REASON_BYTES, "tls: %s", why);
    return status;
}

enum fp_status credentials_read(const struct config *config, struct credentials_read *read,
                                char reason[CREDENTIALS_REASON_BYTES])
{
    char why[AUTH_REASON_BYTES];
    lock_assert_none();
    *read = (struct credentials_read){0};
    enum fp_status status = read_tls(config, &read->tls, reason);
    if (status != FP_OK || config->auth.file[0] == '\0') return status;
    status = auth_read(config->auth.file, &read->auth, why);
    if (status == FP_OK) return FP_OK;
    snprintf(reason, CREDENTIALS_REASON_BYTES, "auth.file: %s", why);
    credentials_drop(read);
    return status;
}

void credentials_log(const struct credentials_read *read, struct log *log)
{
    enum { DAY_SECONDS = 24 * 3600, DAYS_TO_WARN = 14 };
    if (read->auth != NULL)
        log_event(log, LOG_INFO, "clients authenticate",
                  log_number("users", auth_users(read->auth)));
    if (read->tls == NULL) return;
    int64_t left_s = tls_context_expires(read->tls) - (int64_t)(clock_unix_ns() / 1000000000);
    uint64_t days = left_s > 0 ? (uint64_t)left_s / DAY_SECONDS : 0;
    log_event(log, days < DAYS_TO_WARN ? LOG_WARN : LOG_INFO,
              left_s > 0 ? "certificate" : "the certificate has expired: clients will refuse it",
              log_number("days_left", days));
}

void credentials_drop(struct credentials_read *read)
{
    tls_context_destroy(&read->tls);
    auth_destroy(&read->auth);
}

void credentials_replace(struct credentials *credentials, struct credentials_read *read)
{
    lock_take(&credentials->lock);
    struct credentials_read old = credentials->now;
    credentials->now = *read;
    lock_drop(&credentials->lock);
    *read = (struct credentials_read){0};
    credentials_drop(&old);
}

struct tls *credentials_open_tls(struct credentials *credentials, int fd)
{
    lock_take(&credentials->lock);
    const struct tls_context *context = credentials->now.tls;
    struct tls *tls = context != NULL ? tls_open(context, fd) : NULL;
    lock_drop(&credentials->lock);
    return tls;
}

uint64_t credentials_expire_s(struct credentials *credentials)
{
    lock_take(&credentials->lock);
    int64_t expires = credentials->now.tls != NULL ? tls_context_expires(credentials->now.tls) : 0;
    lock_drop(&credentials->lock);
    return expires > 0 ? (uint64_t)expires : 0;
}

bool credentials_want_login(struct credentials *credentials)
{
    lock_take(&credentials->lock);
    bool wanted = credentials->now.auth != NULL;
    lock_drop(&credentials->lock);
    return wanted;
}

bool credentials_admit(struct credentials *credentials, struct slice user, struct slice password)
{
    lock_take(&credentials->lock);
    const struct auth *auth = credentials->now.auth;
    bool admitted = auth != NULL && auth_admits(auth, user, password);
    lock_drop(&credentials->lock);
    return admitted;
}
