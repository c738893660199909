/* SPDX-License-Identifier: BSD-3-Clause
 * check - assertions that stay on in production.
 *
 * They are for our own mistakes only. What the world does (full memory, broken bytes, a client that
 * hangs up) is answered with a status. A failed assertion names the place and the condition on
 * stderr and aborts: wrong pages are worse than no server.
 */
#ifndef FARPAGE_BASE_CHECK_H
#define FARPAGE_BASE_CHECK_H
#include "base/attrs.h"

#define fp_assert(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) check_failed(__FILE__, __LINE__, #condition);       \
    } while (0)

void check_failed(const char *file, int line, const char *condition) FP_NORETURN;

#endif
