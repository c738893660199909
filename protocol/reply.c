/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/reply.h"

#include "base/check.h"

static char *put_bytes(char *at, const void *bytes, size_t size_bytes)
{
    memcpy(at, bytes, size_bytes);
    return at + size_bytes;
}

static char *put_number(char *at, uint64_t number)
{
    char digits[REPLY_DIGITS_MAX];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return put_bytes(at, digits + first, sizeof digits - first);
}

size_t reply_digits(char digits[REPLY_DIGITS_MAX], uint64_t number)
{
    return (size_t)(put_number(digits, number) - digits);
}

size_t reply_value_line(char line[REPLY_VALUE_LINE_BYTES_MAX], struct slice key, uint32_t flags,
                        uint64_t value_bytes, const uint64_t *cas)
{
    fp_assert(key.size_bytes > 0 && key.size_bytes <= KEY_BYTES_MAX);
    fp_assert(value_bytes <= ITEM_BYTES_MAX); /* the line has room for ten digits of it */
    char *at = put_bytes(line, "VALUE ", 6);
    at = put_bytes(at, key.bytes, key.size_bytes);
    *at++ = ' ';
    at = put_number(at, flags);
    *at++ = ' ';
    at = put_number(at, value_bytes);
    if (cas != NULL) {
        *at++ = ' ';
        at = put_number(at, *cas);
    }
    at = put_bytes(at, "\r\n", 2);
    return (size_t)(at - line);
}

size_t reply_number_line(char line[REPLY_NUMBER_LINE_BYTES_MAX], uint64_t number)
{
    char *at = put_bytes(put_number(line, number), "\r\n", 2);
    return (size_t)(at - line);
}

size_t reply_mapped_line(char line[REPLY_MAPPED_LINE_BYTES_MAX], const struct reply_mapped *mapped)
{
    const uint64_t numbers[] = {mapped->id, mapped->flags, mapped->bytes, mapped->cas};
    char *at = put_bytes(line, "MAPPED", 6);
    for (size_t i = 0; i < FP_COUNT_OF(numbers); i++) {
        *at++ = ' ';
        at = put_number(at, numbers[i]);
    }
    at = put_bytes(at, "\r\n", 2);
    return (size_t)(at - line);
}

size_t reply_data_line(char line[REPLY_DATA_LINE_BYTES_MAX], uint64_t bytes)
{
    char *at = put_number(put_bytes(line, "DATA ", 5), bytes);
    at = put_bytes(at, "\r\n", 2);
    return (size_t)(at - line);
}
