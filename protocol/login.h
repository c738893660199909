/* SPDX-License-Identifier: BSD-3-Clause
 * login - what a connection must say first where authentication is wanted: memcached's
 *
 *     set KEY FLAGS EXPTIME BYTES\r\nUSER PASSWORD\r\n
 *
 * whose key, flags and time mean nothing. Nothing longer than LOGIN_BYTES_MAX is waited for.
 *
 * Pure, as request.h. */
#ifndef FARPAGE_PROTOCOL_LOGIN_H
#define FARPAGE_PROTOCOL_LOGIN_H
#include <stddef.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "protocol/limits.h"

enum { LOGIN_BYTES_MAX = LOGIN_LINE_BYTES_MAX + 1 + LOGIN_BODY_BYTES_MAX + 2 };

enum login_parse {
    LOGIN_READY,   /* *login is whole: is it true? */
    LOGIN_PARTIAL, /* read more, then call again from the same start */
    LOGIN_REFUSED, /* answer *refusal, consume, go on */
    LOGIN_LOST,    /* answer *refusal (may be "") and close */
};

struct login { /* borrows from the buffer */
    struct slice user, password;
    size_t size_bytes; /* of READY and REFUSED: consume just that */
};

/* *refusal is a constant without line end. The buffer is not empty. */
enum login_parse login_parse(struct slice buffer, struct login *login, const char **refusal)
    FP_MUST_CHECK FP_NONNULL(2, 3);

#endif
