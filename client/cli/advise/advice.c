/* SPDX-License-Identifier: BSD-3-Clause
 *
 *   pages of an area --same-filled left out--> even runs --train--> the area's dictionary
 *                                              odd runs  --pack, unpack with each compressor
 *   bytes an object needs, averaged over the odd runs, times the pages of the area: its memory */
#include "client/cli/advise/advice.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arith.h"
#include "base/check.h"
#include "codec/codec_solo.h"
#include "codec/dictionary_gain.h"

/* What an object needs beside its packed bytes: a slot, a checksum's head, an entry of its block's
 * directory; objects lie 8 bytes apart (docs/allocator.md). */
enum { SLOT_BYTES = 8, HEAD_BYTES = 2, ENTRY_BYTES = 8, UNIT_BYTES = 8, ROUNDS = 2 };

#define FAST_TIME_FACTOR 1.5
#define DENSE_MEMORY_FACTOR 1.05

static const struct compressor_config ladder[] = {
    {"lz4", 1, NULL},   {"lz4", 4, NULL},  {"lz4hc", 4, NULL}, {"lz4hc", 9, NULL},
    {"zstd", -3, NULL}, {"zstd", 1, NULL}, {"zstd", 3, NULL},  {"zstd", 9, NULL},
};
_Static_assert(2 * (FP_COUNT_OF(ladder) + 1) <= ADVICE_ROWS_MAX, "and the one in use");

struct part { /* of one group */
    const struct advice_group *group;
    struct dictionary_samples trained, measured; /* in `bytes` */
    struct dictionary *dictionary;
    uint8_t *bytes; /* owned */
};

struct desk { /* what is worked with */
    struct part *parts; /* owned */
    unsigned count;
    uint8_t *packed, *out; /* owned; room for the measured pages of any part; for any page */
    size_t *sizes;         /* owned; of what they packed to, 0: kept plain */
};

/* --- the pages ------------------------------------------------------------------------------ */

static struct plain page_at(const struct dictionary_samples *pages, size_t i)
{
    return (struct plain){pages->bytes + i * pages->page_bytes, pages->page_bytes};
}

/* Those of one half; behind `bytes`, which has room. */
static struct dictionary_samples take_half(const struct dictionary_samples *pages, size_t half,
                                           uint8_t *bytes)
{
    struct dictionary_samples taken = {bytes, pages->page_bytes, 0};
    uint64_t word;
    size_t filled = 0; /* pages with something in them so far */
    for (size_t i = 0; i < pages->count; i++) {
        struct plain page = page_at(pages, i);
        if (plain_is_same_filled(page, &word)) continue;
        if (filled++ / DICTIONARY_GAIN_RUN_PAGES % 2 != half) continue;
        memcpy(bytes + taken.count++ * page.size_bytes, page.bytes, page.size_bytes);
    }
    return taken;
}

static bool part_init(struct part *part, const struct advice_group *group, struct advice *advice)
{
    const struct dictionary_samples *pages = &group->pages;
    *part = (struct part){.group = group};
    if (pages->count == 0) return true;
    part->bytes = malloc(pages->count * pages->page_bytes);
    if (part->bytes == NULL) return false;
    part->measured = take_half(pages, 0, part->bytes);
    part->trained =
        take_half(pages, 1, part->bytes + part->measured.count * pages->page_bytes);
    advice->found_pages += pages->count;
    advice->measured_pages += part->measured.count;
    advice->trained_pages += part->trained.count;
    return true;
}

static void desk_fini(struct desk *desk)
{
    for (unsigned i = 0; desk->parts != NULL && i < desk->count; i++) {
        dictionary_release(&desk->parts[i].dictionary);
        free(desk->parts[i].bytes);
    }
    free(desk->parts);
    free(desk->packed);
    free(desk->out);
    free(desk->sizes);
}

static enum fp_status desk_init(struct desk *desk, const struct advice_group *groups,
                                unsigned count, struct advice *advice)
{
    size_t most = 0, most_bytes = 0, page_bytes = 0;
    *desk = (struct desk){.count = count};
    desk->parts = calloc(count > 0 ? count : 1, sizeof *desk->parts);
    if (desk->parts == NULL) return FP_NO_MEMORY;
    for (unsigned i = 0; i < count; i++) {
        if (!part_init(&desk->parts[i], &groups[i], advice)) return FP_NO_MEMORY;
        const struct dictionary_samples *measured = &desk->parts[i].measured;
        most = max_u64(most, measured->count);
        most_bytes = max_u64(most_bytes, measured->count * measured->page_bytes);
        page_bytes = max_u64(page_bytes, measured->page_bytes);
    }
    uint64_t filled = advice->measured_pages + advice->trained_pages;
    advice->same_filled_pages = advice->found_pages - filled;
    if (filled < ADVICE_PAGES_MIN) return FP_INVALID;
    desk->packed = malloc(most_bytes);
    desk->sizes = calloc(most, sizeof *desk->sizes);
    desk->out = malloc(page_bytes);
    bool good = desk->packed != NULL && desk->sizes != NULL && desk->out != NULL;
    return good ? FP_OK : FP_NO_MEMORY;
}

