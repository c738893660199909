/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/advise/advice.h"

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/kit.h"

static struct dictionary_samples sample(void)
{
    return (struct dictionary_samples){kit_sample(), KIT_PAGE_BYTES, KIT_SAMPLE_PAGES};
}

static void done_with(struct dictionary_samples *pages)
{
    free((void *)(uintptr_t)pages->bytes);
}

static const struct advice_row *row_of(const struct advice *advice, const char *compressor,
                                       bool dictionary)
{
    for (unsigned i = 0; i < advice->row_count; i++)
        if (strcmp(advice->rows[i].compressor, compressor) == 0 &&
            advice->rows[i].dictionary == dictionary)
            return &advice->rows[i];
    ck_abort_msg("no row %s", compressor);
}

static const struct advice_use nothing_known = {.known = false};

START_TEST(each_compressor_is_tried_with_a_dictionary_and_without)
{
    struct advice advice;
    struct dictionary_samples pages = sample();
    struct advice_group group = {.pages = pages, .stored = pages.count};
    ck_assert_int_eq(advice_make(&group, 1, &nothing_known, &advice), FP_OK);
    ck_assert_ptr_null(advice.no_dictionary);
    ck_assert_uint_eq(advice.trained_pages + advice.measured_pages, pages.count);
    ck_assert_uint_eq(advice.row_count, 16);
    const struct advice_row *lz4 = row_of(&advice, "lz4:1", false);
    const struct advice_row *zstd = row_of(&advice, "zstd:3", false);
    const struct advice_row *learned = row_of(&advice, "zstd:3", true);
    ck_assert_uint_lt(zstd->packed_bytes, lz4->packed_bytes);
    ck_assert_uint_lt(learned->packed_bytes, zstd->packed_bytes);
    ck_assert_uint_gt(learned->dictionary_bytes, 0);
    ck_assert_uint_eq(zstd->dictionary_bytes, 0);
    ck_assert_uint_eq(lz4->plain_bytes, advice.measured_pages * KIT_PAGE_BYTES);
    ck_assert(!lz4->in_use);
    done_with(&pages);
}
END_TEST

START_TEST(memory_grows_with_what_the_area_holds_and_dictionaries_count_once)
{
    struct advice small, large;
    struct dictionary_samples pages = sample();
    struct advice_group group = {.pages = pages, .stored = 1000};
    ck_assert_int_eq(advice_make(&group, 1, &nothing_known, &small), FP_OK);
    group.stored = 1000 * 1000;
    ck_assert_int_eq(advice_make(&group, 1, &nothing_known, &large), FP_OK);
    for (unsigned i = 0; i < small.row_count; i++) {
        double pages_bytes = (double)(small.rows[i].memory_bytes - small.rows[i].dictionary_bytes);
        double more_bytes = (double)(large.rows[i].memory_bytes - large.rows[i].dictionary_bytes);
        ck_assert_double_eq_tol(more_bytes / pages_bytes, 1000, 1);
        ck_assert(more_bytes > (double)large.rows[i].packed_bytes);
    }
    /* A dictionary costs more than it saves on few pages, and less on many. */
    ck_assert(row_of(&small, "zstd:9", true)->memory_bytes >
              row_of(&small, "zstd:9", false)->memory_bytes);
    ck_assert(row_of(&large, "zstd:9", true)->memory_bytes <
              row_of(&large, "zstd:9", false)->memory_bytes);
    done_with(&pages);
}
END_TEST

START_TEST(areas_with_pages_of_several_sizes_are_measured_each_with_its_own)
{
    struct advice both;
    struct dictionary_samples small = sample();
    struct dictionary_samples large = {small.bytes, 4 * small.page_bytes, small.count / 4};
    for (int order = 0; order < 2; order++) {
        struct advice_group groups[] = {
            {.pages = order == 0 ? small : large, .stored = 1000},
            {.pages = order == 0 ? large : small, .stored = 1000},
        };
        ck_assert_int_eq(advice_make(groups, 2, &nothing_known, &both), FP_OK);
        ck_assert_uint_eq(both.found_pages, small.count + large.count);
        const struct advice_row *row = row_of(&both, "lz4:1", false);
        ck_assert_uint_gt(row->plain_bytes, both.measured_pages * KIT_PAGE_BYTES);
        ck_assert_uint_lt(row->packed_bytes, row->plain_bytes);
    }
    done_with(&small);
}
END_TEST

