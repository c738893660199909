/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>

#include "client/cli/human.h"
#include "client/cli/json.h"
#include "client/cli/swap.h"

/* A device that is ours, connected, or swap: what each of the three says of it. */
struct shown {
    char device[SWAP_DEVICE_BYTES];
    bool ours, on;
    struct swap_state state;
    struct swap_disk disk;
    struct swap_row row;
};

static bool look(const struct machine *machine, const char *swaps, unsigned number,
                 struct shown *shown)
{
    *shown = (struct shown){.ours = false};
    snprintf(shown->device, sizeof shown->device, "/dev/nbd%u", number);
    shown->ours = swap_state_find(machine, number, &shown->state);
    shown->disk = swap_disk_look(machine, number);
    shown->on = swap_facts_find(swaps, shown->device, &shown->row);
    return shown->ours || shown->on;
}

static const char *condition(const struct shown *shown)
{
    if (shown->on) return shown->disk.connected ? "on" : "on, its server gone";
    return shown->disk.connected ? "connected, not on" : "not connected";
}

static void print_row(const struct shown *shown)
{
    bool bytes = shown->on || shown->disk.connected;
    uint64_t size = shown->on ? shown->row.size_kib << 10 : shown->disk.size_bytes;
    char priority[16] = "-", connections[16] = "-";
    if (shown->on) snprintf(priority, sizeof priority, "%" PRId32, shown->row.priority);
    if (shown->ours)
        snprintf(connections, sizeof connections, "%" PRIu32, shown->state.connections);
    printf("%-11s  %10s  %10s  %8s  %11s  %-19s  ", shown->device,
           bytes ? human_size(size).text : "-",
           shown->on ? human_size(shown->row.used_kib << 10).text : "-", priority, connections,
           condition(shown));
    human_print(stdout, shown->ours ? shown->state.address : "connected by somebody else");
    putchar('\n');
}

static void json_row(struct json *json, const struct shown *shown)
{
    json_object(json, NULL);
    json_text(json, "device", shown->device);
    json_text(json, "condition", condition(shown));
    if (shown->ours) {
        json_text(json, "address", shown->state.address);
        json_number(json, "connections", shown->state.connections);
        json_number(json, "silence_s", shown->state.silence_s);
    }
    if (shown->on) {
        json_number(json, "size_bytes", shown->row.size_kib << 10);
        json_number(json, "used_bytes", shown->row.used_kib << 10);
        json_real(json, "priority", shown->row.priority);
    }
    json_object_end(json);
}

/* The least silence that any of ours allows, for what is warned of. */
static void keep_least(struct swap_state *least, const struct shown *shown)
{
    if (!shown->ours) return;
    if (least->silence_s == 0 || shown->state.silence_s < least->silence_s)
        *least = shown->state;
}

int swap_status(const struct cli *cli, const struct machine *machine)
{
    char swaps[MACHINE_TEXT_BYTES];
    struct swap_state least = {.silence_s = 0};
    struct swap_warnings warnings;
    struct json json;
    struct shown shown;
    unsigned count = 0;
    if (!machine_read(machine, "/proc/swaps", swaps)) swaps[0] = '\0';
    json_init(&json, stdout);
    if (cli->json) {
        json_object(&json, NULL);
        json_array(&json, "swaps");
    }
    for (unsigned i = 0; i < SWAP_DEVICES_MAX; i++) {
        if (!look(machine, swaps, i, &shown)) continue;
        if (count++ == 0 && !cli->json)
            printf("%-11s  %10s  %10s  %8s  %11s  %-19s  %s\n", "device", "size", "used",
                   "priority", "connections", "condition", "server");
        if (cli->json)
            json_row(&json, &shown);
        else
            print_row(&shown);
        keep_least(&least, &shown);
    }
    struct swap_health health = swap_health_of(machine, &least);
    swap_plan_warn(&health, &warnings);
    if (cli->json) {
        json_array_end(&json);
        json_array(&json, "warnings");
        for (unsigned i = 0; i < warnings.count; i++)
            json_text(&json, NULL, warnings.lines[i].text);
        json_array_end(&json);
        json_object_end(&json);
        putchar('\n');
        return CLI_GOOD;
    }
    if (count == 0) puts("no swap on network block devices");
    if (count > 0) swap_print_warnings(&warnings);
    return CLI_GOOD;
}
