/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a snapshot: begin (the moment: area_copies.on) -> head -> each area, its dictionary
 *   before it -> exports -> pages: first those that were kept because somebody stored over them,
 *   then some of the row that the walk is at -> items -> end
 *
 * Pages are copied out under their slot's lock, a batch at a time, and written with no lock held.
 * What packed an object is described when the first of its objects is met. From then on the
 * snapshot has a use of that seat, so that its number stays what it was described as.
 */
#include "storage/store/snapshot/store_snapshot.h"

#include <stdlib.h>

#include "base/arith.h"
#include "snapshot/writer.h"
#include "storage/area/area_pin.h"
#include "storage/area/area_stand.h"
#include "storage/store/spill/store_spill_internal.h"
#include "storage/store/store_walk.h"

enum {
    STEP_BYTES = 256 << 10, /* a step goes on until it has so many */
    BATCH_BYTES = 128 << 10,
    BATCH_PAGES = 64,
    KEPT_PART = 16, /* of the memory limit may be kept of pages that were stored over */
};

struct batch_page {
    struct snapshot_entry entry; /* its bytes are in the batch, its seat is the store's */
    bool spilled;                /* then its bytes are `read`, and are not read yet */
    struct spill_read read;
};

struct snapshot_place { /* an area */
    struct area *area; /* a use */
    bool moved;
};

enum phase { PHASE_AREAS, PHASE_EXPORTS, PHASE_PAGES, PHASE_ITEMS, PHASE_END, PHASE_DONE };

struct store_snapshot {
    struct store *store;
    struct store_scratch *scratch; /* of the call under way */
    struct store_snapshot_options options;
    struct snapshot_writer writer;
    uint8_t *buffer, *batch_bytes;
    enum phase phase;
    uint32_t next; /* area or export */
    uint64_t todo;
    struct area_kept *kept; /* collected, not written yet */

    uint32_t area_count;
    struct snapshot_place areas[STORE_AREAS_MAX];
    uint32_t dictionary_count;
    struct dictionary *dictionaries[SNAPSHOT_DICTIONARIES_MAX]; /* a use of each */
    uint32_t seat_count;
    struct compressor *seats[COMPRESSOR_SEATS]; /* a use of those that were met */
    uint32_t numbers[COMPRESSOR_SEATS];         /* + 1; 0: not described yet */
    uint32_t tenants[TENANTS_MAX];              /* the same; the default one has none */

    uint32_t batch_count, batch_size;
    bool batch_has_new_seat;
    uint64_t batch_first; /* of its row */
    uint32_t batch_plain_bytes;
    struct batch_page batch[BATCH_PAGES];

    struct store_walk walk;
    bool walk_done;
    unsigned item;  /* of the walk's */
    uint32_t piece; /* of that item; the next to be written */
    bool item_open; /* its record, or the first of them, was written */
};

/* --- begin and end ---------------------------------------------------------------------------- */

static void take_areas_locked(struct store_snapshot *snapshot)
{
    struct store *store = snapshot->store;
    for (unsigned i = 0; i < store->area_places; i++) {
        struct area *area = store->areas[i];
        if (area == NULL || area_deleted(area)) continue;
        struct snapshot_place *place = &snapshot->areas[snapshot->area_count++];
        area_acquire(place->area = area);
        place->moved = area_stand(area) == AREA_MOVED;
        if (place->moved) continue;
        atomic_store(&area->uncopied, 0);
        snapshot->todo += atomic_load(&area->counters.stored);
    }
}

/* The moment. */
static enum fp_status begin_copies(struct store_snapshot *snapshot)
{
    struct store *store = snapshot->store;
    struct area_copies *copies = &store->copies;
    enum fp_status status = FP_BUSY;
    lock_take(&store->areas_lock);
    if (!atomic_load(&copies->on)) {
        status = FP_OK;
        atomic_store(&copies->broken, false);
        copies->kept_bytes_max = budget_limit(&store->budget) / KEPT_PART;
        take_areas_locked(snapshot);
        atomic_store(&copies->on, true);
    }
    lock_drop(&store->areas_lock);
    return status;
}

