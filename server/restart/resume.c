/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/restart/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum {
    NS_PER_MS = 1000000,
    TELL_MS = 2000,
    SAVING_ROOM_BYTES = 16 << 20,
    PATIENCE_S = 30, /* systemd waits so much longer after each word */
};

void resume_init(struct resume *resume, struct shared *shared)
{
    resume->shared = shared;
    memcpy(resume->path, shared->config->server.restart_file, sizeof resume->path);
}

void resume_fini(struct resume *resume)
{
    restart_fini(&resume->taken);
    store_scratch_destroy(&resume->scratch);
}

/* Signals are heard, and those who wait are told. */
static bool go_on(void *context, uint64_t done, uint64_t all)
{
    struct resume *resume = context;
    uint64_t now_ns = clock_monotonic_ns();
    (void)event_base_loop(resume->base, EVLOOP_NONBLOCK);
    if (now_ns - resume->told_ns >= TELL_MS * (uint64_t)NS_PER_MS) {
        unsigned percent = all == 0 ? 0 : (unsigned)((double)done * 100 / (double)all);
        resume->told_ns = now_ns;
        notify_tell(resume->notify, "STATUS=%s, %u %%\nEXTEND_TIMEOUT_USEC=%u000000", resume->what,
                    percent, PATIENCE_S);
        log_event(resume->shared->log, LOG_INFO, resume->what, log_number("percent", percent));
    }
    return resume->saving ? !resume->gives_up : !*resume->stopping;
}

static enum fp_status begin(struct resume *resume, const char *what)
{
    resume->what = what;
    resume->begun_ns = resume->told_ns = clock_monotonic_ns();
    if (resume->scratch == NULL &&
        store_scratch_create(resume->shared->store, &resume->scratch) != FP_OK)
        return FP_NO_MEMORY;
    resume->scratch->now_ms = shared_store_ms(resume->shared, resume->begun_ns);
    resume->scratch->unix_s = clock_unix_ns() / 1000000000;
    return FP_OK;
}

/* --- at the start ----------------------------------------------------------------------------- */

static void tell_taken(struct resume *resume, const char *path)
{
    const struct restart *taken = &resume->taken;
    uint64_t took_ns = clock_monotonic_ns() - resume->begun_ns;
    log_event(resume->shared->log, LOG_INFO, "goes on with what was kept", log_text("file", path),
              log_text("identities", taken->same ? "the same" : "new"),
              log_number("pages", taken->restored.pages),
              log_number("items", taken->restored.items),
              log_number("expired_items", taken->restored.expired),
              log_number("items_without_memory", taken->restored.given_way),
              log_number("took_ms", took_ns / NS_PER_MS));
}

static enum fp_status take_up(struct resume *resume, const char *path, bool same, char *reason)
{
    struct restart_reading reading = {.path = path,
                                      .same = same,
                                      .store = resume->shared->store,
                                      .scratch = resume->scratch,
                                      .go_on = go_on,
                                      .context = resume};
    enum fp_status status = restart_read(&reading, &resume->taken, reason);
    if (status == FP_ABSENT) return FP_OK;
    if (status == FP_BUSY) {
        log_event(resume->shared->log, LOG_INFO, "stopped while it was taken up; it is as it was",
                  log_text("file", path));
        return FP_OK;
    }
    if (status != FP_OK) return status;
    if (same) memcpy(resume->shared->boot_id, resume->taken.boot_id, FRAME_BOOT_ID_BYTES);
    tell_taken(resume, path);
    return FP_OK;
}

static enum fp_status refuse_both(const struct resume *resume, char *reason)
{
    (void)snprintf(reason, RESTART_REASON_BYTES,
                   "--restore names a snapshot, and %s is there to go on with: move one of them "
                   "away", resume->path);
    return FP_INVALID;
}

static bool is_there(const char *path)
{
    FILE *file = path[0] != '\0' ? fopen(path, "re") : NULL;
    if (file != NULL) (void)fclose(file);
    return file != NULL;
}

