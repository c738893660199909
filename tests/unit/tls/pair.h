/* SPDX-License-Identifier: BSD-3-Clause
 * pair - both ends of a TLS stream in one process, over a socket with small buffers. */
#ifndef FARPAGE_TESTS_UNIT_TLS_PAIR_H
#define FARPAGE_TESTS_UNIT_TLS_PAIR_H
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/base/suite.h"
#include "tls/tls.h"

static char pair_directory[] = "/tmp/check-tls-XXXXXX";
static char pair_pem[64], pair_key[64];

/* A certificate of its own authority. Once for the program. */
static inline bool pair_make_identity(void)
{
    char command[512];
    if (mkdtemp(pair_directory) == NULL) return false;
    snprintf(pair_pem, sizeof pair_pem, "%s/pem", pair_directory);
    snprintf(pair_key, sizeof pair_key, "%s/key", pair_directory);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
             "-subj /CN=here -addext subjectAltName=DNS:here,IP:127.0.0.1 -keyout %s -out %s "
             "2>/dev/null",
             pair_key, pair_pem);
    return system(command) == 0;
}

static inline void pair_remove_identity(void)
{
    unlink(pair_pem);
    unlink(pair_key);
    rmdir(pair_directory);
}

static inline struct tls_context *pair_context(enum tls_role role)
{
    struct tls_options options = {.role = role, .authorities = pair_pem};
    struct tls_context *context;
    char reason[TLS_REASON_BYTES] = "";
    if (role == TLS_SERVER) {
        options.certificate = pair_pem;
        options.key = pair_key;
    } else {
        options.verify = TLS_VERIFY_REQUIRED;
    }
    enum fp_status status = tls_context_create(&options, &context, reason);
    ck_assert_msg(status == FP_OK, "%s", reason);
    return context;
}

struct pair {
    struct tls *server, *client;
    int server_fd, client_fd;
};

static inline void pair_open(struct pair *pair, const struct tls_context *server,
                             const struct tls_context *client)
{
    int fds[2], small = 4096;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    pair->server_fd = fds[0];
    pair->client_fd = fds[1];
    pair->server = tls_open(server, fds[0]);
    pair->client = tls_open(client, fds[1]);
    ck_assert(pair->server != NULL && pair->client != NULL);
}

/* Where both say DONE, or one says FAILED. */
static inline bool pair_shake_hands(struct pair *pair)
{
    enum tls_step a = TLS_WANT_READ, b = TLS_WANT_READ;
    for (int i = 0; i < 100 && (a != TLS_DONE || b != TLS_DONE); i++) {
        if (a != TLS_DONE) a = tls_handshake(pair->server);
        if (b != TLS_DONE) b = tls_handshake(pair->client);
        if (a == TLS_FAILED || b == TLS_FAILED) return false;
    }
    return a == TLS_DONE && b == TLS_DONE;
}

static inline void pair_close(struct pair *pair)
{
    tls_close(&pair->server);
    tls_close(&pair->client);
    if (pair->server_fd >= 0) close(pair->server_fd);
    if (pair->client_fd >= 0) close(pair->client_fd);
}

#endif