static void write_head(struct store_snapshot *snapshot)
{
    struct store *store = snapshot->store;
    struct snapshot_head head = {.kind = snapshot->options.kind,
                                 .page_bytes = store->page_bytes,
                                 .areas = snapshot->area_count,
                                 .unix_ns = snapshot->options.unix_ns,
                                 .last_generation = store->last_generation,
                                 .inode = snapshot->options.inode,
                                 .release = slice_text(snapshot->options.release)};
    uint64_t due = atomic_load(&store->flush_due) >> 32;
    uint64_t now_s = snapshot->scratch->now_ms / 1000;
    memcpy(head.boot_id, snapshot->options.boot_id, sizeof head.boot_id);
    if (due > now_s) head.flush_unix_s = snapshot->scratch->unix_s + (due - now_s);
    snapshot_write_head(&snapshot->writer, &head);
}

#define COST_BYTES (sizeof(struct store_snapshot) + STORE_SNAPSHOT_STEP_BYTES_MAX + BATCH_BYTES)

static struct store_snapshot *make(struct store *store)
{
    struct store_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) return NULL;
    snapshot->store = store;
    snapshot->buffer = malloc(STORE_SNAPSHOT_STEP_BYTES_MAX);
    snapshot->batch_bytes = malloc(BATCH_BYTES);
    if (snapshot->buffer != NULL && snapshot->batch_bytes != NULL) return snapshot;
    free(snapshot->buffer);
    free(snapshot->batch_bytes);
    free(snapshot);
    return NULL;
}

static void unmake(struct store_snapshot *snapshot)
{
    budget_return(&snapshot->store->budget, BUDGET_SNAPSHOT, COST_BYTES);
    free(snapshot->buffer);
    free(snapshot->batch_bytes);
    free(snapshot);
}

/* Room is being made, by writing back what would have to end else. */
static bool had_better_wait(struct store *store, const struct store_scratch *scratch)
{
    bool fits = budget_total(&store->budget) + COST_BYTES <= budget_limit(&store->budget);
    return !fits && scratch->may_wait && store_spill_makes_room(store) &&
           store_excess_bytes(store) > 0;
}

enum fp_status store_snapshot_begin(struct store *store, struct store_scratch *scratch,
                                    const struct store_snapshot_options *options,
                                    struct store_snapshot **out)
{
    lock_assert_none();
    /* Of a server that stops all is kept, and nothing comes that would need the memory. */
    if (options->kind == SNAPSHOT_OF_STOP)
        budget_charge_anyway(&store->budget, BUDGET_SNAPSHOT, COST_BYTES);
    else if (had_better_wait(store, scratch))
        return FP_LATER;
    else if (!store_charge(store, scratch, BUDGET_SNAPSHOT, COST_BYTES))
        return FP_NO_MEMORY;
    struct store_snapshot *snapshot = make(store);
    if (snapshot == NULL) {
        budget_return(&store->budget, BUDGET_SNAPSHOT, COST_BYTES);
        return FP_NO_MEMORY;
    }
    snapshot->options = *options;
    snapshot->scratch = scratch;
    enum fp_status status = begin_copies(snapshot);
    if (status != FP_OK) {
        unmake(snapshot);
        return status;
    }
    snapshot->todo += keydir_item_count(&store->keydir);
    snapshot_writer_init(&snapshot->writer, snapshot->buffer, STORE_SNAPSHOT_STEP_BYTES_MAX);
    write_head(snapshot);
    *out = snapshot;
    return FP_OK;
}

static void end_kept(struct store_snapshot *snapshot, struct area_kept *kept)
{
    store_name_ended(snapshot->store, snapshot->scratch, area_kept_end(&kept));
}