static enum fp_status train(struct desk *desk, struct advice *advice)
{
    advice->no_dictionary = "no area has enough pages";
    for (unsigned i = 0; i < desk->count; i++) {
        struct part *part = &desk->parts[i];
        const char *reason;
        if (part->trained.count == 0) continue;
        enum fp_status status = dictionary_train(&part->trained, DICTIONARY_BYTES_USUAL,
                                                 &part->dictionary, &reason);
        if (status == FP_NO_MEMORY) return status;
        if (status == FP_OK) advice->no_dictionary = NULL;
        else if (advice->no_dictionary != NULL) advice->no_dictionary = reason;
    }
    return FP_OK;
}

/* --- one row ---------------------------------------------------------------------------------- */

static double processor_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* *took_us and below: of all measured pages of the part. */
static enum fp_status pack_all(struct desk *desk, const struct part *part,
                               struct codec_solo *solo, double *took_us)
{
    double began_us = processor_us();
    size_t page_bytes = part->measured.page_bytes;
    for (size_t i = 0; i < part->measured.count; i++) {
        struct space space = {desk->packed + i * page_bytes, page_bytes - 1};
        struct packed packed = {.size_bytes = 0};
        enum fp_status status =
            codec_solo_pack(solo, page_at(&part->measured, i), space, &packed);
        if (status == FP_NO_MEMORY) return status;
        desk->sizes[i] = status == FP_OK ? packed.size_bytes : 0;
    }
    *took_us = processor_us() - began_us;
    return FP_OK;
}

static enum fp_status unpack_all(struct desk *desk, const struct part *part,
                                 struct codec_solo *solo, double *took_us)
{
    double began_us = processor_us();
    size_t page_bytes = part->measured.page_bytes;
    for (size_t i = 0; i < part->measured.count; i++) {
        struct packed packed = {desk->packed + i * page_bytes, desk->sizes[i]};
        struct space space = {desk->out, page_bytes};
        if (packed.size_bytes != 0 && codec_solo_unpack(solo, packed, space) != FP_OK)
            return FP_CORRUPT;
    }
    *took_us = processor_us() - began_us;
    return FP_OK;
}

static void add_bytes(const struct desk *desk, const struct part *part, struct advice_row *row)
{
    uint64_t objects_bytes = 0;
    size_t page_bytes = part->measured.page_bytes;
    for (size_t i = 0; i < part->measured.count; i++) {
        size_t size = desk->sizes[i] != 0 ? desk->sizes[i] : page_bytes;
        size_t units = (HEAD_BYTES + size + UNIT_BYTES - 1) / UNIT_BYTES;
        size_t object = units * UNIT_BYTES + ENTRY_BYTES;
        /* What is no cheaper packed has a run of pages of its own and no entry. */
        objects_bytes += object < page_bytes ? object : page_bytes;
        row->packed_bytes += size;
    }
    uint64_t pages = part->group->stored - part->group->same_filled;
    row->plain_bytes += part->measured.count * page_bytes;
    row->memory_bytes += part->group->stored * SLOT_BYTES;
    if (part->measured.count > 0)
        row->memory_bytes +=
            (uint64_t)((double)objects_bytes / (double)part->measured.count * (double)pages);
}

static enum fp_status measure(struct desk *desk, const struct part *part,
                              const struct compressor_config *config, struct advice_row *row)
{
    struct codec_solo solo;
    double packs_us = 0, unpacks_us = 0;
    enum fp_status status = codec_solo_init(&solo, config);
    if (status != FP_OK) return status;
    for (int round = 0; round < ROUNDS && status == FP_OK; round++) {
        double pack_us = 0, unpack_us = 0;
        status = pack_all(desk, part, &solo, &pack_us);
        if (status == FP_OK) status = unpack_all(desk, part, &solo, &unpack_us);
        if (round == 0 || pack_us < packs_us) packs_us = pack_us;
        if (round == 0 || unpack_us < unpacks_us) unpacks_us = unpack_us;
    }
    row->dictionary_bytes += codec_solo_dictionary_bytes(&solo);
    row->memory_bytes += codec_solo_dictionary_bytes(&solo);
    row->pack_us += packs_us; /* divided when all parts are in */
    row->unpack_us += unpacks_us;
    if (status == FP_OK) add_bytes(desk, part, row);
    codec_solo_fini(&solo);
    return status;
}

