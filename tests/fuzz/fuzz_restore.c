/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Hostile bytes where a snapshot is expected, taken up by a store of little memory. Their checksums
 * are made right first: who means harm can do that, and else nothing would come further.
 *
 * It is taken whole or refused with a reason; the store adds up either way, what it has can be
 * read, and all of it ends. */
#include "fuzz.h"

#include "base/crc32c.h"
#include "snapshot/little_endian.h"
#include "snapshot/reader.h"
#include "storage/store/page/store_area.h"
#include "storage/store/snapshot/store_restore.h"
#include "storage/store/store_scrub.h"

enum { LIMIT_BYTES = 24 << 20 };

static void sign(uint8_t *bytes, size_t size)
{
    uint32_t number = 0, crc;
    if (size < SNAPSHOT_PREAMBLE_BYTES) return;
    memcpy(bytes, SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES);
    le_put(le_put(bytes + SNAPSHOT_MAGIC_BYTES, 4, SNAPSHOT_VERSION), 4, 0);
    crc = crc32c(bytes, SNAPSHOT_PREAMBLE_BYTES);
    for (size_t at = SNAPSHOT_PREAMBLE_BYTES; size - at >= SNAPSHOT_HEADER_BYTES;) {
        uint64_t body = le_get(bytes + at + 4, 4);
        if (body > size - at - SNAPSHOT_HEADER_BYTES) return;
        le_put(bytes + at + 8, 4, number++);
        crc = crc32c_extend(crc, bytes + at, SNAPSHOT_HEADER_BYTES - 4);
        crc = crc32c_extend(crc, bytes + at + SNAPSHOT_HEADER_BYTES, (size_t)body);
        le_put(bytes + at + 12, 4, crc);
        at += SNAPSHOT_HEADER_BYTES + (size_t)body;
    }
}

/* What an END must say is more than a fuzzer guesses. */
static void end_well(const struct snapshot_reader *reader, uint8_t *bytes, size_t size)
{
    uint64_t totals[SNAPSHOT_TOTALS];
    size_t at = (size_t)reader->offset + SNAPSHOT_HEADER_BYTES;
    if (size < at || size - at != SNAPSHOT_END_BYTES) return;
    memcpy(totals, &reader->totals, sizeof totals);
    for (unsigned i = 0; i < SNAPSHOT_TOTALS; i++) le_put(bytes + at + 8 * i, 8, totals[i]);
    le_put(bytes + at + SNAPSHOT_END_BYTES - 8, 8, size);
    sign(bytes, size);
}

static bool always(void *context)
{
    (void)context;
    return true;
}

static void count_found(void *context, const struct scrub_found *found)
{
    unsigned *count = context;
    *count += found->area != NULL || found->key.size_bytes > 0;
}

/* Whatever its objects say, they unpack to what their check says or are found damaged. */
static void read_it(struct store *store, struct store_scratch *scratch)
{
    unsigned found = 0;
    struct scrub_caller caller = {.go_on = always, .found = count_found, .context = &found};
    struct scrub_counts counts = {0};
    struct store_scrub *scrub;
    fp_assert(store_scrub_create(store, &caller, &scrub) == FP_OK);
    (void)store_scrub_begin(scrub);
    for (int steps = 0; steps < 100 && !store_scrub_step(scrub, scratch, 256, &counts); steps++) {}
    fp_assert(found == counts.damaged_pages + counts.damaged_items);
    store_scrub_destroy(&scrub);
}

static void take(struct store *store, struct store_scratch *scratch, uint8_t *bytes, size_t size)
{
    static struct snapshot_reader reader;
    struct store_restore *restore;
    struct slice rest = slice_of(bytes, size);
    enum snapshot_read read;
    const char *problem = NULL;
    enum fp_status status = FP_OK;
    snapshot_reader_init(&reader);
    fp_assert(store_restore_begin(store, &restore) == FP_OK);
    for (;;) {
        struct snapshot_record record;
        size_t used;
        if (le_get(rest.size_bytes >= 4 ? rest.bytes : (const uint8_t *)"\0\0\0\0", 4) ==
            SNAPSHOT_END)
            end_well(&reader, bytes, size);
        read = snapshot_read_next(&reader, rest, true, &record, &used);
        if (read != SNAPSHOT_READ_RECORD) break;
        fp_assert(used > 0 && used <= rest.size_bytes);
        status = store_restore_take(restore, scratch, &record, &problem);
        if (status != FP_OK) break;
        rest = slice_of(rest.bytes + used, rest.size_bytes - used);
    }
    fp_assert(status != FP_OK || read == SNAPSHOT_READ_END || reader.problem != NULL);
    fp_assert(status == FP_OK || status == FP_NO_MEMORY || problem != NULL);
    fp_assert((read == SNAPSHOT_READ_END) == store_restored(restore).complete ||
              status != FP_OK || read == SNAPSHOT_READ_BAD);
    store_restore_end(&restore, scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct store_options options = {.memory_limit_bytes = LIMIT_BYTES,
                                    .page_bytes = 4096,
                                    .allocator = "blocks",
                                    .compressor = {"lz4", 0, NULL}};
    struct slice tight = tight_create(data, size_bytes);
    uint8_t *bytes = (uint8_t *)(uintptr_t)tight.bytes;
    struct store *store;
    struct store_scratch *scratch;
    fp_assert(store_create(&options, &store) == FP_OK);
    fp_assert(store_scratch_create(store, &scratch) == FP_OK);
    scratch->now_ms = 5000;
    scratch->unix_s = 1700000000;
    sign(bytes, size_bytes);
    take(store, scratch, bytes, size_bytes);
    read_it(store, scratch);
    store_scratch_destroy(&scratch);
    store_destroy(&store);
    tight_destroy(&tight);
    return 0;
}
