/* SPDX-License-Identifier: BSD-3-Clause
 * codec - what an algorithm fills in. To add one: a file with such a table, a row in codec.c, a
 * line in CMakeLists.txt and one in tests/unit/storage/check_compressor.c.
 *
 * Three kinds of memory, by who owns them:
 *   packer, unpacker   one thread's working memory, for any level and dictionary. The unpacker is
 *                      there from the start, for what was stored must be readable when memory is
 *                      out; the packer is made when the thread packs first, for it is large and a
 *                      store may be refused.
 *   prepared           a dictionary as the codec wants it, of one seat; read by many threads.
 * A function that is NULL has nothing to do: no such memory is needed.
 */
#ifndef FARPAGE_CODEC_CODEC_H
#define FARPAGE_CODEC_CODEC_H
#include "codec/packing.h"

struct codec_use {
    void *memory;         /* the thread's packer or unpacker */
    const void *prepared; /* NULL: no dictionary */
    int level;
};

struct codec {
    const char *name;
    enum packed_format format; /* of what it packs, if it ever does */
    int level_lowest, level_highest, level_default; /* all 0: it has no levels */
    const char *level_meaning;                      /* "higher is faster" */

    /* NULL: out of memory. */
    void *(*packer_create)(void);
    void (*packer_destroy)(void *packer);
    size_t (*packer_bytes)(const void *packer); /* what it holds now */
    void *(*unpacker_create)(void);
    void (*unpacker_destroy)(void *unpacker);
    size_t (*unpacker_bytes)(const void *unpacker);

    /* The dictionary outlives what is prepared, which may point into it. NULL: out of memory.
     * An algorithm without these ignores dictionaries. */
    void *(*dictionary_create)(const struct dictionary *dictionary, int level);
    void (*dictionary_destroy)(void *prepared);
    size_t (*dictionary_bytes)(const void *prepared); /* beside the dictionary's own */

    /* Writes *size bytes to out, never more than its capacity. FP_TOO_BIG: they do not fit.
     * FP_NO_MEMORY: the packer could not grow. */
    enum fp_status (*pack)(const struct codec_use *use, struct plain plain, struct space out,
                           size_t *size);
    /* True where packed decodes to exactly out.capacity_bytes with nothing left over. Must be safe
     * on any bytes. Allocates nothing. */
    bool (*unpack)(const struct codec_use *use, struct packed packed, struct space out);
};

extern const struct codec codec_none, codec_lz4, codec_lz4hc, codec_zstd;

enum { CODECS = 4 };
const struct codec *codec_at(unsigned index); /* index < CODECS */

/* Where the codec stands and its effective level. FP_INVALID: no such name or level. */
enum fp_status codec_find(const struct compressor_config *config, unsigned *index, int *level)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

#endif
