/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The life of a replay: the trace and the page files are checked, then the server is (1) looked at
 * while it is empty, (2) given the operations in batches, (3) looked at where the trace says so,
 * and (4) with --verify, asked for every slot again.
 *
 * The operations of a batch may be carried out in any order, so a slot is in one batch only once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/interrupt.h"
#include "client/cli/operate/compaction.h"
#include "client/cli/operate/statlines.h"
#include "client/cli/pages/pagefile.h"
#include "client/cli/process.h"
#include "client/cli/replay/trace.h"
#include "client/cli/say/json.h"
#include "client/cli/say/progress.h"

enum {
    DEPTH = 64,
    BATCH_OPS = 4 * DEPTH,
    OTHER_BYTES = 1 << 20, /* by how much two looks at one process may differ, and an eighth */
};

/* What a slot holds, as far as the trace has been replayed. */
struct content {
    uint32_t batch; /* the last one that touched it */
    uint32_t page;
    uint16_t corpus;
    bool stored;
};

struct snapshot {
    const char *label; /* the trace's */
    uint64_t pages, same_filled, compressed_bytes, resident_bytes;
};

struct pause {
    double seconds;
    uint64_t pages_freed;
};

struct replay {
    const struct cli *cli;
    const char *name; /* of the area */
    struct farpage *client;
    struct farpage_area *area;
    struct trace trace;
    struct pagefile files[TRACE_CORPORA_MAX];
    unsigned open_files;
    struct content *slots;      /* owned */
    struct snapshot *snapshots; /* owned; as many as labels */
    struct pause *compactions;  /* owned; as many as the trace's */
    size_t snapshot_count, compaction_count;
    struct farpage_op ops[BATCH_OPS];
    const struct trace_op *origins[BATCH_OPS];
    uint8_t *pages; /* owned; BATCH_OPS pages, and as many to compare with */
    size_t batched;
    uint32_t batch;
    pid_t pid;
    uint64_t empty_bytes; /* what the server's process held before */
    struct progress progress;
    uint64_t verified, different, different_slot;
};

/* --- the page files ------------------------------------------------------------------------- */

static bool open_files(struct replay *replay, struct complaint *complaint)
{
    const struct trace *trace = &replay->trace;
    unsigned given = replay->cli->operand_count - 1;
    if (given != trace->corpora) {
        complain(complaint, "'%.160s' is about %u page files, not %u", trace->path, trace->corpora,
                 given);
        return false;
    }
    for (unsigned i = 0; i < given; i++) {
        struct pagefile *file = &replay->files[i];
        if (!pagefile_open(file, replay->cli->operands[1 + i], complaint)) return false;
        replay->open_files++;
        if (file->size_bytes == (uint64_t)trace->corpus_pages[i] * TRACE_PAGE_BYTES) continue;
        complain(complaint, "'%.160s' has %llu bytes; corpus %u of the trace has %lu pages of 4096",
                 file->path, (unsigned long long)file->size_bytes, i,
                 (unsigned long)trace->corpus_pages[i]);
        return false;
    }
    return true;
}

static bool read_page(const struct replay *replay, unsigned corpus, uint32_t page, uint8_t *into,
                      struct complaint *complaint)
{
    struct piece piece = {.first = page, .count = 1, .page_bytes = TRACE_PAGE_BYTES, .pages = into};
    return pagefile_read(&replay->files[corpus], &piece, complaint);
}

/* --- looking at the server ------------------------------------------------------------------ */

static bool fetch(const struct replay *replay, const char *section, struct statlines *statlines,
                  struct complaint *complaint)
{
    if (statlines_fetch(statlines, replay->client, section) == FARPAGE_OK) return true;
    complain(complaint, "%s",
             statlines->no_memory ? "out of memory" : farpage_error(replay->client));
    return false;
}

static uint64_t figure(const struct statlines *statlines, const char *prefix, const char *suffix)
{
    uint64_t number;
    return statlines_number(statlines, prefix, suffix, &number) ? number : 0;
}

/* Another machine's server may have the number of a process of ours: the two must agree on how much
 * is resident. */
