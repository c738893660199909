/* SPDX-License-Identifier: BSD-3-Clause
 * kit_seats - what the tests of the compressor pool share. */
#ifndef FARPAGE_TESTS_UNIT_STORAGE_KIT_SEATS_H
#define FARPAGE_TESTS_UNIT_STORAGE_KIT_SEATS_H
#include <check.h>

#include "storage/compress/compressor.h"

static inline struct compressor_row row_of(struct compressor_pool *pool, uint8_t id)
{
    struct compressor_row row;
    compressor_row(pool, id, &row);
    return row;
}

/* What nothing needs is empty after this. */
static inline void settle(struct compressor_pool *pool)
{
    for (int i = 0; i < 3; i++) compressor_pool_upkeep(pool);
}

static inline enum fp_status swap(struct compressor_pool *pool, const char *algorithm, int level)
{
    return compressor_pool_swap(pool, &(struct compressor_config){algorithm, level});
}

static inline struct compressor_pool *pool_of(const char *algorithm, int level)
{
    struct compressor_pool *pool = NULL;
    struct compressor_config config = {algorithm, level};
    ck_assert_int_eq(compressor_pool_create(&config, NULL, &pool), FP_OK);
    return pool;
}

#endif
