/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Extents have a descriptor each, in a table that is address space until used. Free ones hang in a
 * list; behind the last one ever used are those that never were. So the file grows no longer than
 * what is in it at the worst of times needs; and when much of it is free, that becomes holes, which
 * the disk has for others.
 *
 * What is written goes past the page cache where the file system can do that: the memory this is
 * for would else be filled by the cache of it. Where it cannot, the writing ends with fdatasync, so
 * that an error is known while the pages are still in memory.
 */
#include "storage/spill/spill_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/lock.h"
#include "storage/alloc/pages.h"
#include "storage/spill/spill_open.h"

#define NO_EXTENT UINT32_MAX

enum extent_state { EXTENT_FREE, EXTENT_FILLING, EXTENT_LIVE };

struct extent {
    uint64_t sequence;   /* 0: it is a hole */
    uint32_t live_bytes; /* spans of its records in use */
    uint32_t uses;       /* those, and who holds it */
    uint32_t next;       /* of the free ones */
    uint32_t state;
};
_Static_assert(sizeof(struct extent) == SPILL_EXTENT_COST_BYTES, "what the header says");

struct spill_file {
    int fd;
    bool direct, device;
    uint32_t extent_bytes, extent_count;
    struct budget *budget;
    struct extent *table; /* a reservation */
    uint64_t table_bytes; /* of it */
    struct lock lock;     /* guards the rest, and the descriptors */
    uint32_t fresh;       /* extents from here on were never used */
    uint32_t free;        /* list */
    uint64_t charged_bytes;
    uint64_t last_sequence;
    uint64_t used_count, live_bytes, record_count;
    uint64_t kept_count; /* of the free ones, those that are no holes */
    bool has_no_holes;   /* the file system, as it said; of the thread that takes extents */
    uint32_t hole_hand;  /* the extent that is looked at next, down from the last; the same */
    _Atomic uint64_t written_bytes, read_bytes, write_errors, read_errors, corrupt, holes;
};

