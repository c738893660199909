/* SPDX-License-Identifier: BSD-3-Clause
 * auth - the users who may come in, as a file lists them, one a line:
 *
 *   user:password                 as memcached's auth file has them
 *   user:sha256:64 hex digits     SHA-256 of a token of 256 random bits, which the file then does
 *                                 not betray
 *
 * Empty lines and those that begin with # are passed over; the last may lack its end. A file that
 * others than its owner and group may read is refused. Only digests are kept in memory, and a
 * question costs the same whoever is asked about: every user is compared with.
 *
 * Threads: any; the list never changes. Blocks: auth_read, for the file.
 */
#ifndef FARPAGE_SERVER_AUTH_H
#define FARPAGE_SERVER_AUTH_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "base/status.h"

enum {
    AUTH_FILE_BYTES_MAX = 64 << 10,
    AUTH_USERS_MAX = 256, /* each is compared with at each login */
    AUTH_REASON_BYTES = 512,
};

struct auth;

/* FP_IO, FP_INVALID, FP_NO_MEMORY: *reason is one line that names the file, the line and the
 * cure. */
enum fp_status auth_read(const char *path, struct auth **auth, char reason[AUTH_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* The same of a text; the reason begins with the number of the line. */
enum fp_status auth_parse(struct slice text, struct auth **auth, char reason[AUTH_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(2, 3);

void auth_destroy(struct auth **auth) FP_NONNULL(1); /* takes it, leaves NULL */

uint32_t auth_users(const struct auth *auth) FP_NONNULL(1);

/* Is it that user's password or token? */
bool auth_admits(const struct auth *auth, struct slice user, struct slice password)
    FP_MUST_CHECK FP_NONNULL(1);

#endif
