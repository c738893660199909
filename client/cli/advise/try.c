/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The main job on real memory. The order is the point: the program stands still from before its
 * pages are stored until after they were compared, and whatever happens in between ends in
 * subject_release and, unless --keep, with the pages forgotten on the server. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/cli/advise/trial.h"
#include "client/cli/cli.h"
#include "client/cli/interrupt.h"
#include "client/cli/operate/subject.h"
#include "client/cli/pages/transfer.h"
#include "client/cli/process.h"

enum { STEADY_NS = 1000000000, SAMPLE_NS = 50000000, ALONE_PAGES = 2000 };
#define GROWTH_NS_MAX 60000000000ull /* a program that never stops growing is taken as it is */

/* --- the program ---------------------------------------------------------------------------- */

/* Until the memory has not grown for a second. Less than a hundredth is not called growth. */
static bool wait_until_steady(struct subject *subject, struct complaint *complaint)
{
    uint64_t begun = clock_monotonic_ns();
    uint64_t since = begun, highest = 0;
    for (;;) {
        if (!subject_wait(subject, SAMPLE_NS, complaint)) return false;
        uint64_t now = clock_monotonic_ns();
        uint64_t bytes = process_anonymous_bytes(subject->pid);
        if (bytes > highest + highest / 100) {
            highest = bytes;
            since = now;
        }
        if (now - since >= STEADY_NS || now - begun >= GROWTH_NS_MAX) return true;
    }
}

static bool begin(const struct cli *cli, struct trial *trial, struct complaint *complaint)
{
    struct subject *subject = &trial->subject;
    bool there = cli->has_pid ? subject_adopt(subject, (pid_t)cli->pid, complaint)
                              : subject_start(subject, cli->operands, complaint);
    if (!there) return false;
    bool ready = cli->has_after ? subject_wait(subject, cli->after_ns, complaint)
                                : wait_until_steady(subject, complaint);
    return ready && subject_stop(subject, complaint) &&
           memory_init(&trial->memory, subject->pid, complaint);
}

/* --- the area ------------------------------------------------------------------------------- */

/* A name that nobody else has: two trials at once must not share slots. */
static bool invent_name(struct trial *trial, struct complaint *complaint)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        complain_errno(complaint, errno, "no random number");
        return false;
    }
    snprintf(trial->area, sizeof trial->area, "try-%012" PRIx64, random >> 16);
    return true;
}

static bool make_area(const struct cli *cli, struct trial *trial, struct complaint *complaint)
{
    struct farpage_area *area;
    if (cli->area == NULL && !invent_name(trial, complaint)) return false;
    if (cli->area != NULL) snprintf(trial->area, sizeof trial->area, "%s", cli->area);
    enum farpage_status status = cli_area_open(trial->client, trial->area, 0, &area);
    if (status == FARPAGE_OK) {
        complain(complaint, "area '%s' exists already; --area wants a new one", trial->area);
        return false;
    }
    struct farpage_area_options options = {
        .slots = trial->pages,
        .flags = FARPAGE_AREA_SHARED | (cli->keep ? 0 : FARPAGE_AREA_TRANSIENT)};
    if (status == FARPAGE_NO_AREA) {
        status = farpage_area_open(trial->client, trial->area, &options, &trial->open);
    }
    if (status != FARPAGE_OK) complain(complaint, "%s", farpage_error(trial->client));
    return status == FARPAGE_OK;
}

/* --- out and back --------------------------------------------------------------------------- */

static bool read_piece(void *context, const struct piece *piece, struct complaint *complaint)
{
    const struct trial *trial = context;
    size_t bytes = (size_t)piece->count * piece->page_bytes;
    if (memory_read(&trial->memory, piece->first * piece->page_bytes, piece->pages, bytes)) {
        return true;
    }
    complain_errno(complaint, errno, "reading the memory of process %ld", (long)trial->subject.pid);
    return false;
}

