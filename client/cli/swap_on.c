/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Turning swap on is a row of steps, each of which can be taken back. One that fails says why, and
 * those before it are taken back, last first, so that the machine is as it was. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "client/cli/human.h"
#include "client/cli/interrupt.h"
#include "client/cli/json.h"
#include "client/cli/swap.h"

#define APPEAR_NS 5000000000u /* a device that was connected shows its size within */
#define LOOK_NS 20000000u

struct on {
    const struct cli *cli;
    const struct machine *machine;
    struct swap_settings settings;
    char address[SWAP_ADDRESS_BYTES];
    char device[SWAP_DEVICE_BYTES];
    unsigned number;
    uint64_t min_free_before; /* KiB; 0: as it was */
    bool module_loaded;       /* by us */
    bool taking_back;
    int code;
    struct swap_disk disk;
    struct swap_row row;
};

/* Runs it or, with --dry-run, shows it. */
static bool run(struct on *on, const struct words *words, struct complaint *complaint)
{
    char line[WORDS_LINE_BYTES];
    words_line(words, line);
    if (on->cli->dry_run) {
        puts(line);
        return true;
    }
    struct errand errand = {words, on->cli->timeout_ns, !on->taking_back, NULL};
    return machine_run(on->machine, &errand, complaint);
}

/* --- the steps, in order ---------------------------------------------------------------------- */

static bool find_tools(struct on *on, struct complaint *complaint)
{
    static const struct {
        const char *program, *package;
    } tools[] = {{"nbd-client", "nbd-client"}, {"mkswap", "util-linux"}, {"swapon", "mount"}};
    for (size_t i = 0; i < FP_COUNT_OF(tools); i++) {
        if (machine_has_program(on->machine, tools[i].program)) continue;
        complain(complaint, "%s is not there: on Debian, apt install %s", tools[i].program,
                 tools[i].package);
        return false;
    }
    if (on->cli->dry_run || machine_is_root(on->machine)) return true;
    complain(complaint, "needs root: it loads a module, makes a block device and swaps to it");
    return false;
}

static bool load_module(struct on *on, struct complaint *complaint)
{
    static const char instead[] =
        "; without it, nbdfuse and losetup make a disk of an export (docs/swap.md)";
    if (swap_disk_look(on->machine, 0).there) return true;
    struct words words;
    words_init(&words, "modprobe");
    words_add(&words, "nbd");
    struct complaint why = {{0}};
    if (!run(on, &words, &why)) {
        complain(complaint, "this kernel has no nbd module (%.100s)%s", why.text, instead);
        return false;
    }
    on->module_loaded = true;
    if (on->cli->dry_run || swap_disk_look(on->machine, 0).there) return true;
    complain(complaint, "the nbd module makes no devices%s", instead);
    return false;
}

static bool reserve_memory(struct on *on, struct complaint *complaint)
{
    uint64_t kib = 0;
    char text[24];
    (void)complaint; /* one that cannot be had is warned of in the end */
    if (!machine_read_number(on->machine, SWAP_MIN_FREE_PATH, &kib) || kib >= SWAP_MIN_FREE_KIB)
        return true;
    snprintf(text, sizeof text, "%d\n", SWAP_MIN_FREE_KIB);
    if (on->cli->dry_run)
        printf("sysctl vm.min_free_kbytes=%s", text);
    else if (machine_write(on->machine, SWAP_MIN_FREE_PATH, text))
        on->min_free_before = kib;
    return true;
}

static bool give_memory_back(struct on *on, struct complaint *complaint)
{
    char text[24];
    if (on->min_free_before == 0) return true;
    snprintf(text, sizeof text, "%" PRIu64 "\n", on->min_free_before);
    if (machine_write(on->machine, SWAP_MIN_FREE_PATH, text)) return true;
    complain_errno(complaint, errno, SWAP_MIN_FREE_PATH);
    return false;
}

static bool choose_device(struct on *on, struct complaint *complaint)
{
    struct swap_disk disk = {.there = true};
    unsigned number = 0;
    for (; number < SWAP_DEVICES_MAX && disk.there; number++) {
        disk = swap_disk_look(on->machine, number);
        if (disk.there && !disk.connected && disk.size_bytes == 0) break;
    }
    bool planned = on->cli->dry_run && !swap_disk_look(on->machine, 0).there;
    on->number = planned ? 0 : number;
    snprintf(on->device, sizeof on->device, "/dev/nbd%u", on->number);
    if (planned || (disk.there && number < SWAP_DEVICES_MAX)) return true;
    complain(complaint, "every nbd device is in use: nbd-client -d frees one");
    return false;
}

