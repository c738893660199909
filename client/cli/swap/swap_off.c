/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Turning swap off brings every page back: the kernel's swapoff does, while we watch how many are
 * left. Only then is the device let go, and its server told to forget what it held; a swap that
 * stays on keeps its servers. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "client/cli/interrupt.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/progress.h"
#include "client/cli/swap/swap.h"

#define LOOK_NS 100000000u
#define LET_GO_NS 5000000000u
enum { PAGE_KIB = 4 };

struct off {
    const struct cli *cli;
    const struct machine *machine;
    struct swap_state state;
    char device[SWAP_DEVICE_BYTES];
    uint64_t used_kib; /* when we came */
    bool was_on;
};

/* The one that is ours, or the one that was named; one that is not ours has itself for a member. */
static int choose(struct off *off, const char *name)
{
    struct swap_device device;
    struct swap_state state;
    unsigned found = 0;
    if (name != NULL) {
        if (!swap_device_parse(name, &device))
            return cli_usage("swap", "'%.60s' is no nbd or md device, such as /dev/nbd0", name);
        if (swap_state_find(off->machine, device, &off->state)) return CLI_GOOD;
        off->state = (struct swap_state){.device = device, .count = device.array ? 0 : 1};
        off->state.members[0] = (struct swap_member){
            .number = device.number, .pid = swap_disk_look(off->machine, device).pid};
        return CLI_GOOD;
    }
    for (unsigned at = 0; swap_device_next(&at, &device);) {
        if (!swap_state_find(off->machine, device, &state)) continue;
        off->state = state;
        found++;
    }
    if (found == 1) return CLI_GOOD;
    if (found == 0)
        return cli_fail(off->cli, CLI_FAILED,
                        "swap off: 'farpage swap on' turned none on here; name the device");
    return cli_fail(off->cli, CLI_FAILED,
                    "swap off: %u are on: name the device, as 'farpage swap status' does", found);
}

static uint64_t used_kib(const struct off *off, bool *on)
{
    char swaps[MACHINE_TEXT_BYTES];
    struct swap_row row = {.used_kib = 0};
    *on = machine_read(off->machine, "/proc/swaps", swaps) &&
          swap_facts_find(swaps, off->device, &row);
    return *on ? row.used_kib : 0;
}

static bool fits(const struct off *off, struct complaint *complaint)
{
    char swaps[MACHINE_TEXT_BYTES], meminfo[MACHINE_TEXT_BYTES];
    if (off->cli->force || !machine_read(off->machine, "/proc/swaps", swaps) ||
        !machine_read(off->machine, "/proc/meminfo", meminfo))
        return true; /* the kernel decides */
    return swap_plan_fits(swaps, meminfo, off->device, complaint);
}

static void wait_a_moment(void)
{
    struct timespec moment = {.tv_nsec = LOOK_NS};
    (void)nanosleep(&moment, NULL);
}

/* Shows how far swapoff is until it ended; false where a held signal came. */
static bool watch(const struct off *off, struct child *child, int *code)
{
    struct progress progress;
    bool on = true, interrupted = false;
    progress_init(&progress, "draining", off->used_kib / PAGE_KIB, PAGE_KIB << 10);
    while (!child_ended(child, code)) {
        uint64_t left_kib = used_kib(off, &on);
        uint64_t done_kib = left_kib < off->used_kib ? off->used_kib - left_kib : 0;
        progress_show(&progress, done_kib / PAGE_KIB);
        if (interrupted) wait_a_moment();
        if (interrupted || interrupt_sleep(LOOK_NS)) continue;
        child_kill(child, false);
        interrupted = true;
    }
    progress_fini(&progress);
    return !interrupted;
}

static bool bring_back(const struct off *off, struct complaint *complaint)
{
    struct words words;
    struct child child;
    char said[MACHINE_SAID_BYTES], reason[SWAP_LINE_BYTES];
    bool on = true;
    int code = 0;
    swap_plan_turn_off(off->device, &words);
    if (!child_start(off->machine, &child, &words, complaint)) return false;
    bool whole = watch(off, &child, &code);
    child_said(&child, said);
    child_fini(&child);
    swap_facts_reason(said, reason);
    uint64_t left_kib = used_kib(off, &on);
    if (code == 0 && !on) return true;
    complain(complaint, "%.200s, and %s is still on with %s in it",
             !whole ? "interrupted" : reason[0] != '\0' ? reason : "swapoff failed", off->device,
             human_size(left_kib << 10).text);
    return false;
}