static bool find_process(struct replay *replay, const struct statlines *statlines,
                         struct complaint *complaint)
{
    struct holding holding;
    uint64_t pid = figure(statlines, "pid", NULL);
    uint64_t told = figure(statlines, "farpage_resident_bytes", NULL);
    replay->pid = (pid_t)pid;
    struct complaint why;
    if (!process_holding(replay->pid, &holding, &why)) {
        complain(complaint,
                 "%s; replay needs the server on this machine and the right to look at "
                 "its process",
                 why.text);
        return false;
    }
    uint64_t seen = holding.resident_bytes;
    uint64_t apart = seen > told ? seen - told : told - seen;
    replay->empty_bytes = holding.private_bytes;
    if (apart <= OTHER_BYTES + told / 8) return true;
    complain(complaint,
             "process %ld of this machine holds %llu bytes, the server says %llu: replay "
             "needs the server on this machine",
             (long)replay->pid, (unsigned long long)seen, (unsigned long long)told);
    return false;
}

static bool look_while_empty(struct replay *replay, struct complaint *complaint)
{
    struct statlines statlines;
    bool good = fetch(replay, "", &statlines, complaint);
    uint64_t used = good ? figure(&statlines, "farpage_page_stores", NULL) +
                               figure(&statlines, "total_items", NULL)
                         : 0;
    good = good && find_process(replay, &statlines, complaint);
    statlines_fini(&statlines);
    if (good && used > 0) {
        fputs("farpage: note: the server has stored something before; what it still holds of that "
              "is not counted\n",
              stderr);
    }
    return good;
}

static bool open_area(struct replay *replay, struct complaint *complaint)
{
    struct farpage_area_options options = {.slots = replay->trace.slots,
                                           .flags = FARPAGE_AREA_SHARED,
                                           .page_bytes = TRACE_PAGE_BYTES,
                                           .pack = FARPAGE_PACK_OFF};
    if (farpage_area_open(replay->client, replay->name, &options, &replay->area) != FARPAGE_OK) {
        complain(complaint, "%s (the trace has %llu slots; --area NAME takes another area)",
                 farpage_error(replay->client), (unsigned long long)options.slots);
        return false;
    }
    struct statlines statlines;
    bool good = fetch(replay, "areas", &statlines, complaint);
    uint64_t stored = good ? figure(&statlines, replay->name, "stored") : 0;
    statlines_fini(&statlines);
    if (!good || stored == 0) return good;
    complain(complaint,
             "area '%s' holds %llu pages; 'farpage invalidate %s' forgets them, --area "
             "NAME takes another area",
             replay->name, (unsigned long long)stored, replay->name);
    return false;
}

static bool take_snapshot(struct replay *replay, const char *label, struct complaint *complaint)
{
    struct statlines statlines;
    struct holding holding;
    if (!process_holding(replay->pid, &holding, complaint)) return false;
    bool good = fetch(replay, "areas", &statlines, complaint);
    uint64_t held = holding.private_bytes, empty = replay->empty_bytes;
    if (good) {
        replay->snapshots[replay->snapshot_count++] = (struct snapshot){
            .label = label,
            .pages = figure(&statlines, replay->name, "stored"),
            .same_filled = figure(&statlines, replay->name, "same_filled"),
            .compressed_bytes = figure(&statlines, replay->name, "packed_bytes"),
            .resident_bytes = held > empty ? held - empty : 0,
        };
    }
    statlines_fini(&statlines);
    return good;
}

/* --- the operations ------------------------------------------------------------------------- */

static bool flush(struct replay *replay, struct complaint *complaint)
{
    size_t count = replay->batched;
    replay->batched = 0;
    replay->batch++;
    if (farpage_batch(replay->area, replay->ops, count, DEPTH) != FARPAGE_OK) {
        complain(complaint, "%s", farpage_area_error(replay->area));
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        enum farpage_status status = replay->ops[i].status;
        if (status == FARPAGE_OK) continue;
        const struct trace_op *op = replay->origins[i];
        complain(complaint, "%.160s:%lu: slot %llu: %s", replay->trace.path,
                 (unsigned long)op->line, (unsigned long long)op->slot,
                 farpage_status_text(status));
        return false;
    }
    return true;
}

