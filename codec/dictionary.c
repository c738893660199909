/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/dictionary.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <zdict.h>

#include "base/check.h"

enum { HEADER_ID_AT = 4, CONTENT_BYTES_MIN = 8 /* zstd's own minimum */ };

static const uint8_t magic[HEADER_ID_AT] = {0x37, 0xa4, 0x30, 0xec}; /* RFC 8878, section 5 */

struct dictionary {
    _Atomic uint32_t uses;
    _Atomic uint64_t owner;
    uint32_t id;
    size_t header_bytes, size_bytes;
    uint8_t bytes[];
};

/* NULL: it is a dictionary, whose header has *header_bytes. */
static const char *fault_of(struct slice bytes, size_t *header_bytes)
{
    if (bytes.size_bytes < DICTIONARY_BYTES_MIN) return "a dictionary has at least 256 bytes";
    if (bytes.size_bytes > DICTIONARY_BYTES_MAX) return "a dictionary has at most 256 KiB";
    if (memcmp(bytes.bytes, magic, sizeof magic) != 0)
        return "this is no dictionary: it does not begin as those of `zstd --train` do";
    *header_bytes = ZDICT_getDictHeaderSize(bytes.bytes, bytes.size_bytes);
    if (ZDICT_isError(*header_bytes)) return "the dictionary is damaged: its tables do not decode";
    if (bytes.size_bytes - *header_bytes < CONTENT_BYTES_MIN)
        return "the dictionary is damaged: it ends after its tables";
    return NULL;
}

enum fp_status dictionary_create(struct slice bytes, struct dictionary **out, const char **reason)
{
    size_t header_bytes = 0;
    const char *fault = fault_of(bytes, &header_bytes);
    if (fault != NULL) {
        *reason = fault;
        return FP_INVALID;
    }
    struct dictionary *dictionary = malloc(sizeof *dictionary + bytes.size_bytes);
    if (dictionary == NULL) return FP_NO_MEMORY;
    atomic_init(&dictionary->uses, 1);
    atomic_init(&dictionary->owner, 0);
    dictionary->id = ZDICT_getDictID(bytes.bytes, bytes.size_bytes);
    dictionary->header_bytes = header_bytes;
    dictionary->size_bytes = bytes.size_bytes;
    memcpy(dictionary->bytes, bytes.bytes, bytes.size_bytes);
    *out = dictionary;
    return FP_OK;
}

static const char *const unlearnt =
    "a dictionary needs some hundred sample pages that have something in common";

/* ZDICT wants the size of each sample, though all are the same. */
static size_t train_into(const struct dictionary_samples *samples, size_t *sizes,
                         uint8_t *bytes, size_t capacity)
{
    for (size_t i = 0; i < samples->count; i++) sizes[i] = samples->page_bytes;
    return ZDICT_trainFromBuffer(bytes, capacity, samples->bytes, sizes, (unsigned)samples->count);
}

enum fp_status dictionary_train(const struct dictionary_samples *samples, size_t bytes_max,
                                struct dictionary **out, const char **reason)
{
    *reason = unlearnt;
    if (samples->count == 0 || samples->count > UINT32_MAX) return FP_INVALID;
    if (bytes_max > DICTIONARY_BYTES_MAX) bytes_max = DICTIONARY_BYTES_MAX;
    if (bytes_max < DICTIONARY_BYTES_MIN) bytes_max = DICTIONARY_BYTES_MIN;
    size_t *sizes = calloc(samples->count, sizeof *sizes);
    uint8_t *bytes = malloc(bytes_max);
    enum fp_status status = FP_NO_MEMORY;
    if (sizes != NULL && bytes != NULL) {
        size_t size = train_into(samples, sizes, bytes, bytes_max);
        status = ZDICT_isError(size) ? FP_INVALID
                                     : dictionary_create(slice_of(bytes, size), out, reason);
    }
    if (status == FP_INVALID) *reason = unlearnt; /* of pages all alike it makes nothing useful */
    free(sizes);
    free(bytes);
    return status;
}

struct dictionary *dictionary_acquire(struct dictionary *dictionary)
{
    fp_assert(atomic_fetch_add(&dictionary->uses, 1) > 0);
    return dictionary;
}

void dictionary_release(struct dictionary **dictionary)
{
    struct dictionary *mine = *dictionary;
    *dictionary = NULL;
    if (mine == NULL) return;
    uint32_t uses = atomic_fetch_sub(&mine->uses, 1);
    fp_assert(uses > 0);
    if (uses == 1) free(mine);
}

struct slice dictionary_bytes(const struct dictionary *dictionary)
{
    return slice_of(dictionary->bytes, dictionary->size_bytes);
}

struct slice dictionary_content(const struct dictionary *dictionary)
{
    return slice_of(dictionary->bytes + dictionary->header_bytes,
                    dictionary->size_bytes - dictionary->header_bytes);
}

uint32_t dictionary_id(const struct dictionary *dictionary)
{
    return dictionary->id;
}

void dictionary_set_owner(struct dictionary *dictionary, uint64_t owner)
{
    atomic_store(&dictionary->owner, owner);
}

uint64_t dictionary_owner(const struct dictionary *dictionary)
{
    return atomic_load(&dictionary->owner);
}

bool dictionary_equal(const struct dictionary *a, const struct dictionary *b)
{
    if (a == b) return true;
    return a != NULL && b != NULL && slice_equal(dictionary_bytes(a), dictionary_bytes(b));
}
