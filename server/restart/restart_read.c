/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/number.h"
#include "server/restart/restart_file.h"
#include "snapshot/reader.h"
#include "storage/store/spill/store_spill.h"

enum {
    BUFFER_BYTES = 2 * SNAPSHOT_RECORD_BYTES_MAX,
    RECORDS_PER_ASK = 16,
};

static const char move_it[] = "move it away to start empty; what it has is lost to clients then";

struct loading {
    const struct restart_reading *reading;
    struct restart *restart;
    char *reason;
    int fd;
    struct stat about;
    uint8_t *buffer;
    size_t start, end; /* what was read and not taken yet */
    bool at_end;       /* of the file */
    struct snapshot_reader *reader;
    struct store_restore *restore;
};

/* --- the file --------------------------------------------------------------------------------- */

/* Who may write to it could have the server say anything. */
static enum fp_status check_file(struct loading *loading)
{
    const char *path = loading->reading->path;
    if (fstat(loading->fd, &loading->about) != 0)
        return restart_fail(loading->reason, path, "%s", strerror(errno));
    const struct stat *about = &loading->about;
    if (!S_ISREG(about->st_mode))
        return restart_fail(loading->reason, path, "it is not an ordinary file");
    bool same = loading->reading->same;
    if (same && about->st_uid != geteuid())
        return restart_fail(loading->reason, path, "it belongs to another user than the server's");
    if ((about->st_mode & (same ? S_IWGRP | S_IWOTH : S_IWOTH)) != 0)
        return restart_fail(loading->reason, path, "others may write to it; chmod go-w takes that "
                            "away, if its content can be trusted");
    return FP_OK;
}

static enum fp_status open_file(struct loading *loading)
{
    const char *path = loading->reading->path;
    loading->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
                                 (loading->reading->same ? O_NOFOLLOW : 0));
    if (loading->fd < 0 && errno == ENOENT && loading->reading->same) return FP_ABSENT;
    if (loading->fd < 0) return restart_fail(loading->reason, path, "%s", strerror(errno));
    return check_file(loading);
}

/* Reads on. FP_IO: the system refuses. */
static enum fp_status fill(struct loading *loading)
{
    size_t left = loading->end - loading->start;
    memmove(loading->buffer, loading->buffer + loading->start, left);
    loading->start = 0;
    loading->end = left;
    while (loading->end < BUFFER_BYTES && !loading->at_end) {
        ssize_t got = read(loading->fd, loading->buffer + loading->end,
                           BUFFER_BYTES - loading->end);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return restart_fail(loading->reason, loading->reading->path, "at byte %" PRIu64 ": %s",
                                loading->reader->offset + loading->end, strerror(errno));
        if (got == 0) loading->at_end = true;
        loading->end += (size_t)got;
    }
    return FP_OK;
}

/* --- whether there is room -------------------------------------------------------------------- */

static enum fp_status refuse_memory(struct loading *loading, uint64_t needs_bytes)
{
    const struct budget *budget = store_budget(loading->reading->store);
    char needs[NUMBER_TEXT_BYTES], limit[NUMBER_TEXT_BYTES];
    number_size_short(needs_bytes + budget_total(budget), needs);
    number_size_short(budget_limit(budget), limit);
    (void)restart_fail(loading->reason, loading->reading->path, "it needs %s at least, and "
                       "storage.memory_limit is %s: raise it", needs, limit);
    return FP_NO_MEMORY;
}

/* What its end says, to refuse early what cannot fit; all of it is checked later. */
static enum fp_status look_ahead(struct loading *loading, struct snapshot_totals *totals)
{
    uint8_t tail[SNAPSHOT_TAIL_BYTES];
    struct snapshot_end end;
    const struct store *store = loading->reading->store;
    *totals = (struct snapshot_totals){0};
    if (loading->about.st_size < (off_t)sizeof tail) return FP_OK;
    off_t at = loading->about.st_size - (off_t)sizeof tail;
    ssize_t got = pread(loading->fd, tail, sizeof tail, at);
    if (got != (ssize_t)sizeof tail || !snapshot_peek_end(slice_of(tail, sizeof tail), &end) ||
        end.file_bytes != (uint64_t)loading->about.st_size)
        return FP_OK; /* who reads it will find out */
    *totals = end.totals;
    if (store_evicts(store)) /* items give way */
        totals->items = totals->key_bytes = totals->value_packed_bytes = 0;
    struct budget *budget = store_budget(loading->reading->store);
    uint64_t needs = store_restore_needs(totals), free_bytes = 0;
    if (budget_limit(budget) > budget_total(budget))
        free_bytes = budget_limit(budget) - budget_total(budget);
    struct spill_file *spill = store_spill_file(loading->reading->store);
    if (spill != NULL) free_bytes += spill_file_fill(spill).size_bytes;
    return needs > free_bytes ? refuse_memory(loading, needs) : FP_OK;
}

/* --- record by record ------------------------------------------------------------------------- */

