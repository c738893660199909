/* SPDX-License-Identifier: BSD-3-Clause
 * door - what a client shows and asks for before it says anything: TLS, and who its user is. Made
 * once with the client and never changed, so that every connection may read it on any thread.
 *
 * Blocks: door_make reads files. */
#ifndef FARPAGE_CLIENT_DOOR_H
#define FARPAGE_CLIENT_DOOR_H
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/include/farpage.h"
#include "client/reason.h"
#include "tls/tls.h"

enum {
    DOOR_USER_BYTES_MAX = 128,
    DOOR_SECRET_BYTES_MAX = 384, /* with a user within what a server reads of a stranger */
    DOOR_LOGIN_BYTES_MAX = DOOR_USER_BYTES_MAX + DOOR_SECRET_BYTES_MAX + 64,
};

struct door {
    struct tls_context *tls; /* NULL: in the clear */
    char user[DOOR_USER_BYTES_MAX + 1];
    uint8_t login[DOOR_LOGIN_BYTES_MAX]; /* what is sent; secret */
    size_t login_bytes;                  /* 0: no login is needed */
};

/* FARPAGE_DENIED, FARPAGE_NO_MEMORY: *reason says why. door_close is due either way. */
enum farpage_status door_make(struct door *door, const struct farpage_options *options,
                              struct reason *reason) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void door_close(struct door *door) FP_NONNULL(1);

#endif
