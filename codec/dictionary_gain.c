/* SPDX-License-Identifier: BSD-3-Clause
 *
 *   samples --same-filled left out--> even runs --train--> dictionary
 *                                     odd runs  --pack with, pack without--> gain */
#include "codec/dictionary_gain.h"

#include <stdlib.h>
#include <string.h>

#include "codec/codec_solo.h"

static const uint8_t *page_at(const struct dictionary_samples *pages, size_t i)
{
    return pages->bytes + i * pages->page_bytes;
}

/* The bytes all pages pack to. */
static enum fp_status pack_all(const struct dictionary_samples *pages, struct codec_solo *solo,
                               uint64_t *packed_bytes)
{
    uint8_t *room = malloc(pages->page_bytes);
    enum fp_status status = room != NULL ? FP_OK : FP_NO_MEMORY;
    for (size_t i = 0; status == FP_OK && i < pages->count; i++) {
        struct packed packed = {.size_bytes = pages->page_bytes};
        struct plain plain = {page_at(pages, i), pages->page_bytes};
        struct space space = {room, pages->page_bytes - 1};
        status = codec_solo_pack(solo, plain, space, &packed);
        if (status == FP_TOO_BIG) status = FP_OK; /* and it counts as it is */
        *packed_bytes += packed.size_bytes;
    }
    free(room);
    return status;
}

static enum fp_status weigh(const struct dictionary_samples *pages,
                            const struct compressor_config *config, uint64_t *packed_bytes)
{
    struct codec_solo solo;
    enum fp_status status = codec_solo_init(&solo, config);
    if (status != FP_OK) return status;
    status = pack_all(pages, &solo, packed_bytes);
    codec_solo_fini(&solo);
    return status;
}

/* Those of the even (half 0) or the odd runs, without the same-filled; copied to `bytes`. */
static struct dictionary_samples take_half(const struct dictionary_samples *pages, size_t half,
                                           uint8_t *bytes)
{
    uint64_t word;
    struct dictionary_samples taken = {.bytes = bytes, .page_bytes = pages->page_bytes};
    for (size_t i = 0; i < pages->count; i++) {
        if (i / DICTIONARY_GAIN_RUN_PAGES % 2 != half) continue;
        struct plain page = {page_at(pages, i), pages->page_bytes};
        if (plain_is_same_filled(page, &word)) continue;
        memcpy(bytes + taken.count++ * pages->page_bytes, page_at(pages, i), pages->page_bytes);
    }
    return taken;
}

enum fp_status dictionary_gain_measure(const struct dictionary_samples *pages,
                                       const struct compressor_config *config,
                                       struct dictionary_gain *gain)
{
    struct compressor_config without = *config;
    without.dictionary = NULL;
    *gain = (struct dictionary_gain){.held_out_pages = pages->count,
                                     .plain_bytes = (uint64_t)pages->count * pages->page_bytes};
    if (pages->count == 0 || pages->page_bytes < 2) return FP_INVALID;
    enum fp_status status = weigh(pages, &without, &gain->without_bytes);
    if (status == FP_OK) status = weigh(pages, config, &gain->with_bytes);
    if (status != FP_OK) return status;
    gain->percent = 100.0 - 100.0 * (double)gain->with_bytes / (double)gain->without_bytes;
    gain->worth_it = gain->percent > DICTIONARY_GAIN_LEAST_PERCENT;
    return FP_OK;
}

static enum fp_status train_and_measure(const struct dictionary_samples halves[2],
                                        struct compressor_config config, size_t bytes_max,
                                        struct dictionary **kept, struct dictionary_gain *gain)
{
    const char *reason = NULL;
    config.dictionary = NULL;
    enum fp_status status = dictionary_train(&halves[0], bytes_max, &config.dictionary, &reason);
    if (status != FP_OK) return status;
    status = dictionary_gain_measure(&halves[1], &config, gain);
    gain->trained_pages = halves[0].count;
    if (status == FP_OK && gain->worth_it)
        *kept = config.dictionary;
    else
        dictionary_release(&config.dictionary);
    return status;
}

enum fp_status dictionary_gain_try(const struct dictionary_samples *pages,
                                   const struct compressor_config *config, size_t bytes_max,
                                   struct dictionary **kept, struct dictionary_gain *gain)
{
    *kept = NULL;
    *gain = (struct dictionary_gain){.trained_pages = 0};
    if (pages->count == 0) return FP_INVALID;
    uint8_t *bytes = malloc(pages->count * pages->page_bytes);
    if (bytes == NULL) return FP_NO_MEMORY;
    struct dictionary_samples halves[2];
    halves[0] = take_half(pages, 0, bytes);
    halves[1] = take_half(pages, 1, bytes + halves[0].count * pages->page_bytes);
    enum fp_status status = train_and_measure(halves, *config, bytes_max, kept, gain);
    free(bytes);
    return status;
}
