/* SPDX-License-Identifier: BSD-3-Clause
 * number - strict reading of numbers, sizes and durations, and writing sizes for people.
 *
 * Strict: the whole slice must be the number; no sign, blank, prefix or leading zero (but "0"
 * itself) is taken; what does not fit is refused, never wrapped or clamped. All calls are pure.
 */
#ifndef FARPAGE_BASE_NUMBER_H
#define FARPAGE_BASE_NUMBER_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"

enum { NUMBER_TEXT_BYTES = 32 }; /* room for any text written here, with its final zero */

/* Decimal digits only; leading zeros are refused. */
bool number_u64(struct slice text, uint64_t *value) FP_MUST_CHECK;

/* Decimal digits, leading zeros allowed: what the memcached protocol takes for a number. */
bool number_wire_u64(struct slice text, uint64_t *value) FP_MUST_CHECK;

/* The same with an optional '-' (and no '+'): memcached's exptime. */
bool number_wire_i64(struct slice text, int64_t *value) FP_MUST_CHECK;

/* Bytes: a number and B, KiB, MiB, GiB or TiB (K, M, G, T mean the same powers of 1024); a bare
 * number is bytes. No blank before the unit. */
bool number_size(struct slice text, uint64_t *bytes) FP_MUST_CHECK;

/* Nanoseconds: a number and ns, us, ms, s, m or h; "0" needs no unit, other bare numbers are
 * refused because nobody can tell seconds from milliseconds. */
bool number_duration(struct slice text, uint64_t *nanoseconds) FP_MUST_CHECK;

/* The inverse of number_size and number_duration: the largest unit that loses nothing. */
void number_size_text(uint64_t bytes, char text[NUMBER_TEXT_BYTES]);
void number_duration_text(uint64_t nanoseconds, char text[NUMBER_TEXT_BYTES]);

/* For people, three digits: "1.46 GiB", "512 B". Not to be read back. */
void number_size_short(uint64_t bytes, char text[NUMBER_TEXT_BYTES]);

#endif