static void add(_Atomic uint64_t *counter, uint64_t delta)
{
    atomic_fetch_add_explicit(counter, delta, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* --- beginning and end ------------------------------------------------------------------------ */

static uint64_t extents_of(const struct spill_file_options *options, const struct spill_fd *opened,
                           uint32_t extent_bytes)
{
    uint64_t room = SPILL_SIZE_BYTES_MAX - extent_bytes;
    if (opened->device)
        room = opened->size_bytes > extent_bytes ? opened->size_bytes - extent_bytes : 0;
    if (options->size_bytes != 0) room = min_u64(room, options->size_bytes);
    return min_u64(room, SPILL_SIZE_BYTES_MAX - extent_bytes) / extent_bytes;
}

enum fp_status spill_file_open(const struct spill_file_options *options, struct spill_file **out,
                               char why[SPILL_WHY_BYTES])
{
    struct spill_fd opened;
    uint32_t extent_bytes = options->extent_bytes;
    if (extent_bytes == 0) extent_bytes = SPILL_EXTENT_BYTES;
    fp_assert(extent_bytes % SPILL_ALIGN_BYTES == 0);
    enum fp_status status = spill_open(options->path, &opened, why);
    if (status != FP_OK) return status;
    uint64_t count = extents_of(options, &opened, extent_bytes);
    struct spill_file *file = calloc(1, sizeof *file);
    void *table = pages_reserve(count * sizeof(struct extent) + 1);
    if (file == NULL || table == NULL || count < SPILL_EXTENTS_MIN) {
        spill_open_why(why, options->path,
                       count < SPILL_EXTENTS_MIN ? "is too small" : "no memory");
        pages_release(table, count * sizeof(struct extent) + 1);
        free(file);
        close(opened.fd);
        return count < SPILL_EXTENTS_MIN ? FP_INVALID : FP_NO_MEMORY;
    }
    *file = (struct spill_file){.fd = opened.fd,
                                .direct = opened.direct,
                                .device = opened.device,
                                .extent_bytes = extent_bytes,
                                .extent_count = (uint32_t)count,
                                .budget = options->budget,
                                .table = table,
                                .table_bytes = count * sizeof(struct extent) + 1,
                                .free = NO_EXTENT};
    lock_init(&file->lock, RANK_SPILL);
    *out = file;
    return FP_OK;
}

void spill_file_close(struct spill_file **file_ptr)
{
    struct spill_file *file = *file_ptr;
    if (file == NULL) return;
    fp_assert(file->used_count == 0 && file->record_count == 0);
    close(file->fd);
    pages_release(file->table, file->table_bytes);
    budget_return(file->budget, BUDGET_SPILL, file->charged_bytes);
    lock_fini(&file->lock);
    free(file);
    *file_ptr = NULL;
}

struct spill_file_fill spill_file_fill(struct spill_file *file)
{
    lock_take(&file->lock);
    struct spill_file_fill fill = {
        .size_bytes = (uint64_t)file->extent_count * file->extent_bytes,
        .used_bytes = file->used_count * file->extent_bytes,
        .live_bytes = file->live_bytes,
        .record_count = file->record_count,
        .disk_bytes = (file->used_count + file->kept_count) * file->extent_bytes,
        .table_bytes = file->charged_bytes};
    lock_drop(&file->lock);
    fill.given_back_bytes = get(&file->holes) * file->extent_bytes;
    fill.written_bytes = get(&file->written_bytes);
    fill.read_bytes = get(&file->read_bytes);
    fill.write_errors = get(&file->write_errors);
    fill.read_errors = get(&file->read_errors);
    fill.corrupt = get(&file->corrupt);
    fill.direct = file->direct;
    fill.device = file->device;
    return fill;
}

uint32_t spill_file_extent_bytes(const struct spill_file *file)
{
    return file->extent_bytes;
}

/* --- extents ---------------------------------------------------------------------------------- */

/* The first extent's bytes are left out, so that all are aligned to their size. */
static uint64_t offset_of(const struct spill_file *file, uint32_t number)
{
    return ((uint64_t)number + 1) * file->extent_bytes;
}

static struct extent *extent_at(struct spill_file *file, uint64_t place)
{
    uint64_t number = place * SPILL_UNIT_BYTES / file->extent_bytes - 1;
    fp_assert(number < file->fresh);
    return &file->table[number];
}

/* Pages of the table are charged as their first descriptor is used; past the limit, too, since that
 * is where what is written back gives memory for them, many times over. */
static void charge_fresh_locked(struct spill_file *file)
{
    uint64_t needed = div_up_u64((uint64_t)(file->fresh + 1) * sizeof(struct extent), PAGES_BYTES);
    uint64_t more = needed * PAGES_BYTES - file->charged_bytes;
    if (more > 0) budget_charge_anyway(file->budget, BUDGET_SPILL, more);
    file->charged_bytes += more;
}

static enum fp_status take_locked(struct spill_file *file, enum spill_which which,
                                  struct spill_extent *out)
{
    uint32_t number = file->free;
    uint64_t kept = which == SPILL_NOT_LAST ? 1 : 0;
    if (file->used_count + kept >= file->extent_count) return FP_TOO_BIG;
    if (number != NO_EXTENT) {
        file->free = file->table[number].next;
        file->kept_count -= file->table[number].sequence != 0;
    } else {
        charge_fresh_locked(file);
        number = file->fresh++;
    }
    *out = (struct spill_extent){number, ++file->last_sequence};
    file->table[number] = (struct extent){.sequence = out->sequence, .state = EXTENT_FILLING};
    file->used_count++;
    return FP_OK;
}

enum fp_status spill_extent_take(struct spill_file *file, enum spill_which which,
                                 struct spill_extent *extent)
{
    lock_take(&file->lock);
    enum fp_status status = take_locked(file, which, extent);
    lock_drop(&file->lock);
    return status;
}

bool spill_file_has_free(struct spill_file *file)
{
    lock_take(&file->lock);
    bool has = file->used_count + 1 < file->extent_count;
    lock_drop(&file->lock);
    return has;
}

uint64_t spill_extent_place(const struct spill_file *file, const struct spill_extent *extent,
                            uint32_t offset)
{
    return (offset_of(file, extent->number) + offset) / SPILL_UNIT_BYTES;
}

static void free_if_unused_locked(struct spill_file *file, struct extent *extent)
{
    if (extent->uses > 0 || extent->state != EXTENT_LIVE) return;
    fp_assert(extent->live_bytes == 0);
    extent->state = EXTENT_FREE;
    extent->next = file->free;
    file->free = (uint32_t)(extent - file->table);
    file->used_count--;
    file->kept_count++;
}

void spill_extent_done(struct spill_file *file, const struct spill_extent *extent)
{
    lock_take(&file->lock);
    struct extent *at = &file->table[extent->number];
    fp_assert(at->state == EXTENT_FILLING);
    at->state = EXTENT_LIVE;
    free_if_unused_locked(file, at);
    lock_drop(&file->lock);
}

void spill_record_born(struct spill_file *file, uint64_t place, uint32_t size_bytes)
{
    uint32_t span = spill_record_span(size_bytes);
    lock_take(&file->lock);
    struct extent *extent = extent_at(file, place);
    fp_assert(extent->state == EXTENT_FILLING && extent->live_bytes + span <= file->extent_bytes);
    extent->uses++;
    extent->live_bytes += span;
    file->live_bytes += span;
    file->record_count++;
    lock_drop(&file->lock);
}

void spill_record_died(struct spill_file *file, uint64_t place, uint32_t size_bytes)
{
    uint32_t span = spill_record_span(size_bytes);
    lock_take(&file->lock);
    struct extent *extent = extent_at(file, place);
    fp_assert(extent->uses > 0 && extent->live_bytes >= span);
    extent->uses--;
    extent->live_bytes -= span;
    file->live_bytes -= span;
    file->record_count--;
    free_if_unused_locked(file, extent);
    lock_drop(&file->lock);
}

/* --- the disk --------------------------------------------------------------------------------- */

enum fp_status spill_extent_write(struct spill_file *file, const struct spill_extent *extent,
                                  const uint8_t *bytes, size_t size_bytes)
{
    lock_assert_none();
    fp_assert(size_bytes % SPILL_ALIGN_BYTES == 0 && size_bytes <= file->extent_bytes);
    uint64_t offset = offset_of(file, extent->number);
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t now = pwrite(file->fd, bytes + done, size_bytes - done, (off_t)(offset + done));
        if (now < 0 && errno == EINTR) continue;
        if (now <= 0) break;
        done += (size_t)now;
    }
    add(&file->written_bytes, done);
    if (done == size_bytes && (file->direct || fdatasync(file->fd) == 0)) return FP_OK;
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    add(&file->write_errors, 1);
    return full ? FP_TOO_BIG : FP_IO;
}

/* FP_CORRUPT: the file is shorter than what was written to it. */
static enum fp_status read_whole(struct spill_file *file, uint64_t offset, uint8_t *bytes,
                                 size_t size_bytes)
{
    size_t done = 0;
    lock_assert_none();
    while (done < size_bytes) {
        ssize_t now = pread(file->fd, bytes + done, size_bytes - done, (off_t)(offset + done));
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) {
            add(&file->read_errors, 1);
            return FP_IO;
        }
        if (now == 0) return FP_CORRUPT;
        done += (size_t)now;
    }
    add(&file->read_bytes, done);
    return FP_OK;
}