static void end_all_kept(struct store_snapshot *snapshot)
{
    for (struct area_kept *kept = snapshot->kept, *next; kept != NULL; kept = next) {
        next = kept->next;
        end_kept(snapshot, kept);
    }
    snapshot->kept = NULL;
}

static void end_copies(struct store_snapshot *snapshot)
{
    struct area_copies *copies = &snapshot->store->copies;
    for (uint32_t i = 0; i < snapshot->area_count; i++) area_copy_end(snapshot->areas[i].area);
    end_all_kept(snapshot);
    snapshot->kept = area_copy_collect(copies); /* nothing is kept any more */
    end_all_kept(snapshot);
    atomic_store(&copies->on, false);
    for (uint32_t i = 0; i < snapshot->area_count; i++) area_release(&snapshot->areas[i].area);
}

void store_snapshot_end(struct store_snapshot **snapshot_ptr, struct store_scratch *scratch)
{
    struct store_snapshot *snapshot = *snapshot_ptr;
    if (snapshot == NULL) return;
    *snapshot_ptr = NULL;
    snapshot->scratch = scratch;
    lock_assert_none();
    store_walk_release(snapshot->store, scratch, &snapshot->walk);
    end_copies(snapshot);
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++)
        if (snapshot->seats[i] != NULL) compressor_release_id(&snapshot->seats[i], scratch->codec);
    for (uint32_t i = 0; i < snapshot->dictionary_count; i++)
        dictionary_release(&snapshot->dictionaries[i]);
    unmake(snapshot);
}

struct store_snapshot_progress store_snapshot_progress(const struct store_snapshot *snapshot)
{
    const struct snapshot_totals *totals = &snapshot->writer.totals;
    return (struct store_snapshot_progress){
        .todo = snapshot->todo,
        .done = totals->pages + totals->items,
        .pages = totals->pages,
        .bytes = snapshot_writer_bytes(&snapshot->writer),
        .kept_bytes = atomic_load(&snapshot->store->copies.kept_bytes)};
}

/* --- what objects are packed with ------------------------------------------------------------- */

/* The number of a dictionary, + 1, which is written where it was not yet; 0 for none. */
static uint32_t describe_dictionary(struct store_snapshot *snapshot, struct dictionary *dictionary)
{
    if (dictionary == NULL) return 0;
    uint32_t count = snapshot->dictionary_count;
    for (uint32_t i = 0; i < count; i++)
        if (snapshot->dictionaries[i] == dictionary) return i + 1;
    fp_assert(count < SNAPSHOT_DICTIONARIES_MAX); /* one an area, and one a seat */
    struct snapshot_dictionary record = {.number = count,
                                         .owner = dictionary_owner(dictionary),
                                         .bytes = dictionary_bytes(dictionary)};
    snapshot->dictionaries[snapshot->dictionary_count++] = dictionary_acquire(dictionary);
    snapshot_write_dictionary(&snapshot->writer, &record);
    return count + 1;
}

static void describe_seat(struct store_snapshot *snapshot, uint8_t id)
{
    int level;
    if (snapshot->numbers[id] != 0) return;
    const char *algorithm = compressor_seat_is(snapshot->store->compressors, id, &level);
    struct snapshot_seat record = {
        .number = snapshot->seat_count,
        .level = level,
        .dictionary =
            describe_dictionary(snapshot, compressor_dictionary(snapshot->seats[id])),
        .algorithm = slice_text(algorithm)};
    snapshot_write_seat(&snapshot->writer, &record);
    snapshot->numbers[id] = ++snapshot->seat_count;
}

/* The number of a tenant, + 1; 0 of the default one. */
static uint32_t describe_tenant(struct store_snapshot *snapshot, uint8_t number)
{
    if (number == TENANT_DEFAULT) return 0;
    if (snapshot->tenants[number] == 0)
        snapshot->tenants[number] = snapshot_write_tenant(
            &snapshot->writer, slice_text(snapshot->store->tenants.of[number].name));
    return snapshot->tenants[number];
}

