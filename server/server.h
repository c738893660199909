/* SPDX-License-Identifier: BSD-3-Clause
 * server - the program put together from its parts, in order, and taken apart in the mirror.
 *
 * Threads: the main thread. Blocks: server_run, until a signal ends it.
 */
#ifndef FARPAGE_SERVER_SERVER_H
#define FARPAGE_SERVER_SERVER_H
#include <stdio.h>

#include "server/config/config.h"
#include "server/options.h"

struct server;

/* Makes everything and starts the workers; listens at last. Takes *config over. EXIT_OK, or the
 * code to exit with: the log (or standard error) has said why. *server is to be destroyed on any
 * outcome; the options are borrowed for its life. */
enum exit_code server_create(struct config **config, const struct options *options,
                             struct server **server) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* Is what the configuration names there, and good? EXIT_OK, or EXIT_CONFIG and a line on err. */
enum exit_code server_check(const struct config *config, FILE *err) FP_MUST_CHECK FP_NONNULL(1, 2);

/* Serves until SIGTERM or SIGINT; then sends the replies on their way and ends the connections. A
 * second signal ends it at once. Then keeps what is stored, where server.restart_file says so.
 * EXIT_OK, or EXIT_RUNTIME where that could not be; the log has said why. */
enum exit_code server_run(struct server *server) FP_MUST_CHECK FP_NONNULL(1);
void server_destroy(struct server **server) FP_NONNULL(1);

/* "libevent 2.1.12, zstd 1.5.4, ..." for --version. */
const char *server_libraries(void);

#endif
