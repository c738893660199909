/* SPDX-License-Identifier: BSD-3-Clause
 * conn_login - who has not authenticated yet: nothing is done for him but to look at that, and
 * little is read of him, for a login is short. Threads: the connection's worker. */
#ifndef FARPAGE_SERVER_CONN_LOGIN_H
#define FARPAGE_SERVER_CONN_LOGIN_H
#include "base/attrs.h"
#include "server/dispatcher.h"
#include "server/peer/output.h"

enum { LOGIN_TRIES_MAX = 3 };

struct conn_login {
    bool wanted; /* until it was good */
    uint8_t refused;
    const char *why; /* of LOGIN_CLOSE, for the log */
    _Atomic uint8_t *tenant; /* the connection's, which a good login settles */
};

enum login_step {
    LOGIN_ON,    /* look at what is left of the input */
    LOGIN_WAIT,  /* for *need_bytes in all */
    LOGIN_CLOSE, /* he is turned away, when told so */
};

/* Takes what was said off the front of *input, which is not empty, and answers. */
enum login_step conn_login(struct conn_login *login, struct dispatcher *dispatcher,
                           struct slice *input, size_t *need_bytes, struct output *output)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4, 5);

#endif
