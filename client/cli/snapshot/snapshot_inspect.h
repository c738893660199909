/* SPDX-License-Identifier: BSD-3-Clause
 * snapshot_inspect - what a snapshot has, and whether all of it is good; without a server. */
#ifndef FARPAGE_CLIENT_CLI_SNAPSHOT_INSPECT_H
#define FARPAGE_CLIENT_CLI_SNAPSHOT_INSPECT_H
#include "client/cli/cli.h"

int cli_snapshot_inspect(const struct cli *cli);

#endif