/* Makes sure that a seat stays what it is; its object is there still. False: it is none. */
static bool hold_seat(struct store_snapshot *snapshot, uint8_t id)
{
    if (snapshot->seats[id] == NULL)
        snapshot->seats[id] = compressor_acquire_id(snapshot->store->compressors, id,
                                                    snapshot->scratch->codec);
    return snapshot->seats[id] != NULL;
}

/* --- what a handle names ---------------------------------------------------------------------- */

static void entry_of_value(uint64_t value, struct snapshot_entry *entry,
                           uint8_t word[SNAPSHOT_WORD_BYTES])
{
    uint64_t repeated = entry_value_word(value);
    memcpy(word, &repeated, sizeof repeated);
    entry->form = SNAPSHOT_WORD;
    entry->check = entry_value_crc(value);
    entry->bytes = slice_of(word, SNAPSHOT_WORD_BYTES);
}

/* False: it cannot be what it says. */
static bool entry_of_object(struct store_snapshot *snapshot, const struct zmap *map,
                            uint32_t plain_bytes, struct snapshot_entry *entry)
{
    enum entry_form form = entry_form(map->note);
    uint32_t head_bytes = entry_head_bytes(form);
    uint16_t head = 0;
    if (map->size_bytes <= head_bytes) return false;
    memcpy(&head, map->bytes, head_bytes);
    uint32_t size = map->size_bytes - head_bytes;
    entry->bytes = slice_of(map->bytes + head_bytes, size);
    entry->check = form == ENTRY_WHOLE ? map->note >> 2 << 10 : entry_note_crc(map->note, head);
    switch (form) {
    case ENTRY_PACKED:
        entry->form = SNAPSHOT_PACKED;
        entry->seat = entry_seat(map->note);
        return size < plain_bytes && hold_seat(snapshot, entry->seat);
    case ENTRY_PLAIN:
    case ENTRY_WHOLE:
        entry->form = SNAPSHOT_PLAIN;
        return size == plain_bytes;
    case ENTRY_WORD:
        entry->form = SNAPSHOT_WORD;
        return size == SNAPSHOT_WORD_BYTES;
    }
    return false;
}

/* What is named, its bytes where they are: in the map of an object, or in `word`. */
static void entry_of(struct store_snapshot *snapshot, struct zname name, const struct zmap *map,
                     uint32_t plain_bytes, struct snapshot_entry *entry)
{
    uint8_t *word = snapshot->scratch->packed;
    uint32_t place = entry->place;
    if (name.what == ZVALUE) {
        entry_of_value(name.value, entry, word);
        return;
    }
    if (map->bytes != NULL && entry_of_object(snapshot, map, plain_bytes, entry)) return;
    *entry = (struct snapshot_entry){.place = place, .form = SNAPSHOT_CORRUPT};
}

static void write_entry(struct store_snapshot *snapshot, const struct snapshot_entry *entry)
{
    struct snapshot_entry numbered = *entry;
    if (entry->form == SNAPSHOT_PACKED)
        numbered.seat = (uint8_t)(snapshot->numbers[entry->seat] - 1);
    snapshot_write_entry(&snapshot->writer, &numbered);
}

/* --- pages ------------------------------------------------------------------------------------ */

/* At most one seat in a batch is new: then what describes it fits beside the batch. */
static bool batch_takes(struct store_snapshot *snapshot, const struct snapshot_entry *entry)
{
    size_t room = BATCH_BYTES - snapshot->batch_size;
    bool new_seat = entry->form == SNAPSHOT_PACKED && snapshot->numbers[entry->seat] == 0;
    if (snapshot->batch_count == BATCH_PAGES || entry->bytes.size_bytes > room) return false;
    if (new_seat && snapshot->batch_has_new_seat) return false;
    snapshot->batch_has_new_seat |= new_seat;
    return true;
}

