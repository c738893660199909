/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/swap/swap.h"

#include <string.h>

struct swap_health swap_health_of(const struct machine *machine, const struct swap_state *state)
{
    struct swap_health health = {.min_free_kib = 0};
    char zswap[MACHINE_TEXT_BYTES];
    uint64_t page_cluster = 0;
    (void)!machine_read_number(machine, SWAP_MIN_FREE_PATH, &health.min_free_kib);
    health.zswap = machine_read(machine, "/sys/module/zswap/parameters/enabled", zswap) &&
                   zswap[0] == 'Y';
    health.readahead_off =
        machine_read_number(machine, "/proc/sys/vm/page-cluster", &page_cluster) &&
        page_cluster == 0;
    if (state != NULL) {
        health.silence_s = state->silence_s;
        health.connections = state->connections;
        health.missing = swap_disk_look(machine, state->device).missing;
    }
    return health;
}

void swap_print_warnings(const struct swap_warnings *warnings)
{
    for (unsigned i = 0; i < warnings->count; i++)
        printf("warning: %s\n", warnings->lines[i].text);
}

void swap_json_warnings(struct json *json, const struct swap_warnings *warnings)
{
    json_array(json, "warnings");
    for (unsigned i = 0; i < warnings->count; i++)
        json_text(json, NULL, warnings->lines[i].text);
    json_array_end(json);
}

int cli_swap(const struct cli *cli)
{
    static const char needs[] = "'swap' needs on ADDRESS..., off [DEVICE] or status";
    const char *verb = cli->operand_count > 0 ? cli->operands[0] : "";
    bool on = strcmp(verb, "on") == 0 && cli->operand_count > 1;
    bool off = strcmp(verb, "off") == 0 && cli->operand_count <= 2;
    bool status = strcmp(verb, "status") == 0 && cli->operand_count == 1;
    if (!on && !off && !status) return cli_usage("swap", "%s", needs);
    if (!on && (cli->has_connections || cli->has_priority || cli->has_silence))
        return cli_usage("swap", "these options are for 'swap on'");
    if (status && (cli->dry_run || cli->force))
        return cli_usage("swap", "these options are for 'swap on' and 'swap off'");
    if (cli->has_silence && cli->silence_ns % 1000000000 != 0)
        return cli_usage("swap", "--silence: whole seconds only, the kernel counts no others");
    if (cli->dry_run && cli->json)
        return cli_usage("swap", "--dry-run prints commands, and no JSON document");
    struct machine machine;
    machine_init(&machine);
    if (on) return swap_on(cli, &machine, cli->operands + 1);
    return off ? swap_off(cli, &machine, cli->operands[1]) : swap_status(cli, &machine);
}
