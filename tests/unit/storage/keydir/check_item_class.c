/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir/item_class.h"

#include <stdlib.h>

#include "tests/unit/base/suite.h"

START_TEST(each_size_has_the_smallest_class_that_holds_it)
{
    ck_assert_uint_eq(item_class_of(0), 1);
    for (unsigned n = 1; n < ITEM_CLASSES_MAX; n++) {
        ck_assert_uint_eq(item_class_of(item_class_bytes(n)), n);
        ck_assert_uint_eq(item_class_of(item_class_bytes(n) + 1), n + 1);
        ck_assert_uint_lt(item_class_bytes(n), item_class_bytes(n + 1));
        ck_assert_uint_le(item_class_bytes(n + 1), item_class_bytes(n) * 27 / 20);
    }
    ck_assert_uint_eq(item_class_of(UINT64_MAX), ITEM_CLASSES_MAX);
}
END_TEST

START_TEST(an_item_takes_its_record_and_what_is_packed)
{
    struct item *item = item_create(slice_text("key"), 1, 5000);
    ck_assert_ptr_nonnull(item);
    item->packed_bytes = 1234;
    ck_assert_uint_eq(item_memory_bytes(item), item_record_bytes(3, 5000) + 1234);
    ck_assert_uint_ge(item_record_bytes(3, 5000), item_size_bytes(3, 5000) + 8);
    free(item);
}
END_TEST

int main(void)
{
    return suite_run("item_class", each_size_has_the_smallest_class_that_holds_it,
                     an_item_takes_its_record_and_what_is_packed);
}