static bool compare_piece(void *context, const struct piece *piece, struct complaint *complaint)
{
    struct trial *trial = context;
    struct piece expected = *piece;
    expected.pages = malloc((size_t)piece->count * piece->page_bytes);
    if (expected.pages == NULL) {
        complain(complaint, "out of memory");
        return false;
    }
    bool good = read_piece(trial, &expected, complaint);
    for (uint32_t i = 0; good && i < piece->count; i++) {
        size_t at = (size_t)i * piece->page_bytes;
        if (memcmp(expected.pages + at, piece->pages + at, piece->page_bytes) == 0) continue;
        atomic_fetch_add(&trial->different, 1);
        atomic_store(&trial->different_slot, piece->first + i);
    }
    free(expected.pages);
    return good;
}

static bool move(const struct cli *cli, struct trial *trial, struct transfer *transfer,
                 struct transfer_result *result, struct complaint *complaint)
{
    transfer->area = trial->area;
    transfer->page_bytes = trial->page_bytes;
    transfer->context = trial;
    if (transfer_run(cli, transfer, result)) return true;
    *complaint = result->complaint;
    return false;
}

static bool out_and_back(const struct cli *cli, struct trial *trial, struct complaint *complaint)
{
    struct transfer out = {.kind = FARPAGE_OP_STORE,
                           .verb = "storing",
                           .pages = trial->pages,
                           .depth = (uint32_t)cli->depth,
                           .move = read_piece,
                           .connections = (uint32_t)cli->connections,
                           .time_wire_only = true};
    struct transfer back = out, alone;
    back.kind = FARPAGE_OP_LOAD;
    back.verb = "loading";
    back.move = compare_piece;
    alone = back; /* what a page fault would wait for */
    alone.verb = "loading, one by one";
    alone.pages = min_u64(trial->pages, ALONE_PAGES);
    alone.depth = alone.connections = 1;
    trial_measure(trial, &trial->before);
    if (!move(cli, trial, &out, &trial->stored, complaint)) return false;
    trial_measure(trial, &trial->after);
    return move(cli, trial, &back, &trial->loaded, complaint) &&
           move(cli, trial, &alone, &trial->alone, complaint);
}

/* --- the whole ------------------------------------------------------------------------------ */

static bool run_trial(const struct cli *cli, struct trial *trial, struct complaint *complaint)
{
    if (!begin(cli, trial, complaint)) return false;
    trial->page_bytes = farpage_server(trial->client)->page_bytes;
    trial->pages = div_up_u64(trial->memory.bytes, trial->page_bytes);
    trial->pid = trial->subject.pid;
    return make_area(cli, trial, complaint) && out_and_back(cli, trial, complaint);
}

static int judge(const struct cli *cli, const struct trial *trial)
{
    trial_print(cli, trial);
    return atomic_load(&trial->different) == 0 ? CLI_GOOD : CLI_FAILED;
}

int cli_try(const struct cli *cli)
{
    if (cli->has_pid == (cli->operand_count > 0)) {
        return cli_usage("try", "'try' needs a COMMAND or --pid PID, and not both");
    }
    if (cli->area != NULL && strlen(cli->area) >= TRIAL_AREA_BYTES) {
        return cli_usage("try", "--area: the name is too long");
    }
    struct trial *trial = calloc(1, sizeof *trial);
    if (trial == NULL) return cli_fail(cli, CLI_FAILED, "out of memory");
    int code = CLI_GOOD;
    trial->memory.fd = -1;
    if (!cli_connect(cli, &trial->client, &code)) {
        free(trial);
        return code;
    }
    interrupt_hold();
    struct complaint complaint;
    bool good = run_trial(cli, trial, &complaint);
    subject_release(&trial->subject);
    code = good ? judge(cli, trial) : cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    memory_fini(&trial->memory);
    farpage_disconnect(&trial->client);
    free(trial);
    return code;
}
