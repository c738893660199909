/* SPDX-License-Identifier: BSD-3-Clause
 * descriptors - as many open files as server.max_connections and the reserved ones need. The main
 * thread's. */
#ifndef FARPAGE_SERVER_DESCRIPTORS_H
#define FARPAGE_SERVER_DESCRIPTORS_H
#include "base/log.h"
#include "server/settings.h"

/* Raises the limit of open files to what max_connections needs; where that is refused, lowers
 * max_connections and says so. After every change of the settings. */
void descriptors_fit(struct settings *settings, struct log *log) FP_NONNULL(1, 2);

#endif
