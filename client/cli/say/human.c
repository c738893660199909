/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/human.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/number.h"

struct human human_count(uint64_t number)
{
    char digits[HUMAN_BYTES];
    struct human human = {""};
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    size_t count = strlen(digits), at = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) human.text[at++] = ',';
        human.text[at++] = digits[i];
    }
    return human;
}

struct human human_time(uint64_t nanoseconds)
{
    static const struct {
        uint64_t below;
        double unit;
        const char *name;
    } rows[] = {
        {1000, 1, "ns"},
        {1000000, 1e3, "us"},
        {1000000000, 1e6, "ms"},
        {UINT64_MAX, 1e9, "s"},
    };
    unsigned i = 0;
    while (nanoseconds >= rows[i].below && i < 3) i++;
    double value = (double)nanoseconds / rows[i].unit;
    int digits = i == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    struct human human;
    snprintf(human.text, sizeof human.text, "%.*f %s", digits, value, rows[i].name);
    return human;
}

struct human human_size(uint64_t bytes)
{
    struct human human;
    _Static_assert((int)HUMAN_BYTES >= (int)NUMBER_TEXT_BYTES, "number_size_short writes so much");
    number_size_short(bytes, human.text);
    return human;
}

struct human human_rate(double number)
{
    if (number >= 100) return human_count((uint64_t)(number + 0.5));
    struct human human;
    snprintf(human.text, sizeof human.text, "%.1f", number);
    return human;
}

struct human human_share(uint64_t of, uint64_t all)
{
    struct human human;
    double share = all == 0 ? 0.0 : 100.0 * (double)of / (double)all;
    bool little = of > 0 && share < 0.05;
    snprintf(human.text, sizeof human.text, little ? "< 0.1 %%" : "%.1f %%", share);
    return human;
}

void human_print(FILE *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        putc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
}