/* Its extent stays as it is until it was read, with no lock held; so does its seat. */
static bool take_spilled(struct store_snapshot *snapshot, uint64_t slot, struct zname name)
{
    struct batch_page *page = &snapshot->batch[snapshot->batch_count];
    *page = (struct batch_page){
        .entry = {.place = (uint32_t)(slot % AREA_ROW_SLOTS), .form = SNAPSHOT_CORRUPT},
        .spilled = true,
        .read = {.place = name.value, .size_bytes = name.size_bytes}};
    if (entry_form(name.note) == ENTRY_PACKED && hold_seat(snapshot, entry_seat(name.note))) {
        page->entry.form = SNAPSHOT_PACKED;
        page->entry.seat = entry_seat(name.note);
    }
    page->entry.bytes = slice_of(NULL, name.size_bytes); /* so much of the step it takes */
    if (!batch_takes(snapshot, &page->entry)) return false;
    snapshot->batch_size += name.size_bytes;
    snapshot->batch_first = slot / AREA_ROW_SLOTS * AREA_ROW_SLOTS;
    spill_read_hold(snapshot->store->spill->file, &page->read);
    snapshot->batch_count++;
    return true;
}

/* area_copy_take. */
static bool take_page(void *context, uint64_t slot, struct zhandle handle)
{
    struct store_snapshot *snapshot = context;
    struct zpool *pool = snapshot->store->zpool;
    struct zname name = zpool_look(pool, handle);
    struct zmap map = {.bytes = NULL};
    struct snapshot_entry entry = {.place = (uint32_t)(slot % AREA_ROW_SLOTS)};
    if (snapshot->batch_count == BATCH_PAGES) return false;
    if (name.what == ZSPILLED) return take_spilled(snapshot, slot, name);
    if (name.what == ZOBJECT && zpool_map(pool, handle, ZACCESS_READ, &map) != FP_OK)
        map.bytes = NULL;
    entry_of(snapshot, name, &map, snapshot->batch_plain_bytes, &entry);
    bool taken = batch_takes(snapshot, &entry);
    if (taken) {
        uint8_t *at = snapshot->batch_bytes + snapshot->batch_size;
        if (entry.bytes.size_bytes > 0) memcpy(at, entry.bytes.bytes, entry.bytes.size_bytes);
        entry.bytes.bytes = at;
        snapshot->batch_size += (uint32_t)entry.bytes.size_bytes;
        snapshot->batch[snapshot->batch_count++] = (struct batch_page){.entry = entry};
        snapshot->batch_first = slot / AREA_ROW_SLOTS * AREA_ROW_SLOTS;
    }
    if (map.bytes != NULL) zpool_unmap(pool, &map);
    return taken;
}

static void write_page(struct store_snapshot *snapshot, const struct snapshot_pages *pages,
                       const struct snapshot_entry *entry)
{
    if (entry->form == SNAPSHOT_PACKED) describe_seat(snapshot, entry->seat);
    snapshot_begin_pages(&snapshot->writer, pages);
    write_entry(snapshot, entry);
    snapshot_finish(&snapshot->writer);
}

/* From the file below memory. What cannot be read answers so after a restart, too; false: it is
 * memory that is short. */
static bool write_spilled(struct store_snapshot *snapshot, const struct snapshot_pages *pages,
                          struct spill_read *read, struct snapshot_entry *entry)
{
    struct spill_file *file = snapshot->store->spill->file;
    uint32_t plain_bytes = snapshot->areas[pages->area].area->page_bytes;
    enum fp_status status = spill_read_run(file, read);
    struct zmap map = {.bytes = (uint8_t *)(uintptr_t)read->bytes,
                       .size_bytes = read->size_bytes,
                       .note = read->record.note};
    uint64_t generation = snapshot->areas[pages->area].area->generation;
    bool is_it = status == FP_OK && read->record.generation == generation &&
                 read->record.slot == pages->first + entry->place;
    if (!is_it) map.bytes = NULL;
    entry_of(snapshot, (struct zname){.what = ZOBJECT}, &map, plain_bytes, entry);
    if (status != FP_NO_MEMORY) write_page(snapshot, pages, entry);
    spill_read_end(file, read);
    return status != FP_NO_MEMORY;
}

