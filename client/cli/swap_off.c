/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Turning swap off brings every page back: the kernel's swapoff does, while we watch how many are
 * left. Only then is the device let go; a swap that stays on keeps its server. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "client/cli/human.h"
#include "client/cli/interrupt.h"
#include "client/cli/json.h"
#include "client/cli/progress.h"
#include "client/cli/swap.h"

#define LOOK_NS 100000000u
#define LET_GO_NS 5000000000u
enum { PAGE_KIB = 4 };

struct off {
    const struct cli *cli;
    const struct machine *machine;
    unsigned number;
    char device[SWAP_DEVICE_BYTES];
    uint64_t used_kib; /* when we came */
    bool was_on;
};

/* The one that is ours, or the one that was named. */
static bool choose(struct off *off, const char *device, struct complaint *complaint)
{
    struct swap_state state;
    unsigned found = 0;
    if (device != NULL) {
        if (swap_disk_number(device, &off->number)) return true;
        complain(complaint, "'%.60s' is no nbd device, such as /dev/nbd0", device);
        return false;
    }
    for (unsigned i = SWAP_DEVICES_MAX; i-- > 0;) {
        if (!swap_state_find(off->machine, i, &state)) continue;
        off->number = i;
        found++;
    }
    if (found == 0)
        complain(complaint, "'farpage swap on' turned none on here; name the device");
    if (found > 1)
        complain(complaint, "%u are on: name the device, as 'farpage swap status' does", found);
    return found == 1;
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

/* Until swapoff ended; false with a reason. */
static bool bring_back(const struct off *off, struct complaint *complaint)
{
    struct words words;
    struct child child;
    struct progress progress;
    char said[MACHINE_SAID_BYTES], reason[SWAP_LINE_BYTES];
    bool on = true, interrupted = false;
    int code = 0;
    swap_plan_turn_off(off->device, &words);
    if (!child_start(off->machine, &child, &words, complaint)) return false;
    progress_init(&progress, "draining", off->used_kib / PAGE_KIB, PAGE_KIB << 10);
    while (!child_ended(&child, &code)) {
        uint64_t left_kib = used_kib(off, &on);
        uint64_t done_kib = left_kib < off->used_kib ? off->used_kib - left_kib : 0;
        progress_show(&progress, done_kib / PAGE_KIB);
        if (interrupt_sleep(LOOK_NS)) continue;
        if (!interrupted) child_kill(&child, false);
        interrupted = true;
        struct timespec wait = {.tv_nsec = LOOK_NS};
        (void)nanosleep(&wait, NULL);
    }
    progress_fini(&progress);
    child_said(&child, said);
    child_fini(&child);
    swap_facts_reason(said, reason);
    uint64_t left_kib = used_kib(off, &on);
    if (code == 0 && !on) return true;
    complain(complaint, "%s, and %s is still on with %s in it",
             interrupted ? "interrupted" : reason[0] != '\0' ? reason : "swapoff failed",
             off->device, human_size(left_kib << 10).text);
    return false;
}

static bool let_go(const struct off *off, struct complaint *complaint)
{
    struct words words;
    if (!swap_disk_look(off->machine, off->number).connected) return true;
    swap_plan_disconnect(off->device, &words);
    struct errand errand = {&words, off->cli->timeout_ns, false, NULL};
    if (!machine_run(off->machine, &errand, complaint)) return false;
    for (uint64_t waited_ns = 0; waited_ns < LET_GO_NS; waited_ns += LOOK_NS) {
        if (!swap_disk_look(off->machine, off->number).connected) return true;
        struct timespec wait = {.tv_nsec = LOOK_NS};
        (void)nanosleep(&wait, NULL);
    }
    complain(complaint, "nbd-client -d let go of %s, and the kernel did not", off->device);
    return false;
}

static int show_plan(const struct off *off)
{
    struct words words;
    char line[WORDS_LINE_BYTES];
    swap_plan_turn_off(off->device, &words);
    words_line(&words, line);
    puts(line);
    swap_plan_disconnect(off->device, &words);
    words_line(&words, line);
    puts(line);
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

int swap_off(const struct cli *cli, const struct machine *machine, const char *device)
{
    struct off off = {.cli = cli, .machine = machine};
    struct complaint complaint = {{0}};
    if (!choose(&off, device, &complaint))
        return device != NULL ? cli_usage("swap", "%s", complaint.text)
                              : cli_fail(cli, CLI_FAILED, "swap off: %s", complaint.text);
    snprintf(off.device, sizeof off.device, "/dev/nbd%u", off.number);
    off.used_kib = used_kib(&off, &off.was_on);
    bool known = off.was_on || swap_disk_look(machine, off.number).connected;
    if (cli->dry_run) return show_plan(&off);
    if (!machine_is_root(machine)) return cli_fail(cli, CLI_FAILED, "swap off: needs root");
    if (!known) {
        swap_state_forget(machine, off.number);
        return cli_fail(cli, CLI_FAILED, "swap off: %s is neither swap nor connected", off.device);
    }
    interrupt_hold();
    bool good = !off.was_on || (fits(&off, &complaint) && bring_back(&off, &complaint));
    good = good && let_go(&off, &complaint);
    if (!good) return cli_fail(cli, CLI_FAILED, "swap off: %s", complaint.text);
    swap_state_forget(machine, off.number);
    report(&off);
    return CLI_GOOD;
}