/* The export's identity for its name: who connects anew, by whatever means, then gets the disk that
 * holds our pages, or an error. Servers without one, and exports that are made when they are asked
 * for, keep their name. */
static void identify(struct on *on)
{
    struct words words;
    struct complaint nothing;
    char list[MACHINE_SAID_BYTES], identity[SWAP_EXPORT_BYTES];
    struct errand errand = {&words, on->cli->timeout_ns, true, list};
    swap_plan_list(&on->settings, &words);
    if (!on->cli->dry_run && machine_run(on->machine, &errand, &nothing) &&
        swap_facts_identity(list, on->settings.address.export, identity, sizeof identity)) {
        memcpy(on->settings.address.export, identity, sizeof identity);
        swap_address_text(&on->settings.address, on->address);
    }
}

static bool connect_device(struct on *on, struct complaint *complaint)
{
    struct words words;
    identify(on);
    swap_plan_connect(&on->settings, on->device, &words);
    if (!run(on, &words, complaint)) {
        on->code = CLI_NO_SERVER;
        return false;
    }
    return true;
}

static bool disconnect_device(struct on *on, struct complaint *complaint)
{
    struct words words;
    swap_plan_disconnect(on->device, &words);
    return run(on, &words, complaint);
}

static bool see_device(struct on *on, struct complaint *complaint)
{
    if (on->cli->dry_run) return true;
    for (uint64_t waited_ns = 0; waited_ns < APPEAR_NS; waited_ns += LOOK_NS) {
        on->disk = swap_disk_look(on->machine, on->number);
        if (on->disk.connected && on->disk.size_bytes >= SWAP_SIZE_MIN_BYTES) return true;
        if (on->disk.connected && on->disk.size_bytes > 0) {
            complain(complaint, "the export has %s, too little for swap",
                     human_size(on->disk.size_bytes).text);
            return false;
        }
        if (!interrupt_sleep(LOOK_NS)) break;
    }
    complain(complaint, "nbd-client says it connected %s, and the kernel does not", on->device);
    return false;
}

/* Nobody's file system, and nobody else's swap area, is written over. */
static bool look_inside(struct on *on, struct complaint *complaint)
{
    char label[SWAP_LABEL_BYTES];
    if (on->cli->dry_run || on->cli->force) return true;
    uint8_t *bytes = malloc(SWAP_CONTENT_BYTES);
    if (bytes == NULL) {
        complain(complaint, "out of memory");
        return false;
    }
    ssize_t got = machine_read_bytes(on->machine, on->device, bytes, SWAP_CONTENT_BYTES);
    if (got <= 0) complain_errno(complaint, got < 0 ? errno : EIO, "reading %s", on->device);
    bool may = got > 0 && swap_plan_may_format(swap_facts_content(bytes, (size_t)got, label), label,
                                               on->settings.label, complaint);
    free(bytes);
    return may;
}

static bool format_device(struct on *on, struct complaint *complaint)
{
    struct words words;
    swap_plan_format(&on->settings, on->device, &words);
    return run(on, &words, complaint);
}

static bool turn_on(struct on *on, struct complaint *complaint)
{
    struct words words;
    swap_plan_turn_on(&on->settings, on->device, on->disk.discards || on->cli->dry_run, &words);
    return run(on, &words, complaint);
}

static bool turn_off(struct on *on, struct complaint *complaint)
{
    struct words words;
    swap_plan_turn_off(on->device, &words);
    return run(on, &words, complaint);
}

static bool verify(struct on *on, struct complaint *complaint)
{
    char swaps[MACHINE_TEXT_BYTES];
    if (on->cli->dry_run) return true;
    if (machine_read(on->machine, "/proc/swaps", swaps) &&
        swap_facts_find(swaps, on->device, &on->row))
        return true;
    complain(complaint, "swapon says it is on, and %s is not in /proc/swaps", on->device);
    return false;
}

static bool remember(struct on *on, struct complaint *complaint)
{
    struct swap_state state = {.number = on->number,
                               .connections = on->settings.connections,
                               .silence_s = on->settings.silence_s};
    if (on->cli->dry_run) return true;
    snprintf(state.address, sizeof state.address, "%s", on->address);
    return swap_state_keep(on->machine, &state, complaint);
}