static enum fp_status refuse(struct loading *loading, const char *problem)
{
    const struct snapshot_reader *reader = loading->reader;
    uint64_t offset = reader->problem != NULL ? reader->problem_offset : reader->offset;
    (void)restart_fail(loading->reason, loading->reading->path, "at byte %" PRIu64 ": %s; %s",
                       offset, problem,
                       loading->reading->same ? move_it : "nothing of it was taken");
    return FP_CORRUPT;
}

static enum fp_status take_head(struct loading *loading, const struct snapshot_head *head)
{
    struct restart *restart = loading->restart;
    const char *path = loading->reading->path;
    restart->unix_ns = head->unix_ns;
    restart->last_generation = head->last_generation;
    if (!loading->reading->same) return FP_OK;
    if (head->kind != SNAPSHOT_OF_STOP)
        return restart_fail(loading->reason, path, "it is a snapshot of a server that went on "
                            "after it, so its pages may be old ones; 'farpaged --restore FILE' "
                            "begins with it, under new identities");
    if (head->inode != (uint64_t)loading->about.st_ino)
        return restart_fail(loading->reason, path, "it is a copy of a restart file, which may have "
                            "been taken up already; 'farpaged --restore FILE' begins with it, "
                            "under new identities");
    memcpy(restart->boot_id, head->boot_id, sizeof restart->boot_id);
    return FP_OK;
}

static enum fp_status take_export(struct restart *restart, struct slice name)
{
    struct restart_exports *exports = &restart->exports;
    if (exports->names == NULL)
        exports->names = calloc(SNAPSHOT_EXPORTS_MAX, sizeof *exports->names);
    if (exports->names == NULL) return FP_NO_MEMORY;
    fp_assert(exports->count < SNAPSHOT_EXPORTS_MAX);
    memcpy(exports->names[exports->count++], name.bytes, name.size_bytes);
    return FP_OK;
}

static enum fp_status take(struct loading *loading, const struct snapshot_record *record)
{
    const char *problem = NULL;
    enum fp_status status = FP_OK;
    if (record->type == SNAPSHOT_HEAD) status = take_head(loading, &record->as.head);
    if (record->type == SNAPSHOT_EXPORT)
        status = take_export(loading->restart, record->as.export);
    if (status == FP_OK)
        status = store_restore_take(loading->restore, loading->reading->scratch, record, &problem);
    if (problem != NULL) return refuse(loading, problem);
    return status;
}

static bool goes_on(const struct loading *loading, unsigned *records)
{
    if (++*records % RECORDS_PER_ASK != 0 || loading->reading->go_on == NULL) return true;
    return loading->reading->go_on(loading->reading->context, loading->reader->offset,
                                   (uint64_t)loading->about.st_size);
}

static enum fp_status take_all(struct loading *loading)
{
    struct snapshot_record record;
    unsigned records = 0;
    for (;;) {
        size_t used;
        struct slice bytes =
            slice_of(loading->buffer + loading->start, loading->end - loading->start);
        enum fp_status status = FP_OK;
        switch (snapshot_read_next(loading->reader, bytes, loading->at_end, &record, &used)) {
        case SNAPSHOT_READ_RECORD:
            status = take(loading, &record);
            loading->start += used;
            break;
        case SNAPSHOT_READ_MORE:
            status = fill(loading);
            break;
        case SNAPSHOT_READ_END:
            return FP_OK;
        case SNAPSHOT_READ_BAD:
            return refuse(loading, loading->reader->problem);
        }
        if (status != FP_OK) return status;
        if (!goes_on(loading, &records)) return FP_BUSY;
    }
}

static enum fp_status load(struct loading *loading)
{
    struct snapshot_totals totals;
    enum fp_status status = open_file(loading);
    if (status == FP_OK) status = look_ahead(loading, &totals);
    if (status != FP_OK) return status;
    loading->reason[0] = '\0';
    (void)posix_fadvise(loading->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    status = store_restore_begin(loading->reading->store, &loading->restore);
    if (status == FP_OK) status = take_all(loading);
    if (status == FP_NO_MEMORY && loading->reason[0] == '\0')
        return refuse_memory(loading, store_restore_needs(&totals));
    return status;
}

enum fp_status restart_read(const struct restart_reading *reading, struct restart *restart,
                            char reason[RESTART_REASON_BYTES])
{
    struct loading loading = {.reading = reading, .restart = restart, .reason = reason, .fd = -1};
    *restart = (struct restart){.same = reading->same};
    loading.buffer = malloc(BUFFER_BYTES);
    loading.reader = malloc(sizeof *loading.reader);
    enum fp_status status = FP_NO_MEMORY;
    (void)restart_fail(reason, reading->path, "the system has no memory");
    if (loading.buffer != NULL && loading.reader != NULL) {
        snapshot_reader_init(loading.reader);
        status = load(&loading);
    }
    if (loading.restore != NULL) {
        restart->restored = store_restored(loading.restore);
        restart->taken = status == FP_OK;
        fp_assert(!restart->taken || restart->restored.complete);
    }
    store_restore_end(&loading.restore, reading->scratch);
    if (loading.fd >= 0) close(loading.fd);
    free(loading.buffer);
    free(loading.reader);
    return status;
}

void restart_fini(struct restart *restart)
{
    free(restart->exports.names);
    restart->exports = (struct restart_exports){.count = 0};
}
