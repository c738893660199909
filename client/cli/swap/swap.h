/* SPDX-License-Identifier: BSD-3-Clause
 * swap - what `farpage swap on`, `off` and `status` share. */
#ifndef FARPAGE_CLIENT_CLI_SWAP_H
#define FARPAGE_CLIENT_CLI_SWAP_H
#include "client/cli/cli.h"
#include "client/cli/machine.h"
#include "client/cli/say/json.h"
#include "client/cli/swap/swap_plan.h"
#include "client/cli/swap/swap_state.h"

/* `addresses`: at least one and at most SWAP_MEMBERS_MAX, NULL behind the last. */
int swap_on(const struct cli *cli, const struct machine *machine, char *const *addresses);
int swap_off(const struct cli *cli, const struct machine *machine, const char *device);
int swap_status(const struct cli *cli, const struct machine *machine);

#define SWAP_MIN_FREE_PATH "/proc/sys/vm/min_free_kbytes"

/* What is told of the machine and, where `state` is not NULL, of how it is connected. */
struct swap_health swap_health_of(const struct machine *machine, const struct swap_state *state);
void swap_print_warnings(const struct swap_warnings *warnings);
void swap_json_warnings(struct json *json, const struct swap_warnings *warnings);

#endif