typedef bool step(struct on *on, struct complaint *complaint);
static const struct {
    step *take, *take_back;
    const char *why; /* before the reason of one that fails; NULL where that says all */
} steps[] = {
    {find_tools, NULL, NULL},
    {load_module, NULL, NULL}, /* one that is loaded and unused harms nobody */
    {reserve_memory, give_memory_back, NULL},
    {choose_device, NULL, NULL},
    {connect_device, disconnect_device, "cannot connect"},
    {see_device, NULL, NULL},
    {look_inside, NULL, NULL},
    {format_device, NULL, "cannot make the swap area"},
    {turn_on, turn_off, "cannot turn it on"},
    {verify, NULL, NULL},
    {remember, NULL, "cannot remember what was done"},
};

/* --- all of them ------------------------------------------------------------------------------ */

/* The steps before `failed`, last first. False with what could not be taken back. */
static bool take_back(struct on *on, size_t failed, struct complaint *complaint)
{
    bool good = true;
    on->taking_back = true;
    for (size_t i = failed; i-- > 0;) {
        if (steps[i].take_back != NULL && !steps[i].take_back(on, complaint)) good = false;
    }
    return good;
}

static int give_up(struct on *on, size_t failed, const struct complaint *why)
{
    struct complaint left = {{0}};
    const char *before = steps[failed].why;
    bool clean = take_back(on, failed, &left);
    return cli_fail(on->cli, on->code, "swap on: %s%s%s%s%s", before != NULL ? before : "",
                    before != NULL ? ": " : "", why->text,
                    clean ? "" : "; and what was done before could not be undone: ", left.text);
}

static void report_json(const struct on *on, const struct swap_warnings *warnings)
{
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "device", on->device);
    json_text(&json, "address", on->address);
    json_number(&json, "size_bytes", on->row.size_kib << 10);
    json_number(&json, "connections", on->settings.connections);
    json_number(&json, "priority", (uint64_t)on->settings.priority);
    json_bool(&json, "discard", on->disk.discards);
    json_array(&json, "warnings");
    for (unsigned i = 0; i < warnings->count; i++)
        json_text(&json, NULL, warnings->lines[i].text);
    json_array_end(&json);
    json_object_end(&json);
    putchar('\n');
}

static void report(const struct on *on)
{
    struct swap_state state = {.connections = on->settings.connections,
                               .silence_s = on->settings.silence_s};
    struct swap_health health = swap_health_of(on->machine, &state);
    struct swap_warnings warnings;
    swap_plan_warn(&health, &warnings);
    if (on->cli->json) {
        report_json(on, &warnings);
        return;
    }
    printf("%s: %s of swap on ", on->device, human_size(on->row.size_kib << 10).text);
    human_print(stdout, on->address);
    printf(", priority %" PRId32 ", %" PRIu32 " connections%s\n", on->row.priority,
           on->settings.connections, on->disk.discards ? ", freed pages are discarded" : "");
    if (on->min_free_before != 0)
        printf("vm.min_free_kbytes was %" PRIu64 " and is %d now; to have it after a reboot too:\n"
               "  echo vm.min_free_kbytes=%d >/etc/sysctl.d/90-farpage-swap.conf\n",
               on->min_free_before, SWAP_MIN_FREE_KIB, SWAP_MIN_FREE_KIB);
    swap_print_warnings(&warnings);
}

static void settle(struct on *on)
{
    const struct cli *cli = on->cli;
    struct utsname names;
    on->settings.connections = cli->has_connections ? (uint32_t)cli->connections : SWAP_CONNECTIONS;
    on->settings.silence_s =
        cli->has_silence ? (uint32_t)(cli->silence_ns / 1000000000) : SWAP_SILENCE_S;
    on->settings.priority = cli->has_priority ? (uint32_t)cli->priority : SWAP_PRIORITY;
    swap_plan_label(uname(&names) == 0 ? names.nodename : "", on->settings.label);
    swap_address_text(&on->settings.address, on->address);
}

int swap_on(const struct cli *cli, const struct machine *machine, const char *address)
{
    struct on on = {.cli = cli, .machine = machine, .code = CLI_FAILED};
    struct complaint complaint = {{0}};
    if (!swap_address_parse(address, &on.settings.address, &complaint))
        return cli_usage("swap", "'%.200s' is no address: %s", address, complaint.text);
    settle(&on);
    interrupt_hold();
    for (size_t i = 0; i < FP_COUNT_OF(steps); i++) {
        if (interrupt_came()) {
            complain(&complaint, "interrupted");
            return give_up(&on, i, &complaint);
        }
        if (!steps[i].take(&on, &complaint)) return give_up(&on, i, &complaint);
    }
    if (!cli->dry_run) report(&on);
    return CLI_GOOD;
}
