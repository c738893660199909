/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Hostile bytes where an object is expected, and where a dictionary is.
 *   byte 0        which algorithm; with (16) or without a dictionary; or (32) the rest is one
 *   bytes 1 and 2 how many plain bytes are expected, less one
 *   the rest      the object, or the dictionary
 *
 * An object is refused or gives exactly the bytes expected, the same ones each time, and none
 * beyond them is touched. The same plain bytes, packed and unpacked, come back. A dictionary is
 * refused with a reason, or works. */
#include "fuzz.h"
#include "storage/compress/compressor.h"
#include "codec/dictionary.h"

enum { HEAD_BYTES = 3, WITH_DICTIONARY = 16, IS_DICTIONARY = 32, SAMPLES = 128, PAGE = 4096 };

static const char *const algorithms[] = {"lz4", "lz4hc", "zstd", "none"};
static const int levels[] = {4, 3, 3, 0};

/* The same in every process: what the kept corpus was packed with. */
static struct dictionary *make_dictionary(void)
{
    static uint8_t pages[SAMPLES * PAGE];
    struct dictionary *dictionary = NULL;
    const char *reason;
    uint32_t state = 1;
    for (size_t at = 0; at < sizeof pages; at++) {
        state = state * 1664525 + 1013904223;
        pages[at] = (uint8_t)"page slot area handle seat map "[(state >> 24) % 31];
        if (at >= 4096 && state % 8 != 0) pages[at] = pages[at - 1021 - state % 3];
    }
    struct dictionary_samples samples = {pages, PAGE, SAMPLES};
    fp_assert(dictionary_train(&samples, 4096, &dictionary, &reason) == FP_OK);
    return dictionary;
}

static void try_object(struct compressor *seat, struct codec_scratch *scratch, struct slice packed,
                       size_t expected)
{
    uint8_t *out = malloc(expected), *again = malloc(expected), *room = malloc(expected);
    fp_assert(out != NULL && again != NULL && room != NULL);
    struct space space = {out, expected}, other = {again, expected};
    struct packed object = {packed.bytes, packed.size_bytes};
    enum fp_status status = compressor_unpack(seat, scratch, object, space);
    fp_assert(status == FP_OK || status == FP_CORRUPT);
    if (status == FP_OK) {
        fp_assert(compressor_unpack(seat, scratch, object, other) == FP_OK);
        fp_assert(memcmp(out, again, expected) == 0);
        struct packed mine;
        struct space whole = {room, expected};
        if (compressor_pack(seat, scratch, (struct plain){out, expected}, whole, &mine) ==
            FP_OK) {
            memset(again, 0, expected);
            fp_assert(compressor_unpack(seat, scratch, mine, other) == FP_OK);
            fp_assert(memcmp(out, again, expected) == 0);
        }
    }
    free(out);
    free(again);
    free(room);
}

/* All algorithms must be able to work with what passes for a dictionary. */
static void try_dictionary(struct slice bytes, struct codec_scratch *scratch)
{
    struct dictionary *dictionary = NULL;
    const char *reason = NULL;
    if (dictionary_create(bytes, &dictionary, &reason) != FP_OK) {
        fp_assert(dictionary == NULL && reason != NULL && strpbrk(reason, "\r\n") == NULL);
        return;
    }
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct compressor_config config = {algorithms[i], levels[i], dictionary};
        struct compressor_pool *pool = NULL;
        if (compressor_pool_create(&config, NULL, &pool) != FP_OK) continue;
        struct compressor *seat = compressor_acquire(pool, NULL);
        struct slice plain = bytes.size_bytes > PAGE ? slice_of(bytes.bytes, PAGE) : bytes;
        uint8_t room[PAGE], out[PAGE];
        struct packed mine;
        if (compressor_pack(seat, scratch, (struct plain){plain.bytes, plain.size_bytes},
                            (struct space){room, plain.size_bytes}, &mine) == FP_OK) {
            struct space space = {out, plain.size_bytes};
            fp_assert(compressor_unpack(seat, scratch, mine, space) == FP_OK);
            fp_assert(memcmp(out, plain.bytes, plain.size_bytes) == 0);
        }
        compressor_release(&seat, NULL);
        compressor_pool_destroy(&pool);
    }
    dictionary_release(&dictionary);
}

/* [algorithm][with]: made once, for making them is what takes the time. */
static struct compressor_pool *pool_of(size_t algorithm, bool with)
{
    static struct compressor_pool *pools[sizeof levels / sizeof *levels][2];
    static struct dictionary *dictionary;
    if (dictionary == NULL) dictionary = make_dictionary();
    struct compressor_pool **pool = &pools[algorithm][with];
    struct compressor_config config = {algorithms[algorithm], levels[algorithm],
                                       with ? dictionary : NULL};
    if (*pool == NULL) fp_assert(compressor_pool_create(&config, NULL, pool) == FP_OK);
    return *pool;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static struct codec_scratch *scratch;
    if (scratch == NULL) fp_assert(codec_scratch_create(NULL, &scratch) == FP_OK);
    if (size_bytes < HEAD_BYTES) return 0;
    struct slice rest = tight_create(data + HEAD_BYTES, size_bytes - HEAD_BYTES);
    if (data[0] & IS_DICTIONARY) {
        try_dictionary(rest, scratch);
    } else {
        size_t algorithm = data[0] % (sizeof levels / sizeof *levels);
        struct compressor *seat =
            compressor_acquire(pool_of(algorithm, (data[0] & WITH_DICTIONARY) != 0), NULL);
        try_object(seat, scratch, rest, (size_t)data[1] + ((size_t)data[2] << 8) + 1);
        compressor_release(&seat, NULL);
    }
    tight_destroy(&rest);
    return 0;
}