START_TEST(same_filled_pages_cost_a_slot_and_are_not_packed)
{
    struct advice advice, more;
    struct dictionary_samples pages = sample();
    struct advice_group groups[2] = {{.pages = pages, .stored = pages.count}};
    uint8_t *zeros = calloc(100, KIT_PAGE_BYTES);
    groups[1] = (struct advice_group){.pages = {zeros, KIT_PAGE_BYTES, 100},
                                      .stored = 100000, .same_filled = 100000};
    ck_assert_int_eq(advice_make(groups, 1, &nothing_known, &advice), FP_OK);
    ck_assert_int_eq(advice_make(groups, 2, &nothing_known, &more), FP_OK);
    ck_assert_uint_eq(more.same_filled_pages, 100);
    ck_assert_uint_eq(more.measured_pages, advice.measured_pages);
    const struct advice_row *row = row_of(&advice, "lz4:1", false);
    const struct advice_row *with_zeros = row_of(&more, "lz4:1", false);
    ck_assert_uint_eq(with_zeros->packed_bytes, row->packed_bytes);
    ck_assert_uint_eq(with_zeros->memory_bytes - row->memory_bytes, 100000 * 8);
    free(zeros);
    done_with(&pages);
}
END_TEST

START_TEST(what_is_in_use_is_marked_and_tried_whatever_it_is)
{
    static const struct compressor_config uses[] = {{"lz4", 0, NULL}, {"zstd", 5, NULL},
                                                    {"none", 0, NULL}};
    static const char *const texts[] = {"lz4:1", "zstd:5", "none"};
    static const unsigned rows[] = {16, 18, 17}; /* none has no use for a dictionary */
    struct dictionary_samples pages = sample();
    struct advice_group group = {.pages = pages, .stored = pages.count};
    for (size_t i = 0; i < FP_COUNT_OF(uses); i++) {
        struct advice advice;
        struct advice_use use = {.config = uses[i], .known = true};
        ck_assert_int_eq(advice_make(&group, 1, &use, &advice), FP_OK);
        ck_assert_uint_eq(advice.row_count, rows[i]);
        unsigned marked = 0;
        for (unsigned r = 0; r < advice.row_count; r++) marked += advice.rows[r].in_use;
        ck_assert_uint_eq(marked, 1);
        ck_assert(row_of(&advice, texts[i], false)->in_use);
        if (i == 2) continue;
        use.dictionary = true;
        ck_assert_int_eq(advice_make(&group, 1, &use, &advice), FP_OK);
        ck_assert(row_of(&advice, texts[i], true)->in_use);
        ck_assert(!row_of(&advice, texts[i], false)->in_use);
    }
    done_with(&pages);
}
END_TEST

START_TEST(the_advice_keeps_its_word)
{
    struct advice advice;
    struct dictionary_samples pages = sample();
    struct advice_group group = {.pages = pages, .stored = 1 << 20};
    ck_assert_int_eq(advice_make(&group, 1, &nothing_known, &advice), FP_OK);
    const struct advice_row *fast = &advice.rows[advice.fast], *dense = &advice.rows[advice.dense];
    ck_assert(fast->worth_it && dense->worth_it);
    for (unsigned i = 0; i < advice.row_count; i++) {
        const struct advice_row *row = &advice.rows[i];
        if (!row->worth_it) continue;
        double row_us = row->pack_us + row->unpack_us;
        ck_assert(fast->pack_us + fast->unpack_us <= 1.5 * row_us);
        ck_assert((double)dense->memory_bytes <= 1.05 * (double)row->memory_bytes);
    }
    done_with(&pages);
}
END_TEST

START_TEST(too_few_pages_are_refused_with_their_counts)
{
    struct advice advice;
    struct dictionary_samples pages = sample();
    struct advice_group group = {.pages = pages, .stored = 1000};
    group.pages.count = ADVICE_PAGES_MIN - 1;
    ck_assert_int_eq(advice_make(&group, 1, &nothing_known, &advice), FP_INVALID);
    ck_assert_uint_eq(advice.found_pages, ADVICE_PAGES_MIN - 1);
    ck_assert_uint_eq(advice.same_filled_pages, 0);
    ck_assert_int_eq(advice_make(&group, 0, &nothing_known, &advice), FP_INVALID);
    group.pages.count = ADVICE_PAGES_MIN;
    ck_assert_int_eq(advice_make(&group, 1, &nothing_known, &advice), FP_OK);
    done_with(&pages);
}
END_TEST

int main(void)
{
    return suite_run("advice", each_compressor_is_tried_with_a_dictionary_and_without,
                     memory_grows_with_what_the_area_holds_and_dictionaries_count_once,
                     areas_with_pages_of_several_sizes_are_measured_each_with_its_own,
                     same_filled_pages_cost_a_slot_and_are_not_packed,
                     what_is_in_use_is_marked_and_tried_whatever_it_is, the_advice_keeps_its_word,
                     too_few_pages_are_refused_with_their_counts);
}