static enum fp_status add_row(struct desk *desk, struct compressor_config config, bool dictionary,
                              struct advice *advice)
{
    struct advice_row *row = &advice->rows[advice->row_count];
    *row = (struct advice_row){.dictionary = dictionary, .worth_it = true};
    compressor_text(&config, row->compressor);
    for (unsigned i = 0; i < desk->count; i++) {
        config.dictionary = dictionary ? desk->parts[i].dictionary : NULL;
        enum fp_status status = measure(desk, &desk->parts[i], &config, row);
        if (status != FP_OK) return status;
    }
    row->pack_us /= (double)advice->measured_pages;
    row->unpack_us /= (double)advice->measured_pages;
    advice->row_count++;
    return FP_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* `use`: NULL where this is not what is in use. */
static enum fp_status add_rows(struct desk *desk, const struct compressor_config *config,
                               const struct advice_use *use, struct advice *advice)
{
    enum fp_status status = add_row(desk, *config, false, advice);
    if (status != FP_OK) return status;
    struct advice_row *without = &advice->rows[advice->row_count - 1];
    without->in_use = use != NULL && !use->dictionary;
    if (advice->no_dictionary != NULL || strcmp(config->algorithm, "none") == 0) return FP_OK;
    status = add_row(desk, *config, true, advice);
    struct advice_row *with = without + 1;
    double gain = 100.0 - 100.0 * (double)with->packed_bytes / (double)without->packed_bytes;
    with->in_use = use != NULL && use->dictionary;
    with->worth_it = gain > DICTIONARY_GAIN_LEAST_PERCENT;
    return status;
}

static bool same(const struct compressor_config *a, const struct compressor_config *b)
{
    char left[COMPRESSOR_TEXT_BYTES], right[COMPRESSOR_TEXT_BYTES];
    compressor_text(a, left);
    compressor_text(b, right);
    return strcmp(left, right) == 0;
}

static enum fp_status climb(struct desk *desk, const struct advice_use *use,
                            struct advice *advice)
{
    bool seen = !use->known;
    enum fp_status status = FP_OK;
    for (size_t i = 0; i < FP_COUNT_OF(ladder) && status == FP_OK; i++) {
        bool in_use = use->known && same(&ladder[i], &use->config);
        status = add_rows(desk, &ladder[i], in_use ? use : NULL, advice);
        seen = seen || in_use;
    }
    if (status == FP_OK && !seen) status = add_rows(desk, &use->config, use, advice);
    return status;
}

static double time_us(const struct advice_row *row)
{
    return row->pack_us + row->unpack_us;
}

static void recommend(struct advice *advice)
{
    const struct advice_row *rows = advice->rows;
    unsigned quickest = 0, smallest = 0;
    for (unsigned i = 1; i < advice->row_count; i++) {
        if (!rows[i].worth_it) continue;
        if (time_us(&rows[i]) < time_us(&rows[quickest])) quickest = i;
        if (rows[i].memory_bytes < rows[smallest].memory_bytes) smallest = i;
    }
    advice->fast = quickest;
    advice->dense = smallest;
    double most_us = time_us(&rows[quickest]) * FAST_TIME_FACTOR;
    double most_bytes = (double)rows[smallest].memory_bytes * DENSE_MEMORY_FACTOR;
    for (unsigned i = 0; i < advice->row_count; i++) {
        if (!rows[i].worth_it) continue;
        if (time_us(&rows[i]) <= most_us && rows[i].memory_bytes < rows[advice->fast].memory_bytes)
            advice->fast = i;
        if ((double)rows[i].memory_bytes <= most_bytes &&
            time_us(&rows[i]) < time_us(&rows[advice->dense]))
            advice->dense = i;
    }
}

enum fp_status advice_make(const struct advice_group *groups, unsigned group_count,
                           const struct advice_use *use, struct advice *advice)
{
    struct desk desk;
    *advice = (struct advice){.row_count = 0};
    enum fp_status status = desk_init(&desk, groups, group_count, advice);
    if (status == FP_OK) status = train(&desk, advice);
    if (status == FP_OK) status = climb(&desk, use, advice);
    if (status == FP_OK) recommend(advice);
    desk_fini(&desk);
    return status;
}