/* Those that are in memory in one record, then the others, each in one. */
static bool write_batch(struct store_snapshot *snapshot)
{
    struct snapshot_pages pages = {.area = snapshot->next, .first = snapshot->batch_first};
    struct batch_page *batch = snapshot->batch, *end = batch + snapshot->batch_count;
    bool any = false, good = true;
    for (struct batch_page *page = batch; page < end; page++) {
        any |= !page->spilled;
        if (page->entry.form == SNAPSHOT_PACKED) describe_seat(snapshot, page->entry.seat);
    }
    if (any) {
        snapshot_begin_pages(&snapshot->writer, &pages);
        for (struct batch_page *page = batch; page < end; page++)
            if (!page->spilled) write_entry(snapshot, &page->entry);
        snapshot_finish(&snapshot->writer);
    }
    for (struct batch_page *page = batch; page < end; page++) {
        if (!page->spilled) continue;
        if (good) good = write_spilled(snapshot, &pages, &page->read, &page->entry);
        else spill_read_end(snapshot->store->spill->file, &page->read);
    }
    return good;
}

static void break_it(struct store_snapshot *snapshot)
{
    atomic_store(&snapshot->store->copies.broken, true);
}

static uint32_t number_of(const struct store_snapshot *snapshot, const struct area *area)
{
    uint32_t number = 0;
    while (snapshot->areas[number].area != area) number++;
    return number;
}

/* One that was kept. False: there is none now. */
static bool write_kept(struct store_snapshot *snapshot)
{
    if (snapshot->kept == NULL) snapshot->kept = area_copy_collect(&snapshot->store->copies);
    struct area_kept *kept = snapshot->kept;
    if (kept == NULL) return false;
    const struct area_pin *pin = kept->pin;
    struct snapshot_entry entry = {.place = (uint32_t)(pin->slot % AREA_ROW_SLOTS)};
    struct snapshot_pages pages = {.area = number_of(snapshot, kept->area),
                                   .first = pin->slot - entry.place};
    if (pin->name.what == ZSPILLED) {
        struct spill_read read = {.place = pin->name.value, .size_bytes = pin->name.size_bytes};
        spill_read_hold(snapshot->store->spill->file, &read);
        if (!write_spilled(snapshot, &pages, &read, &entry)) break_it(snapshot);
    } else {
        entry_of(snapshot, pin->name, &pin->map, kept->area->page_bytes, &entry);
        write_page(snapshot, &pages, &entry);
    }
    snapshot->kept = kept->next;
    end_kept(snapshot, kept);
    return true;
}

/* True: all pages are written. */
static bool step_pages(struct store_snapshot *snapshot)
{
    if (write_kept(snapshot)) return false;
    if (snapshot->next == snapshot->area_count) return true;
    const struct snapshot_place *place = &snapshot->areas[snapshot->next];
    bool done = place->moved;
    snapshot->batch_count = snapshot->batch_size = 0;
    snapshot->batch_has_new_seat = false;
    snapshot->batch_plain_bytes = place->area->page_bytes;
    if (!done) done = area_copy_some(place->area, take_page, snapshot);
    if (!write_batch(snapshot)) break_it(snapshot);
    if (!done) return false;
    /* Whoever changes it now keeps nothing; what was kept before is collected next time. */
    snapshot->next++;
    return false;
}

/* --- items ------------------------------------------------------------------------------------ */

/* Every seat that its pieces name, before its record begins. False: that made no room for more in
 * this step. */
static bool describe_pieces(struct store_snapshot *snapshot, const struct item *item)
{
    for (uint32_t i = snapshot->piece; i < item_piece_count(item); i++) {
        struct zname name = zpool_look(snapshot->store->zpool, item->pieces[i]);
        if (name.what < ZOBJECT || entry_form(name.note) != ENTRY_PACKED) continue;
        uint8_t seat = entry_seat(name.note);
        if (snapshot->numbers[seat] != 0 || !hold_seat(snapshot, seat)) continue;
        describe_seat(snapshot, seat);
        if (snapshot->writer.size >= STEP_BYTES) return false;
    }
    return true;
}

