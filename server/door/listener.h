/* SPDX-License-Identifier: BSD-3-Clause
 * listener - one place where clients come in; hands each to the worker with the fewest connections.
 *
 * A unix socket's file is made with mode 0700 and removed again at the end. A file left behind by a
 * server that died is replaced; one on which somebody answers is not. A socket that was handed over
 * is served as it is, and its file is its owner's.
 *
 * Who comes before the server has started waits, and is told so in a line and closed where the
 * listener can say it (listener_tells); so is who comes when it stops already.
 *
 * Threads: the main thread. Blocks: never after open.
 */
#ifndef FARPAGE_SERVER_LISTENER_H
#define FARPAGE_SERVER_LISTENER_H
#include "server/config/config.h"
#include "server/door/handed.h"
#include "server/http/http.h"
#include "server/worker.h"

struct listener;

struct listener_options {
    struct shared *shared;
    struct event_base *base;
    struct worker **workers; /* shared->worker_count of them; they outlive the listener */
    struct http *http;       /* for protocol: http; as the workers */
    const struct config_listener *config;
    struct handed *handed; /* sockets that were opened for us, of which it takes its own */
};

enum { LISTENER_REASON_BYTES = 256 };

/* The configuration is borrowed for the call. FP_IO: *reason says what the system refused and what
 * to do about it. */
enum fp_status listener_open(const struct listener_options *options, struct listener **listener,
                             char reason[LISTENER_REASON_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void listener_close(struct listener **listener) FP_NONNULL(1);

/* Where it listens, with the port that was found where 0 was asked: "127.0.0.1:11211". */
const char *listener_address(const struct listener *listener) FP_NONNULL(1);

/* From now on nobody waits: shared->started is set. */
enum fp_status listener_serve(struct listener *listener) FP_MUST_CHECK FP_NONNULL(1);

/* Whether it has a word for who comes while nobody is served. It has none where that would need TLS
 * or a greeting; nor on a socket that was handed over, where they wait for the next server. */
bool listener_tells(const struct listener *listener) FP_MUST_CHECK FP_NONNULL(1);

/* Its configuration, with the address that a socket that was handed over is bound to. */
const struct config_listener *listener_config(const struct listener *listener) FP_NONNULL(1);

#endif