enum fp_status resume_begin(struct resume *resume, char reason[RESTART_REASON_BYTES])
{
    bool keeps = resume->path[0] != '\0';
    (void)snprintf(reason, RESTART_REASON_BYTES, "out of memory");
    if (!keeps && resume->restore == NULL) return FP_OK;
    if (keeps && restart_check(resume->path, reason) != FP_OK) return FP_IO;
    if (resume->restore != NULL && is_there(resume->path)) return refuse_both(resume, reason);
    if (begin(resume, "taking up what was kept") != FP_OK) return FP_NO_MEMORY;
    if (resume->restore != NULL) return take_up(resume, resume->restore, false, reason);
    return take_up(resume, resume->path, true, reason);
}

void resume_exports(struct resume *resume)
{
    struct restart_exports *exports = &resume->taken.exports;
    for (uint32_t i = 0; i < exports->count && resume->taken.taken; i++) {
        struct slice name = slice_text(exports->names[i]);
        if (exports_come_back(&resume->shared->exports, name, clock_monotonic_ns()) != FP_OK)
            log_event(resume->shared->log, LOG_WARN, "no template makes that export any more",
                      log_bytes("export", name), log_text("kept", "its area, as an ordinary one"));
    }
}

enum fp_status resume_done(struct resume *resume, char reason[RESTART_REASON_BYTES])
{
    if (!resume->taken.taken || !resume->taken.same) return FP_OK;
    return restart_consume(resume->path, reason);
}

/* --- at the end ------------------------------------------------------------------------------- */

static void add_name(void *context, const char *name)
{
    struct restart_exports *exports = context;
    if (exports->count == SNAPSHOT_EXPORTS_MAX) return;
    (void)snprintf(exports->names[exports->count++], sizeof *exports->names, "%s", name);
}

static bool tell_saved(struct resume *resume, const struct restart_written *written)
{
    if (written->unsynced)
        log_event(resume->shared->log, LOG_WARN, "the file may be gone after a loss of power",
                  log_text("file", resume->path),
                  log_text("why", "its directory could not be brought to the disk"));
    log_event(resume->shared->log, LOG_INFO, "what was stored is kept for the next start",
              log_text("file", resume->path), log_number("pages", written->pages),
              log_number("items", written->items), log_number("bytes", written->bytes),
              log_number("took_ms", (clock_monotonic_ns() - resume->begun_ns) / NS_PER_MS));
    return true;
}

static bool tell_lost(struct resume *resume, const char *reason)
{
    log_event(resume->shared->log, LOG_ERROR, "what was stored is lost", log_text("why", reason));
    return false;
}

bool resume_save(struct resume *resume)
{
    char reason[RESTART_REASON_BYTES] = "";
    if (resume->path[0] == '\0') return true;
    if (begin(resume, "keeping what is stored") != FP_OK) return tell_lost(resume, "out of memory");
    /* What is spilled needs room to be read, and nothing new comes that could take it. */
    struct budget *budget = store_budget(resume->shared->store);
    budget_set_limit(budget, budget_limit(budget) + SAVING_ROOM_BYTES);
    resume->saving = true;
    struct restart_written written;
    struct restart_writing writing = {.path = resume->path,
                                      .boot_id = resume->shared->boot_id,
                                      .release = FARPAGE_VERSION,
                                      .store = resume->shared->store,
                                      .scratch = resume->scratch,
                                      .go_on = go_on,
                                      .context = resume};
    writing.exports.names = calloc(SNAPSHOT_EXPORTS_MAX, sizeof *writing.exports.names);
    if (writing.exports.names == NULL) return tell_lost(resume, "out of memory");
    exports_each_made(&resume->shared->exports, add_name, &writing.exports);
    enum fp_status status = restart_write(&writing, &written, reason);
    free(writing.exports.names);
    resume->saving = false;
    if (status == FP_OK) return tell_saved(resume, &written);
    return tell_lost(resume, status == FP_BUSY ? "a signal came while it was written" : reason);
}