/* From the file below memory. What cannot be read is damaged after a restart, too. */
static void write_spilled_piece(struct store_snapshot *snapshot, struct item *item,
                                struct snapshot_entry *entry)
{
    struct store_read read;
    struct zmap map = {.bytes = NULL};
    enum fp_status status = spill_piece_run(snapshot->store, item, entry->place, &read);
    if (status == FP_OK)
        map = (struct zmap){.bytes = (uint8_t *)(uintptr_t)read.read.bytes,
                            .size_bytes = read.read.size_bytes,
                            .note = read.read.record.note};
    if (status == FP_NO_MEMORY) break_it(snapshot);
    uint32_t plain_bytes = (uint32_t)item_piece_bytes(item, entry->place);
    entry_of(snapshot, (struct zname){.what = ZOBJECT}, &map, plain_bytes, entry);
    write_entry(snapshot, entry);
    store_read_end(snapshot->store, snapshot->scratch, &read);
}

static void write_piece(struct store_snapshot *snapshot, struct item *item)
{
    struct zpool *pool = snapshot->store->zpool;
    uint32_t piece = snapshot->piece++;
    struct zhandle handle = item->pieces[piece];
    struct zname name = zpool_look(pool, handle);
    struct zmap map = {.bytes = NULL};
    struct snapshot_entry entry = {.place = piece};
    if (name.what == ZSPILLED) {
        write_spilled_piece(snapshot, item, &entry);
        return;
    }
    if (name.what == ZOBJECT && zpool_map(pool, handle, ZACCESS_READ, &map) != FP_OK)
        map.bytes = NULL;
    entry_of(snapshot, name, &map, (uint32_t)item_piece_bytes(item, piece), &entry);
    write_entry(snapshot, &entry);
    if (map.bytes != NULL) zpool_unmap(pool, &map);
}

static uint64_t unix_of(const struct store_scratch *scratch, uint32_t expires_s)
{
    uint64_t now_s = scratch->now_ms / 1000;
    if (expires_s == 0) return 0;
    return expires_s > now_s ? scratch->unix_s + (expires_s - now_s) : 1;
}

static void begin_item(struct store_snapshot *snapshot, const struct store_walk_item *met)
{
    const struct item *item = met->item;
    uint64_t now_ms = snapshot->scratch->now_ms;
    uint64_t idle_ms = now_ms > met->accessed_ms ? now_ms - met->accessed_ms : 0;
    struct snapshot_item record = {
        .flags = item->flags,
        .value_bytes = item->value_bytes,
        .cas = item_cas(item),
        .expires_unix_s = unix_of(snapshot->scratch, met->expires_s),
        .idle_s = (uint32_t)min_u64(idle_ms / 1000, UINT32_MAX),
        .key_binary = item->key_binary,
        .fetched = met->fetched,
        .stale = met->stale,
        .tenant = describe_tenant(snapshot, item->tenant),
        .won = met->won,
        .wanted = met->wanted,
        .key = item_key(item)};
    snapshot_begin_item(&snapshot->writer, &record);
    snapshot->item_open = true;
}

/* One record of the item. True: that was the last. */
static bool write_item(struct store_snapshot *snapshot, const struct store_walk_item *met)
{
    struct item *item = met->item;
    if (!snapshot->item_open && !describe_pieces(snapshot, item)) return false;
    if (snapshot->item_open) snapshot_begin_pieces(&snapshot->writer);
    else begin_item(snapshot, met);
    uint32_t count = item_piece_count(item);
    size_t before = snapshot->writer.size;
    while (snapshot->piece < count && snapshot->writer.size - before < STEP_BYTES)
        write_piece(snapshot, item);
    snapshot_finish(&snapshot->writer);
    return snapshot->piece == count;
}