static bool put_into_batch(struct replay *replay, const struct trace_op *op,
                           struct complaint *complaint)
{
    struct content *content = &replay->slots[op->slot];
    bool full = replay->batched == BATCH_OPS || content->batch == replay->batch;
    if (full && !flush(replay, complaint)) return false;
    bool store = op->kind == TRACE_STORE;
    uint8_t *page = replay->pages + replay->batched * TRACE_PAGE_BYTES;
    if (store && !read_page(replay, op->corpus, op->page, page, complaint)) return false;
    *content = (struct content){
        .batch = replay->batch, .page = op->page, .corpus = op->corpus, .stored = store};
    replay->origins[replay->batched] = op;
    replay->ops[replay->batched++] = (struct farpage_op){
        .kind = store ? FARPAGE_OP_STORE : FARPAGE_OP_INVALIDATE,
        .slot = op->slot,
        .count = store ? 0 : 1,
        .page = store ? page : NULL,
    };
    return true;
}

static bool compact(struct replay *replay, struct complaint *complaint)
{
    struct compaction_watch watch = {.client = replay->client};
    bool good = compaction_start(&watch, complaint) && compaction_wait(&watch, complaint);
    if (!good) return false;
    replay->compactions[replay->compaction_count++] = (struct pause){
        .seconds = watch.seconds,
        .pages_freed = compaction_since(watch.before.freed_pages, watch.now.freed_pages),
    };
    return true;
}

static bool run_op(struct replay *replay, const struct trace_op *op, struct complaint *complaint)
{
    switch ((enum trace_kind)op->kind) {
    case TRACE_STORE:
    case TRACE_DISCARD:
        return put_into_batch(replay, op, complaint);
    case TRACE_COMPACT:
        return flush(replay, complaint) && compact(replay, complaint);
    case TRACE_SNAPSHOT:
        return flush(replay, complaint) &&
               take_snapshot(replay, replay->trace.labels[op->slot], complaint);
    case TRACE_WAIT:
        return flush(replay, complaint) && interrupt_sleep(op->slot * 1000000);
    }
    return true;
}

static bool run_trace(struct replay *replay, struct complaint *complaint)
{
    const struct trace *trace = &replay->trace;
    bool good = true;
    progress_init(&replay->progress, "replaying", trace->count, TRACE_PAGE_BYTES);
    for (size_t i = 0; good && i < trace->count; i++) {
        if (i % BATCH_OPS == 0) progress_show(&replay->progress, i);
        good = run_op(replay, &trace->ops[i], complaint);
    }
    good = good && flush(replay, complaint);
    progress_fini(&replay->progress);
    return good;
}

/* --- comparing ------------------------------------------------------------------------------ */

static bool compare_slot(struct replay *replay, const struct farpage_op *op,
                         struct complaint *complaint)
{
    const struct content *content = &replay->slots[op->slot];
    uint8_t *expected = replay->pages + (size_t)BATCH_OPS * TRACE_PAGE_BYTES;
    bool same = op->status == (content->stored ? FARPAGE_OK : FARPAGE_ABSENT);
    if (same && content->stored) {
        if (!read_page(replay, content->corpus, content->page, expected, complaint)) return false;
        same = memcmp(op->page, expected, TRACE_PAGE_BYTES) == 0;
    }
    replay->verified++;
    if (same) return true;
    if (replay->different++ == 0) replay->different_slot = op->slot;
    return true;
}

static bool verify_from(struct replay *replay, uint64_t first, size_t count,
                        struct complaint *complaint)
{
    for (size_t i = 0; i < count; i++) {
        replay->ops[i] = (struct farpage_op){.kind = FARPAGE_OP_LOAD,
                                             .slot = first + i,
                                             .page = replay->pages + i * TRACE_PAGE_BYTES};
    }
    if (farpage_batch(replay->area, replay->ops, count, DEPTH) != FARPAGE_OK) {
        complain(complaint, "%s", farpage_area_error(replay->area));
        return false;
    }
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        good = compare_slot(replay, &replay->ops[i], complaint);
    }
    return good;
}

static bool verify_all(struct replay *replay, struct complaint *complaint)
{
    uint64_t slots = replay->trace.slots;
    bool good = true;
    progress_init(&replay->progress, "verifying", slots, TRACE_PAGE_BYTES);
    for (uint64_t first = 0; good && first < slots; first += BATCH_OPS) {
        uint64_t left = slots - first;
        progress_show(&replay->progress, first);
        good = verify_from(replay, first, left < BATCH_OPS ? (size_t)left : BATCH_OPS, complaint);
    }
    progress_fini(&replay->progress);
    return good;
}

