/* SPDX-License-Identifier: BSD-3-Clause
 * shrink - a server whose memory limit was lowered, watched until it holds no more than that. */
#ifndef FARPAGE_CLIENT_CLI_SHRINK_H
#define FARPAGE_CLIENT_CLI_SHRINK_H
#include "client/cli/cli.h"

/* Says how it goes, where stderr is a terminal, and how it went; nothing where nothing was too
 * much. The exit code: CLI_FAILED where some of it stays. */
int shrink_watch(const struct cli *cli);

#endif