/* True: all items are written. */
static bool step_items(struct store_snapshot *snapshot)
{
    struct store_walk *walk = &snapshot->walk;
    if (snapshot->item == walk->count) {
        store_walk_release(snapshot->store, snapshot->scratch, walk);
        if (snapshot->walk_done) return true;
        store_walk_step(snapshot->store, snapshot->scratch, walk);
        snapshot->walk_done = walk->position == 0;
        snapshot->item = 0;
        return false;
    }
    if (!write_item(snapshot, &walk->items[snapshot->item])) return false;
    snapshot->item++;
    snapshot->piece = 0;
    snapshot->item_open = false;
    return false;
}

/* --- areas and exports ------------------------------------------------------------------------ */

static struct dictionary *kept_dictionary(struct store *store, const struct area *area)
{
    lock_take(&store->dictionaries_lock);
    struct dictionary *kept = area->dictionary.kept;
    if (kept != NULL) kept = dictionary_acquire(kept);
    lock_drop(&store->dictionaries_lock);
    return kept;
}

/* True: they are all written. */
static bool step_areas(struct store_snapshot *snapshot)
{
    uint32_t number = snapshot->next;
    if (number == snapshot->area_count) return true;
    const struct snapshot_place *place = &snapshot->areas[number];
    const struct area *area = place->area;
    struct dictionary *kept = kept_dictionary(snapshot->store, area);
    struct snapshot_area record = {.number = number,
                                   .page_bytes = area->page_bytes,
                                   .slots = area->slot_count,
                                   .generation = area->generation,
                                   .quota_pages = area->quota_pages,
                                   .quota_bytes = area->quota_bytes,
                                   .lifetime = (enum snapshot_lifetime)area->lifetime,
                                   .as_they_are = area->as_they_are,
                                   .moved = place->moved,
                                   .dictionary = describe_dictionary(snapshot, kept),
                                   .tenant = describe_tenant(snapshot, area->tenant),
                                   .name = slice_text(area->name)};
    if (place->moved)
        record.forward = slice_of(area->forward.bytes, area->forward.size_bytes);
    snapshot_write_area(&snapshot->writer, &record);
    dictionary_release(&kept);
    snapshot->next++;
    return false;
}

static bool step_exports(struct store_snapshot *snapshot)
{
    if (snapshot->next == snapshot->options.export_count) return true;
    snapshot_write_export(&snapshot->writer, snapshot->options.exports[snapshot->next++]);
    return false;
}

/* --- a step ----------------------------------------------------------------------------------- */

static void step(struct store_snapshot *snapshot, uint64_t unix_ns)
{
    bool done = false;
    switch (snapshot->phase) {
    case PHASE_AREAS:
        done = step_areas(snapshot);
        break;
    case PHASE_EXPORTS:
        done = step_exports(snapshot);
        break;
    case PHASE_PAGES:
        done = step_pages(snapshot);
        break;
    case PHASE_ITEMS:
        done = step_items(snapshot);
        break;
    case PHASE_END:
        snapshot_write_end(&snapshot->writer, unix_ns, atomic_load(&snapshot->store->last_cas));
        done = true;
        break;
    case PHASE_DONE:
        break;
    }
    if (!done) return;
    snapshot->phase++;
    snapshot->next = 0;
}

enum fp_status store_snapshot_step(struct store_snapshot *snapshot, struct store_scratch *scratch,
                                   uint64_t unix_ns, struct slice *bytes)
{
    struct snapshot_writer *writer = &snapshot->writer;
    lock_assert_none();
    snapshot->scratch = scratch;
    while (writer->size < STEP_BYTES && snapshot->phase != PHASE_DONE) {
        /* What is broken lacks pages: it must not look complete. */
        if (atomic_load(&snapshot->store->copies.broken)) return FP_NO_MEMORY;
        step(snapshot, unix_ns);
    }
    *bytes = slice_of(writer->bytes, writer->size);
    snapshot_writer_taken(writer);
    return FP_OK;
}
