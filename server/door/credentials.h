/* SPDX-License-Identifier: BSD-3-Clause
 * credentials - what the server proves who it is with and whom it believes, read from the files
 * that the configuration names. A reload reads them again: what is good takes the place of what
 * was, for connections to come; where anything is wrong all stays as it is.
 *
 *   credentials_read -> what was read -> credentials_replace
 *                                `- or dropped
 *
 * Threads: any. Locks: RANK_CREDENTIALS. Blocks: credentials_read does, for the files.
 */
#ifndef FARPAGE_SERVER_CREDENTIALS_H
#define FARPAGE_SERVER_CREDENTIALS_H
#include "base/lock.h"
#include "server/config/config.h"
#include "server/door/auth.h"
#include "tls/tls.h"

enum { CREDENTIALS_REASON_BYTES = TLS_REASON_BYTES + 16 /* and of auth, which are as many */ };

struct credentials_read { /* what files said */
    struct tls_context *tls; /* NULL: no listener has TLS on */
    struct auth *auth;       /* NULL: nobody needs to authenticate */
};

struct credentials {
    struct lock lock; /* guards what is read */
    struct credentials_read now;
};

void credentials_init(struct credentials *credentials) FP_NONNULL(1);
void credentials_fini(struct credentials *credentials) FP_NONNULL(1);

/* Reads what the configuration names. Otherwise *reason names the key, the file and the cure. */
enum fp_status credentials_read(const struct config *config, struct credentials_read *read,
                                char reason[CREDENTIALS_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* Tells people what was read. */
void credentials_log(const struct credentials_read *read, struct log *log) FP_NONNULL(1, 2);
void credentials_drop(struct credentials_read *read) FP_NONNULL(1);

/* Takes *read over. */
void credentials_replace(struct credentials *credentials, struct credentials_read *read)
    FP_NONNULL(1, 2);

/* A TLS stream over a connection that came in; NULL: no memory. */
struct tls *credentials_open_tls(struct credentials *credentials, int fd)
    FP_MUST_CHECK FP_NONNULL(1);

/* When the server's certificate ends, in Unix seconds; 0: it has none. */
uint64_t credentials_expire_s(struct credentials *credentials) FP_NONNULL(1);

bool credentials_want_login(struct credentials *credentials) FP_NONNULL(1);

/* Is it that user's password? Nobody's where there are no users any more. */
bool credentials_admit(struct credentials *credentials, struct slice user, struct slice password)
    FP_MUST_CHECK FP_NONNULL(1);

#endif