/* Runs it and waits until the kernel no longer shows the device in use. */
static bool end_device(const struct off *off, struct swap_device device, const struct words *words,
                       struct complaint *complaint)
{
    struct errand errand = {words, off->cli->timeout_ns, false, NULL};
    if (!machine_run(off->machine, &errand, complaint)) return false;
    for (uint64_t waited_ns = 0; waited_ns < LET_GO_NS; waited_ns += LOOK_NS) {
        if (!swap_disk_look(off->machine, device).connected) return true;
        wait_a_moment();
    }
    complain(complaint, "%s ended well, and the device is still there", words->word[0]);
    return false;
}

static bool let_go(const struct off *off, struct complaint *complaint)
{
    struct words words;
    struct complaint nothing;
    char path[SWAP_DEVICE_BYTES];
    if (off->state.device.array && swap_disk_look(off->machine, off->state.device).connected) {
        swap_plan_stop_mirror(off->device, &words);
        if (!end_device(off, off->state.device, &words, complaint)) return false;
    }
    for (unsigned i = 0; i < off->state.count; i++) {
        struct swap_device member = {.number = off->state.members[i].number};
        struct swap_disk disk = swap_disk_look(off->machine, member);
        if (!swap_member_connected(off->machine, &off->state.members[i])) continue;
        swap_device_path(member, path);
        swap_plan_empty(path, &words);
        struct errand errand = {&words, off->cli->timeout_ns, false, NULL};
        /* Where it cannot be told so, the server keeps pages that nobody reads. */
        if (disk.discards && off->was_on) (void)!machine_run(off->machine, &errand, &nothing);
        swap_plan_disconnect(path, &words);
        if (!end_device(off, member, &words, complaint)) return false;
    }
    return true;
}

static void show(const struct words *words)
{
    char line[WORDS_LINE_BYTES];
    words_line(words, line);
    puts(line);
}

static int show_plan(const struct off *off)
{
    struct words words;
    char path[SWAP_DEVICE_BYTES];
    swap_plan_turn_off(off->device, &words);
    show(&words);
    if (off->state.device.array) {
        swap_plan_stop_mirror(off->device, &words);
        show(&words);
    }
    for (unsigned i = 0; i < off->state.count; i++) {
        swap_device_path((struct swap_device){.number = off->state.members[i].number}, path);
        swap_plan_empty(path, &words);
        show(&words);
        swap_plan_disconnect(path, &words);
        show(&words);
    }
    return CLI_GOOD;
}

static void report(const struct off *off)
{
    if (!off->cli->json) {
        printf("%s: off and disconnected", off->device);
        if (off->was_on) printf("; %s came back", human_size(off->used_kib << 10).text);
        putchar('\n');
        return;
    }
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_text(&json, "device", off->device);
    json_number(&json, "came_back_bytes", off->used_kib << 10);
    json_object_end(&json);
    putchar('\n');
}

static bool any_connected(const struct off *off)
{
    bool any = off->state.device.array &&
               swap_disk_look(off->machine, off->state.device).connected;
    for (unsigned i = 0; i < off->state.count; i++)
        any |= swap_member_connected(off->machine, &off->state.members[i]);
    return any;
}

int swap_off(const struct cli *cli, const struct machine *machine, const char *device)
{
    struct off off = {.cli = cli, .machine = machine};
    struct complaint complaint = {{0}};
    int code = choose(&off, device);
    if (code != CLI_GOOD) return code;
    swap_device_path(off.state.device, off.device);
    off.used_kib = used_kib(&off, &off.was_on);
    if (cli->dry_run) return show_plan(&off);
    if (!machine_is_root(machine)) return cli_fail(cli, CLI_FAILED, "swap off: needs root");
    if (!off.was_on && !any_connected(&off)) {
        swap_state_forget(machine, off.state.device);
        return cli_fail(cli, CLI_FAILED, "swap off: %s is neither swap nor connected", off.device);
    }
    interrupt_hold();
    bool good = !off.was_on || (fits(&off, &complaint) && bring_back(&off, &complaint));
    good = good && let_go(&off, &complaint);
    if (!good) return cli_fail(cli, CLI_FAILED, "swap off: %s", complaint.text);
    swap_state_forget(machine, off.state.device);
    report(&off);
    return CLI_GOOD;
}
