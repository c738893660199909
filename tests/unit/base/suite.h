/* SPDX-License-Identifier: BSD-3-Clause
 * suite - the main of a Check program: suite_run("name", test, test, ...), or
 * suite_run_each("name", count, test, ...), which runs each test for every _i from 0 to count. */
#ifndef FARPAGE_TESTS_UNIT_BASE_SUITE_H
#define FARPAGE_TESTS_UNIT_BASE_SUITE_H
#include <check.h>

#include "base/attrs.h"

#define suite_run(name, ...) suite_run_each(name, 1, __VA_ARGS__)
#define suite_run_each(name, times, ...)                                                           \
    suite_run_tests(name, times, (const TTest *const[]){__VA_ARGS__},                              \
                    FP_COUNT_OF(((const TTest *const[]){__VA_ARGS__})))

static inline int suite_run_tests(const char *name, int times, const TTest *const *tests,
                                  size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < count; i++) tcase_add_loop_test(tcase, tests[i], 0, times);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