/* --- the whole ------------------------------------------------------------------------------ */

static void print_snapshots(const struct replay *replay, struct json *json)
{
    json_array(json, "snapshots");
    for (size_t i = 0; i < replay->snapshot_count; i++) {
        const struct snapshot *snapshot = &replay->snapshots[i];
        json_object(json, NULL);
        json_text(json, "at", snapshot->label);
        json_number(json, "pages", snapshot->pages);
        json_number(json, "same_filled", snapshot->same_filled);
        json_number(json, "compressed_bytes", snapshot->compressed_bytes);
        json_number(json, "resident_bytes", snapshot->resident_bytes);
        json_real(json, "ram_per_compressed_byte",
                  (double)snapshot->resident_bytes / (double)snapshot->compressed_bytes);
        json_object_end(json);
    }
    json_array_end(json);
}

static void print_result(const struct replay *replay)
{
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    print_snapshots(replay, &json);
    json_array(&json, "compactions");
    for (size_t i = 0; i < replay->compaction_count; i++) {
        json_object(&json, NULL);
        json_real(&json, "seconds", replay->compactions[i].seconds);
        json_number(&json, "pages_freed", replay->compactions[i].pages_freed);
        json_object_end(&json);
    }
    json_array_end(&json);
    if (replay->cli->verify) {
        json_number(&json, "verified_slots", replay->verified);
        json_number(&json, "different_slots", replay->different);
    }
    json_object_end(&json);
    putchar('\n');
}

static bool make_room(struct replay *replay, struct complaint *complaint)
{
    const struct trace *trace = &replay->trace;
    size_t compactions = 1;
    for (size_t i = 0; i < trace->count; i++) compactions += trace->ops[i].kind == TRACE_COMPACT;
    replay->slots = calloc(trace->slots, sizeof *replay->slots);
    replay->snapshots = calloc(trace->label_count + 1, sizeof *replay->snapshots);
    replay->compactions = calloc(compactions, sizeof *replay->compactions);
    replay->pages = malloc((size_t)(BATCH_OPS + 1) * TRACE_PAGE_BYTES);
    replay->batch = 1; /* slots begin with 0: in none */
    bool good = replay->slots != NULL && replay->snapshots != NULL && replay->compactions != NULL &&
                replay->pages != NULL;
    if (!good) complain(complaint, "out of memory");
    return good;
}

/* Against the server; an exit code. */
static int run(struct replay *replay)
{
    struct complaint complaint = {""};
    const struct cli *cli = replay->cli;
    bool good = look_while_empty(replay, &complaint) && open_area(replay, &complaint) &&
                run_trace(replay, &complaint) && (!cli->verify || verify_all(replay, &complaint));
    if (!good) return cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    print_result(replay);
    if (replay->different == 0) return CLI_GOOD;
    fflush(stdout);
    fprintf(stderr, "farpage: %llu slots differ, slot %llu is the first\n",
            (unsigned long long)replay->different, (unsigned long long)replay->different_slot);
    return CLI_FAILED;
}

static void replay_fini(struct replay *replay)
{
    struct complaint unused;
    for (unsigned i = 0; i < replay->open_files; i++) {
        if (!pagefile_close(&replay->files[i], &unused)) continue; /* it was only read */
    }
    free(replay->slots);
    free(replay->snapshots);
    free(replay->compactions);
    free(replay->pages);
    trace_fini(&replay->trace);
    free(replay);
}

int cli_replay(const struct cli *cli)
{
    struct complaint complaint;
    int code = CLI_GOOD;
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL) return cli_fail(cli, CLI_FAILED, "out of memory");
    replay->cli = cli;
    replay->name = cli->area != NULL ? cli->area : "replay";
    bool good = trace_init(&replay->trace, cli->operands[0], &complaint) &&
                open_files(replay, &complaint) && make_room(replay, &complaint);
    if (!good) {
        code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    } else if (cli_connect(cli, &replay->client, &code)) {
        code = run(replay);
        farpage_disconnect(&replay->client);
    }
    replay_fini(replay);
    return code;
}