void spill_read_hold(struct spill_file *file, struct spill_read *read)
{
    lock_take(&file->lock);
    struct extent *extent = extent_at(file, read->place);
    fp_assert(extent->uses > 0); /* the record is one of them */
    extent->uses++;
    read->sequence = extent->sequence;
    lock_drop(&file->lock);
}

static bool is_what_was_written(struct spill_read *read, const uint8_t *at)
{
    return spill_record_read(at, read->size_bytes, &read->record) &&
           read->record.sequence == read->sequence;
}

enum fp_status spill_read_run(struct spill_file *file, struct spill_read *read)
{
    uint64_t begin = read->place * SPILL_UNIT_BYTES;
    uint64_t end = begin + SPILL_RECORD_BYTES + read->size_bytes;
    uint64_t from = begin / SPILL_ALIGN_BYTES * SPILL_ALIGN_BYTES;
    size_t room = div_up_u64(end - from, SPILL_ALIGN_BYTES) * SPILL_ALIGN_BYTES;
    read->room = aligned_alloc(SPILL_ALIGN_BYTES, room);
    if (read->room == NULL) return FP_NO_MEMORY;
    read->room_bytes = (uint32_t)room;
    budget_charge_anyway(file->budget, BUDGET_SPILL, room);
    enum fp_status status = read_whole(file, from, read->room, room);
    const uint8_t *at = read->room + (begin - from);
    if (status == FP_OK && !is_what_was_written(read, at)) status = FP_CORRUPT;
    add(&file->corrupt, status == FP_CORRUPT);
    if (status == FP_OK) read->bytes = at + SPILL_RECORD_BYTES;
    return status;
}

void spill_read_end(struct spill_file *file, struct spill_read *read)
{
    free(read->room);
    budget_return(file->budget, BUDGET_SPILL, read->room_bytes);
    lock_take(&file->lock);
    struct extent *extent = extent_at(file, read->place);
    fp_assert(extent->uses > 0);
    extent->uses--;
    free_if_unused_locked(file, extent);
    lock_drop(&file->lock);
    *read = (struct spill_read){0};
}

