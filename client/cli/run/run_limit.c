/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/run/run_limit.h"

#include <string.h>

#include "base/number.h"
#include "client/cli/say/human.h"

/* Of "12.5" 1250; false where it is none above 0 and up to 100, with two digits behind it. */
static bool parse_percentage(const char *text, size_t bytes, uint64_t *hundredths)
{
    const char *point = memchr(text, '.', bytes);
    size_t whole = point != NULL ? (size_t)(point - text) : bytes;
    size_t digits = point != NULL ? bytes - whole - 1 : 0;
    uint64_t number;
    if (!number_u64((struct slice){(const uint8_t *)text, whole}, &number) || number > 100)
        return false;
    if (point != NULL && (digits == 0 || digits > 2)) return false;
    *hundredths = number * 100;
    for (size_t i = 0; i < digits; i++) {
        char digit = point[1 + i];
        if (digit < '0' || digit > '9') return false;
        *hundredths += (uint64_t)(digit - '0') * (i == 0 ? 10 : 1);
    }
    return *hundredths > 0 && *hundredths <= 10000;
}

bool run_limit_parse(const char *text, uint64_t total, uint64_t *bytes,
                     struct complaint *complaint)
{
    size_t length = strlen(text);
    uint64_t hundredths;
    if (length > 0 && text[length - 1] == '%') {
        if (!parse_percentage(text, length - 1, &hundredths)) {
            complain(complaint, "--local: '%.40s' is not a percentage, such as 25%%", text);
            return false;
        }
        *bytes = total / 10000 * hundredths;
    } else if (!number_size(slice_text(text), bytes)) {
        complain(complaint, "--local: '%.40s' is neither a size, such as 512MiB, nor a percentage, "
                 "such as 25%%", text);
        return false;
    }
    *bytes -= *bytes % 4096;
    if (*bytes >= (uint64_t)RUN_LOCAL_MIB_MIN << 20) return true;
    complain(complaint, "--local: %s is less than the %d MiB that it takes to move pages at all",
             human_size(*bytes).text, RUN_LOCAL_MIB_MIN);
    return false;
}
