/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/arith.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10},
    {"T", 1ull << 40},   {"G", 1ull << 30},   {"M", 1ull << 20},   {"K", 1ull << 10},
    {"B", 1},            {"", 1},
};

static const struct unit duration_units[] = {
    {"h", 3600ull * 1000000000}, {"m", 60ull * 1000000000}, {"s", 1000000000},
    {"ms", 1000000},             {"us", 1000},              {"ns", 1},
};

static bool digits_u64(struct slice text, uint64_t *value)
{
    if (text.size_bytes == 0) return false;
    uint64_t sum = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = text.bytes[i];
        if (c < '0' || c > '9') return false;
        if (!mul_u64(sum, 10, &sum) || !add_u64(sum, (uint64_t)(c - '0'), &sum)) return false;
    }
    *value = sum;
    return true;
}

bool number_u64(struct slice text, uint64_t *value)
{
    if (text.size_bytes > 1 && text.bytes[0] == '0') return false;
    return digits_u64(text, value);
}

bool number_wire_u64(struct slice text, uint64_t *value)
{
    return digits_u64(text, value);
}

bool number_wire_i64(struct slice text, int64_t *value)
{
    bool negative = text.size_bytes > 0 && text.bytes[0] == '-';
    if (negative) text = slice_of(text.bytes + 1, text.size_bytes - 1);
    uint64_t magnitude;
    if (!digits_u64(text, &magnitude) || magnitude > INT64_MAX) return false;
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

static bool with_unit(struct slice text, const struct unit *units, size_t count, uint64_t *value)
{
    size_t digits = 0;
    while (digits < text.size_bytes && text.bytes[digits] >= '0' && text.bytes[digits] <= '9')
        digits++;
    uint64_t number;
    if (!number_u64(slice_of(text.bytes, digits), &number)) return false;
    struct slice unit = slice_of(text.bytes + digits, text.size_bytes - digits);
    for (size_t i = 0; i < count; i++)
        if (slice_is(unit, units[i].name)) return mul_u64(number, units[i].factor, value);
    return false;
}

bool number_size(struct slice text, uint64_t *bytes)
{
    return with_unit(text, size_units, FP_COUNT_OF(size_units), bytes);
}

bool number_duration(struct slice text, uint64_t *nanoseconds)
{
    if (slice_is(text, "0")) {
        *nanoseconds = 0;
        return true;
    }
    return with_unit(text, duration_units, FP_COUNT_OF(duration_units), nanoseconds);
}

static void exact_text(uint64_t value, const struct unit *units, size_t count,
                       char text[NUMBER_TEXT_BYTES])
{
    size_t i = 0;
    while (i + 1 < count && (value == 0 || value % units[i].factor != 0)) i++;
    snprintf(text, NUMBER_TEXT_BYTES, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
}

void number_size_text(uint64_t bytes, char text[NUMBER_TEXT_BYTES])
{
    static const struct unit whole[] = {
        {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20},
        {"KiB", 1ull << 10}, {"B", 1},
    };
    exact_text(bytes, whole, FP_COUNT_OF(whole), text);
}

void number_duration_text(uint64_t nanoseconds, char text[NUMBER_TEXT_BYTES])
{
    if (nanoseconds == 0)
        snprintf(text, NUMBER_TEXT_BYTES, "0");
    else
        exact_text(nanoseconds, duration_units, FP_COUNT_OF(duration_units), text);
}

void number_size_short(uint64_t bytes, char text[NUMBER_TEXT_BYTES])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t i = 0;
    for (; value >= 1000 && i + 1 < FP_COUNT_OF(names); i++) value /= 1024;
    if (i == 0)
        snprintf(text, NUMBER_TEXT_BYTES, "%.0f B", value);
    else
        snprintf(text, NUMBER_TEXT_BYTES, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value,
                 names[i]);
}