/* --- closing gaps ----------------------------------------------------------------------------- */

static bool is_sparse(const struct extent *extent, uint32_t live_bytes_max)
{
    return extent->state == EXTENT_LIVE && extent->live_bytes > 0 &&
           extent->live_bytes <= live_bytes_max;
}

bool spill_extent_sparse(struct spill_file *file, uint32_t *hand, uint32_t live_bytes_max,
                         struct spill_extent *out)
{
    struct extent *found = NULL;
    lock_take(&file->lock);
    for (uint32_t i = 0; i < file->fresh && found == NULL; i++) {
        uint32_t number = (*hand + i) % file->fresh;
        if (!is_sparse(&file->table[number], live_bytes_max)) continue;
        found = &file->table[number];
        found->uses++;
        *out = (struct spill_extent){number, found->sequence};
        *hand = number + 1;
    }
    lock_drop(&file->lock);
    return found != NULL;
}

enum fp_status spill_extent_read(struct spill_file *file, const struct spill_extent *extent,
                                 uint8_t *bytes)
{
    /* What it was written with may have been less; what is behind is older, and told apart. */
    size_t done = 0;
    uint64_t offset = offset_of(file, extent->number);
    lock_assert_none();
    memset(bytes, 0, file->extent_bytes);
    while (done < file->extent_bytes) {
        ssize_t now = pread(file->fd, bytes + done, file->extent_bytes - done,
                            (off_t)(offset + done));
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) {
            add(&file->read_errors, 1);
            return FP_IO;
        }
        if (now == 0) break;
        done += (size_t)now;
    }
    add(&file->read_bytes, done);
    return FP_OK;
}

void spill_extent_let_go(struct spill_file *file, const struct spill_extent *extent)
{
    lock_take(&file->lock);
    struct extent *at = &file->table[extent->number];
    fp_assert(at->uses > 0);
    at->uses--;
    free_if_unused_locked(file, at);
    lock_drop(&file->lock);
}

/* --- holes ------------------------------------------------------------------------------------ */

static bool is_too_much_locked(const struct spill_file *file)
{
    return file->kept_count > file->used_count / SPILL_KEPT_PART + SPILL_KEPT_MIN;
}

/* The next free extent that is no hole, from the end of the file on, where too many are. What is
 * free stays so: only the caller takes extents. */
static bool find_kept(struct spill_file *file, uint32_t *number)
{
    bool found = false;
    lock_take(&file->lock);
    for (uint32_t i = 0; i < file->fresh && !found && is_too_much_locked(file); i++) {
        if (file->hole_hand == 0 || file->hole_hand > file->fresh) file->hole_hand = file->fresh;
        *number = --file->hole_hand;
        const struct extent *extent = &file->table[*number];
        found = extent->state == EXTENT_FREE && extent->sequence != 0;
    }
    lock_drop(&file->lock);
    return found;
}

static bool punch(struct spill_file *file, uint32_t number)
{
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    lock_assert_none();
    if (fallocate(file->fd, mode, (off_t)offset_of(file, number), file->extent_bytes) != 0) {
        file->has_no_holes = errno != EINTR;
        return false;
    }
    lock_take(&file->lock);
    file->table[number].sequence = 0;
    file->kept_count--;
    lock_drop(&file->lock);
    add(&file->holes, 1);
    return true;
}

uint32_t spill_file_give_back(struct spill_file *file, uint32_t extents_max)
{
    uint32_t number, done = 0;
    while (done < extents_max && !file->device && !file->has_no_holes && find_kept(file, &number) &&
           punch(file, number))
        done++;
    return done;
}

void spill_file_assert(struct spill_file *file)
{
    uint64_t live = 0, used = 0, free_count = 0, kept = 0;
    lock_take(&file->lock);
    for (uint32_t i = 0; i < file->fresh; i++) {
        const struct extent *extent = &file->table[i];
        live += extent->live_bytes;
        used += extent->state != EXTENT_FREE;
        kept += extent->state == EXTENT_FREE && extent->sequence != 0;
        fp_assert(extent->live_bytes <= file->extent_bytes);
        fp_assert(extent->state != EXTENT_FREE || extent->uses == 0);
    }
    for (uint32_t i = file->free; i != NO_EXTENT; i = file->table[i].next) {
        fp_assert(file->table[i].state == EXTENT_FREE);
        free_count++;
    }
    fp_assert(live == file->live_bytes && used == file->used_count && kept == file->kept_count);
    fp_assert(used + free_count == file->fresh);
    lock_drop(&file->lock);
}
