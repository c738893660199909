/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>

#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/swap/swap.h"

/* A device that is ours or is swap: what we, the kernel and /proc/swaps say of it. */
struct shown {
    char device[SWAP_DEVICE_BYTES];
    bool ours, on;
    struct swap_state state;
    struct swap_disk disk;
    struct swap_row row;
};

/* Arrays that are not ours may be on anything, and are nobody's business here. */
static bool look(const struct machine *machine, const char *swaps, struct swap_device device,
                 struct shown *shown)
{
    *shown = (struct shown){.ours = false};
    swap_device_path(device, shown->device);
    shown->ours = swap_state_find(machine, device, &shown->state);
    shown->disk = swap_disk_look(machine, device);
    shown->on = swap_facts_find(swaps, shown->device, &shown->row);
    return shown->ours || (shown->on && !device.array);
}

static const char *condition(const struct shown *shown)
{
    if (shown->on && shown->disk.missing > 0) return "on, a server gone";
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
    for (unsigned i = 0; shown->ours && i < shown->state.count; i++) {
        fputs(i > 0 ? " and " : "", stdout);
        human_print(stdout, shown->state.members[i].address);
    }
    puts(shown->ours ? "" : "connected by somebody else");
}

static void json_row(struct json *json, const struct shown *shown)
{
    json_object(json, NULL);
    json_text(json, "device", shown->device);
    json_text(json, "condition", condition(shown));
    if (shown->ours) {
        json_array(json, "addresses");
        for (unsigned i = 0; i < shown->state.count; i++)
            json_text(json, NULL, shown->state.members[i].address);
        json_array_end(json);
        json_number(json, "connections", shown->state.connections);
        json_number(json, "silence_s", shown->state.silence_s);
        json_number(json, "missing", shown->disk.missing);
    }
    if (shown->on) {
        json_number(json, "size_bytes", shown->row.size_kib << 10);
        json_number(json, "used_bytes", shown->row.used_kib << 10);
        json_real(json, "priority", shown->row.priority);
    }
    json_object_end(json);
}

/* What is warned of once for all of them: the least silence, the members that are gone. */
static void gather(struct swap_health *health, const struct shown *shown)
{
    health->missing += shown->on ? shown->disk.missing : 0;
    if (shown->ours && (health->silence_s == 0 || shown->state.silence_s < health->silence_s))
        health->silence_s = shown->state.silence_s;
}

static void print_head(void)
{
    printf("%-11s  %10s  %10s  %8s  %11s  %-19s  %s\n", "device", "size", "used", "priority",
           "connections", "condition", "server");
}

int swap_status(const struct cli *cli, const struct machine *machine)
{
    char swaps[MACHINE_TEXT_BYTES];
    struct swap_health health = swap_health_of(machine, NULL);
    struct swap_warnings warnings;
    struct swap_device device;
    struct shown shown;
    struct json json;
    unsigned count = 0;
    if (!machine_read(machine, "/proc/swaps", swaps)) swaps[0] = '\0';
    json_init(&json, stdout);
    if (cli->json) {
        json_object(&json, NULL);
        json_array(&json, "swaps");
    }
    for (unsigned at = 0; swap_device_next(&at, &device);) {
        if (!look(machine, swaps, device, &shown)) continue;
        if (count++ == 0 && !cli->json) print_head();
        if (cli->json)
            json_row(&json, &shown);
        else
            print_row(&shown);
        gather(&health, &shown);
    }
    swap_plan_warn(&health, &warnings);
    if (cli->json) {
        json_array_end(&json);
        swap_json_warnings(&json, &warnings);
        json_object_end(&json);
        putchar('\n');
    } else if (count == 0) {
        puts("no swap on network block devices");
    } else {
        swap_print_warnings(&warnings);
    }
    return CLI_GOOD;
}
