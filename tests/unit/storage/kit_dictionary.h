/* SPDX-License-Identifier: BSD-3-Clause
 * kit_dictionary - a dictionary of the sample's pages, or of every STEP-th of them. */
#ifndef FARPAGE_TESTS_UNIT_STORAGE_KIT_DICTIONARY_H
#define FARPAGE_TESTS_UNIT_STORAGE_KIT_DICTIONARY_H
#include "codec/dictionary.h"
#include "tests/unit/storage/kit.h"

enum { KIT_DICTIONARY_BYTES = 16 << 10 };

static inline struct dictionary *kit_dictionary(size_t step)
{
    uint8_t *sample = kit_sample();
    struct dictionary *dictionary = NULL;
    const char *reason = NULL;
    struct dictionary_samples samples = {.bytes = sample, .page_bytes = KIT_PAGE_BYTES};
    for (size_t page = 0; page < KIT_SAMPLE_PAGES; page += step)
        memmove(sample + samples.count++ * KIT_PAGE_BYTES, sample + page * KIT_PAGE_BYTES,
                KIT_PAGE_BYTES);
    fp_assert(dictionary_train(&samples, KIT_DICTIONARY_BYTES, &dictionary, &reason) == FP_OK);
    free(sample);
    return dictionary;
}

#endif
