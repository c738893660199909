/* SPDX-License-Identifier: BSD-3-Clause
 * attrs - promises in a prototype that the compiler can hold us to. */
#ifndef FARPAGE_BASE_ATTRS_H
#define FARPAGE_BASE_ATTRS_H

#define FP_MUST_CHECK __attribute__((warn_unused_result))
#define FP_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define FP_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define FP_NORETURN __attribute__((noreturn))
#define FP_COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

#endif
