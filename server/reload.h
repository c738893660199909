/* SPDX-License-Identifier: BSD-3-Clause
 * reload - what SIGHUP does: the configuration is read again and applied whole or not at all.
 *
 * A file with errors, or one that changes a key which needs a restart, leaves the running
 * configuration in force, and the log says why. So does a certificate, a key or a list of users
 * that cannot be read: these files are read again whether the configuration has changed or not.
 *
 * The file wins: a compressor chosen by `compressor set` since goes, also where the file is as
 * it was.
 *
 * Threads: the main thread. Locks: RANK_CONFIG_RELOAD. Blocks: on reading the file.
 */
#ifndef FARPAGE_SERVER_RELOAD_H
#define FARPAGE_SERVER_RELOAD_H
#include "server/options.h"
#include "server/shared.h"

void reload(struct shared *shared, const struct options *options) FP_NONNULL(1, 2);

/* For who watches: the configuration in force is good from now on, or a reload was refused. */
void reload_note(struct shared *shared, bool good) FP_NONNULL(1);

/* The storage's name for the configured compressor. */
struct compressor_config reload_compressor(const struct config *config) FP_NONNULL(1);

#endif
