/* SPDX-License-Identifier: BSD-3-Clause
 * dialect - what request.c asks of a dialect: the meaning of one line. Private to this room.
 *
 * request.c knows where a line and a value end; a dialect knows what the line says. Neither can see
 * bytes that are not there yet, so the answer cannot depend on how they arrived.
 */
#ifndef FARPAGE_PROTOCOL_DIALECT_H
#define FARPAGE_PROTOCOL_DIALECT_H
#include "protocol/request.h"

/* What a dialect says of a line that no value follows. */
#define DIALECT_NO_VALUE UINT64_MAX

/* Answers a dialect and request.c give without line end. */
#define REFUSAL_UNKNOWN "ERROR"
#define REFUSAL_BAD_LINE "CLIENT_ERROR bad command line format"
#define REFUSAL_HANG_UP "" /* say nothing and close */

/* Reads `line` (without its end, `size_bytes` with it) into *request. NULL where it is good, else
 * the refusal. *value_bytes is the length the line announces, or DIALECT_NO_VALUE; one may come
 * with a refusal: that value is on its way and must be swallowed. */
const char *dialect_text_line(struct slice line, size_t size_bytes, struct request *request,
                              uint64_t *value_bytes) FP_MUST_CHECK FP_NONNULL(3, 4);

/* The same of a meta command that takes a key, from the word behind its name on. `word_count` is
 * the line's. *value_bytes is written where a value is announced. */
const char *dialect_meta_words(struct slice words, size_t word_count, struct request *request,
                               uint64_t *value_bytes) FP_MUST_CHECK FP_NONNULL(3, 4);

#endif
