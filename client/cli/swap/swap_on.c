/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Turning swap on is a row of steps, each of which can be taken back. One that fails says why, and
 * it and those before it are taken back, last first, so that the machine is as it was. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/interrupt.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/swap/swap.h"

#define APPEAR_NS 5000000000u /* a device that was connected shows its size within */
#define LOOK_NS 20000000u

struct on {
    const struct cli *cli;
    const struct machine *machine;
    struct swap_settings settings;
    struct swap_address addresses[SWAP_MEMBERS_MAX];
    struct swap_state state;   /* as it will be kept; what is done so far is in the next */
    unsigned connected;        /* of its members */
    bool mirrored, turned_on;  /* done, and to be undone */
    uint64_t min_free_before;  /* KiB; 0: as it was */
    bool taking_back;
    int code;
    char device[SWAP_DEVICE_BYTES]; /* what is swapped on */
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

static struct swap_device nbd(unsigned number)
{
    return (struct swap_device){.number = number};
}

/* --- the steps, in order ---------------------------------------------------------------------- */

static bool find_tools(struct on *on, struct complaint *complaint)
{
    static const struct {
        const char *program, *package;
        bool of_mirrors;
    } tools[] = {{"nbd-client", "nbd-client", false},
                 {"mkswap", "util-linux", false},
                 {"swapon", "mount", false},
                 {"mdadm", "mdadm", true}};
    for (size_t i = 0; i < FP_COUNT_OF(tools); i++) {
        if (tools[i].of_mirrors && on->state.count == 1) continue;
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
    if (swap_disk_look(on->machine, nbd(0)).there) return true;
    struct words words;
    words_init(&words, "modprobe");
    words_add(&words, "nbd");
    struct complaint why = {{0}};
    if (!run(on, &words, &why)) {
        complain(complaint, "this kernel has no nbd module (%.100s)%s", why.text, instead);
        return false;
    }
    if (on->cli->dry_run || swap_disk_look(on->machine, nbd(0)).there) return true;
    complain(complaint, "the nbd module makes no devices%s", instead);
    return false;
}

static bool reserve_memory(struct on *on, struct complaint *complaint)
{
    uint64_t kib = 0;
    char text[24];
    (void)complaint; /* what cannot be had is warned of in the end */
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

/* The first free one of a kind, from `from` on. A --dry-run may find none that is there. */
static bool choose_device(const struct on *on, struct swap_device *device)
{
    for (; device->number < SWAP_DEVICES_MAX; device->number++) {
        struct swap_disk disk = swap_disk_look(on->machine, *device);
        bool missing = device->array || on->cli->dry_run; /* an array is made; a dry run shows */
        if (disk.there ? !disk.connected && disk.size_bytes == 0 : missing) return true;
        if (!disk.there) return false;
    }
    return false;
}

/* The export's identity for its name: who connects anew, by whatever means, then gets the disk that
 * holds our pages, or an error. Servers without one, and exports that are made when they are asked
 * for, keep their name. */
static void identify(const struct on *on, struct swap_address *address)
{
    struct words words;
    struct complaint nothing;
    char list[MACHINE_SAID_BYTES], identity[SWAP_EXPORT_BYTES];
    struct errand errand = {&words, on->cli->timeout_ns, true, list};
    swap_plan_list(address, &words);
    if (!on->cli->dry_run && machine_run(on->machine, &errand, &nothing) &&
        swap_facts_identity(list, address->export, identity, sizeof identity))
        memcpy(address->export, identity, sizeof identity);
}

/* Until the kernel shows what nbd-client or mdadm made; false with a reason. */
static bool see_device(struct on *on, struct swap_device device, struct complaint *complaint)
{
    char path[SWAP_DEVICE_BYTES];
    swap_device_path(device, path);
    for (uint64_t waited_ns = 0; waited_ns < APPEAR_NS; waited_ns += LOOK_NS) {
        on->disk = swap_disk_look(on->machine, device);
        if (on->disk.connected && on->disk.size_bytes >= SWAP_SIZE_MIN_BYTES) return true;
        if (on->disk.connected && on->disk.size_bytes > 0) {
            complain(complaint, "the export has %s, too little for swap",
                     human_size(on->disk.size_bytes).text);
            return false;
        }
        if (!interrupt_sleep(LOOK_NS)) break;
    }
    complain(complaint, "%s says it made %s, and the kernel does not",
             device.array ? "mdadm" : "nbd-client", path);
    return false;
}

/* Nobody's file system, and nobody else's swap area, is written over. */
static bool look_inside(struct on *on, const char *path, struct complaint *complaint)
{
    char label[SWAP_LABEL_BYTES];
    if (on->cli->force) return true;
    uint8_t *bytes = malloc(SWAP_CONTENT_BYTES);
    if (bytes == NULL) {
        complain(complaint, "out of memory");
        return false;
    }
    ssize_t got = machine_read_bytes(on->machine, path, bytes, SWAP_CONTENT_BYTES);
    if (got <= 0) complain_errno(complaint, got < 0 ? errno : EIO, "reading %s", path);
    bool may = got > 0 && swap_plan_may_format(swap_facts_content(bytes, (size_t)got, label), label,
                                               on->settings.label, complaint);
    free(bytes);
    return may;
}

static bool connect_one(struct on *on, unsigned i, struct complaint *complaint)
{
    struct words words;
    struct swap_member *member = &on->state.members[i];
    struct swap_device device = {.number = i > 0 ? on->state.members[i - 1].number + 1 : 0};
    char path[SWAP_DEVICE_BYTES];
    if (!choose_device(on, &device)) {
        complain(complaint, "every nbd device is in use: nbd-client -d frees one");
        return false;
    }
    member->number = device.number;
    swap_device_path(device, path);
    identify(on, &on->addresses[i]);
    swap_address_text(&on->addresses[i], member->address);
    swap_plan_connect(&on->settings, &on->addresses[i], path, &words);
    if (!run(on, &words, complaint)) {
        on->code = CLI_NO_SERVER;
        return false;
    }
    on->connected++;
    if (on->cli->dry_run) return true;
    if (!see_device(on, device, complaint)) return false;
    member->pid = on->disk.pid;
    return look_inside(on, path, complaint);
}

static bool connect_all(struct on *on, struct complaint *complaint)
{
    for (unsigned i = 0; i < on->state.count; i++) {
        struct complaint why = {{0}};
        if (connect_one(on, i, &why)) continue;
        complain(complaint, "%s%s%.230s", on->state.count > 1 ? on->state.members[i].address : "",
                 on->state.count > 1 ? ": " : "", why.text);
        return false;
    }
    on->state.device = nbd(on->state.members[0].number);
    swap_device_path(on->state.device, on->device);
    return true;
}

static bool disconnect_all(struct on *on, struct complaint *complaint)
{
    struct words words;
    char path[SWAP_DEVICE_BYTES];
    bool good = true;
    while (on->connected > 0) {
        swap_device_path(nbd(on->state.members[--on->connected].number), path);
        swap_plan_disconnect(path, &words);
        good = run(on, &words, complaint) && good;
    }
    return good;
}

static bool mirror(struct on *on, struct complaint *complaint)
{
    struct swap_mirror plan = {.count = on->state.count};
    struct swap_device array = {.array = true};
    struct words words;
    if (plan.count == 1) return true;
    if (!choose_device(on, &array)) {
        complain(complaint, "every md device is in use");
        return false;
    }
    on->state.device = array;
    swap_device_path(array, on->device);
    memcpy(plan.array, on->device, sizeof plan.array);
    for (unsigned i = 0; i < plan.count; i++)
        swap_device_path(nbd(on->state.members[i].number), plan.members[i]);
    swap_plan_mirror(&on->settings, &plan, &words);
    if (!run(on, &words, complaint)) return false;
    on->mirrored = true;
    return on->cli->dry_run || see_device(on, array, complaint);
}

static bool stop_mirror(struct on *on, struct complaint *complaint)
{
    struct words words;
    if (!on->mirrored) return true;
    swap_plan_stop_mirror(on->device, &words);
    return run(on, &words, complaint);
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
    on->turned_on = run(on, &words, complaint);
    return on->turned_on;
}

static bool turn_off(struct on *on, struct complaint *complaint)
{
    struct words words;
    if (!on->turned_on) return true;
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
    return on->cli->dry_run || swap_state_keep(on->machine, &on->state, complaint);
}

typedef bool step(struct on *on, struct complaint *complaint);
static const struct {
    step *take, *take_back;
    const char *why; /* before the reason of one that fails; NULL where that says all */
} steps[] = {
    {find_tools, NULL, NULL},
    {load_module, NULL, NULL}, /* one that is loaded and unused harms nobody */
    {reserve_memory, give_memory_back, NULL},
    {connect_all, disconnect_all, "cannot connect"},
    {mirror, stop_mirror, "cannot make the mirror"},
    {format_device, NULL, "cannot make the swap area"},
    {turn_on, turn_off, "cannot turn it on"},
    {verify, NULL, NULL},
    {remember, NULL, "cannot remember what was done"},
};

/* --- all of them ------------------------------------------------------------------------------ */

/* The steps up to `failed`, last first. False with what could not be taken back. */
static bool take_back(struct on *on, size_t failed, struct complaint *complaint)
{
    bool good = true;
    on->taking_back = true;
    for (size_t i = failed + 1; i-- > 0;) {
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

static bool any_same_server(const struct on *on)
{
    for (unsigned i = 1; i < on->state.count; i++)
        for (unsigned k = 0; k < i; k++)
            if (swap_address_same_server(&on->addresses[i], &on->addresses[k])) return true;
    return false;
}

static void report_json(const struct on *on, const struct swap_warnings *warnings)
{
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "device", on->device);
    json_array(&json, "addresses");
    for (unsigned i = 0; i < on->state.count; i++)
        json_text(&json, NULL, on->state.members[i].address);
    json_array_end(&json);
    json_number(&json, "size_bytes", on->row.size_kib << 10);
    json_number(&json, "connections", on->settings.connections);
    json_number(&json, "priority", (uint64_t)on->settings.priority);
    json_bool(&json, "discard", on->disk.discards);
    swap_json_warnings(&json, warnings);
    json_object_end(&json);
    putchar('\n');
}

static void report(const struct on *on)
{
    struct swap_health health = swap_health_of(on->machine, &on->state);
    struct swap_warnings warnings;
    health.one_server = any_same_server(on);
    swap_plan_warn(&health, &warnings);
    if (on->cli->json) {
        report_json(on, &warnings);
        return;
    }
    printf("%s: %s of swap on ", on->device, human_size(on->row.size_kib << 10).text);
    for (unsigned i = 0; i < on->state.count; i++) {
        fputs(i > 0 ? " and " : "", stdout);
        human_print(stdout, on->state.members[i].address);
    }
    printf(", priority %" PRId32 ", %" PRIu32 " connection%s%s\n", on->row.priority,
           on->settings.connections, on->settings.connections == 1 ? "" : "s",
           on->disk.discards ? ", freed pages are discarded" : "");
    if (on->min_free_before != 0)
        printf("vm.min_free_kbytes was %" PRIu64 " and is %d now; to have it after a reboot too:\n"
               "  echo vm.min_free_kbytes=%d >/etc/sysctl.d/90-farpage-swap.conf\n",
               on->min_free_before, SWAP_MIN_FREE_KIB, SWAP_MIN_FREE_KIB);
    swap_print_warnings(&warnings);
}

/* Takes the addresses apart; a usage error, where one is none or one export stands there twice. */
static int take_addresses(struct on *on, char *const *addresses)
{
    struct complaint complaint = {{0}};
    for (; addresses[on->state.count] != NULL; on->state.count++) {
        const char *text = addresses[on->state.count];
        struct swap_address *address = &on->addresses[on->state.count];
        if (!swap_address_parse(text, address, &complaint))
            return cli_usage("swap", "'%.200s' is no address: %s", text, complaint.text);
        for (unsigned i = 0; i < on->state.count; i++)
            if (swap_address_same_server(address, &on->addresses[i]) &&
                strcmp(address->export, on->addresses[i].export) == 0)
                return cli_usage("swap", "'%.200s' is named twice: no mirror of itself", text);
    }
    return CLI_GOOD;
}

static void settle(struct on *on)
{
    const struct cli *cli = on->cli;
    struct swap_settings *settings = &on->settings;
    char host[MACHINE_TEXT_BYTES] = "";
    uint32_t connections = on->state.count > 1 ? SWAP_MIRROR_CONNECTIONS : SWAP_CONNECTIONS;
    settings->connections = cli->has_connections ? (uint32_t)cli->connections : connections;
    settings->silence_s =
        cli->has_silence ? (uint32_t)(cli->silence_ns / 1000000000) : SWAP_SILENCE_S;
    settings->priority = cli->has_priority ? (uint32_t)cli->priority : SWAP_PRIORITY;
    if (!machine_read(on->machine, "/proc/sys/kernel/hostname", host)) host[0] = '\0';
    host[strcspn(host, "\n")] = '\0';
    swap_plan_label(host, settings->label);
    on->state.connections = settings->connections;
    on->state.silence_s = settings->silence_s;
}

int swap_on(const struct cli *cli, const struct machine *machine, char *const *addresses)
{
    struct on on = {.cli = cli, .machine = machine, .code = CLI_FAILED};
    struct complaint complaint = {{0}};
    int code = take_addresses(&on, addresses);
    if (code != CLI_GOOD) return code;
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
