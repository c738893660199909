/* SPDX-License-Identifier: BSD-3-Clause
 * dictionary_gain - whether a dictionary is worth having, asked of pages it has not seen.
 *
 * A dictionary of another program gains nothing with zstd and 3 to 4 % with lz4, one of the same
 * program up to a third: only trying tells. So the samples are cut into runs of 16 neighbours; the
 * even runs train, the odd ones are packed with and without. Computes for up to some seconds,
 * depending on the level; any thread; takes no lock that anybody else could want. */
#ifndef FARPAGE_CODEC_DICTIONARY_GAIN_H
#define FARPAGE_CODEC_DICTIONARY_GAIN_H
#include "codec/packing.h"

enum {
    DICTIONARY_GAIN_RUN_PAGES = 16,
    DICTIONARY_GAIN_LEAST_PERCENT = 5 /* less is not worth the dictionary's own memory and time */
};

struct dictionary_gain { /* all bytes are of the held-out pages */
    size_t trained_pages, held_out_pages; /* same-filled ones are in neither */
    uint64_t plain_bytes;
    uint64_t without_bytes, with_bytes; /* a page that does not pack counts as it is */
    double percent;                     /* of without_bytes that the dictionary saved; may be < 0 */
    bool worth_it;                      /* more than DICTIONARY_GAIN_LEAST_PERCENT */
};

/* Packs pages with config and with its dictionary left out, and compares. FP_INVALID: no such
 * algorithm or level, or every page is same-filled; FP_NO_MEMORY. */
enum fp_status dictionary_gain_measure(const struct dictionary_samples *pages,
                                       const struct compressor_config *config,
                                       struct dictionary_gain *gain)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* Trains on half of the pages for config's algorithm and level (its dictionary is not looked at),
 * measures on the other half. On FP_OK *kept is the caller's use of a dictionary that is worth it,
 * or NULL where none is. FP_INVALID: as above, or nothing could be learned from the samples
 * (gain->percent is then 0); FP_NO_MEMORY. */
enum fp_status dictionary_gain_try(const struct dictionary_samples *pages,
                                   const struct compressor_config *config, size_t bytes_max,
                                   struct dictionary **kept, struct dictionary_gain *gain)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);

#endif
