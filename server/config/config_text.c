/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config_text.h"

#include <stdio.h>

#include "base/arith.h"

/* Each row: a first byte of UTF-8, how many follow, and the lowest character so written (a lower
 * one is an overlong form, which hides characters from whoever looks at bytes). */
static const struct {
    uint8_t mask, lead;
    size_t size_bytes;
    uint32_t least;
} forms[] = {
    {0x80, 0x00, 1, 0},
    {0xe0, 0xc0, 2, 0x80},
    {0xf0, 0xe0, 3, 0x800},
    {0xf8, 0xf0, 4, 0x10000},
};

size_t config_text_decode(struct slice text, uint32_t *code)
{
    if (text.size_bytes == 0) return 0;
    size_t i = 0;
    while (i < FP_COUNT_OF(forms) && (text.bytes[0] & forms[i].mask) != forms[i].lead) i++;
    if (i == FP_COUNT_OF(forms) || text.size_bytes < forms[i].size_bytes) return 0;
    uint32_t sum = text.bytes[0] & (uint32_t)(uint8_t)~forms[i].mask;
    for (size_t k = 1; k < forms[i].size_bytes; k++) {
        if ((text.bytes[k] & 0xc0) != 0x80) return 0;
        sum = sum << 6 | (text.bytes[k] & 0x3f);
    }
    if (sum < forms[i].least || sum > 0x10ffff || (sum >= 0xd800 && sum <= 0xdfff)) return 0;
    *code = sum;
    return forms[i].size_bytes;
}

bool config_text_is_control(uint32_t code)
{
    if (code == '\t' || code == '\n') return false;
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xfeff || code == 0xfffe || code == 0xffff;
}

bool config_text_good(struct slice text, struct config_text_fault *fault)
{
    *fault = (struct config_text_fault){.line = 1, .column = 1};
    for (size_t at = 0; at < text.size_bytes;) {
        struct slice rest = slice_of(text.bytes + at, text.size_bytes - at);
        size_t size = config_text_decode(rest, &fault->code);
        fault->is_utf8 = size > 0;
        bool ends_line = fault->code == '\r' && rest.size_bytes > 1 && rest.bytes[1] == '\n';
        if (size == 0 || (config_text_is_control(fault->code) && !ends_line)) return false;
        fault->column++;
        if (fault->code == '\n') {
            fault->line++;
            fault->column = 1;
        }
        at += size;
    }
    return true;
}

const char *config_text_quote(struct slice text, char quoted[CONFIG_QUOTE_BYTES])
{
    const size_t room = CONFIG_QUOTE_BYTES - sizeof "'...'";
    size_t used = 0;
    size_t at = 0;
    quoted[used++] = '\'';
    while (at < text.size_bytes) {
        uint32_t code;
        size_t size = config_text_decode(slice_of(text.bytes + at, text.size_bytes - at), &code);
        bool good = size > 0 && code != '\t' && code != '\n' && !config_text_is_control(code);
        if (used + (good ? size : 1) > room) break;
        if (good)
            memcpy(quoted + used, text.bytes + at, size);
        else
            quoted[used] = '?';
        used += good ? size : 1;
        at += size > 0 ? size : 1;
    }
    snprintf(quoted + used, CONFIG_QUOTE_BYTES - used, "%s'", at < text.size_bytes ? "..." : "");
    return quoted;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* Optimal string alignment: three rows of the table are enough. Both are short. */
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t rows[3][CONFIG_WORD_BYTES_MAX + 1];
    for (size_t k = 0; k <= b.size_bytes; k++) rows[0][k] = k;
    for (size_t i = 1; i <= a.size_bytes; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        row[0] = i;
        for (size_t k = 1; k <= b.size_bytes; k++) {
            bool same = lower(a.bytes[i - 1]) == lower(b.bytes[k - 1]);
            size_t best = min_u64(above[k] + 1, row[k - 1] + 1);
            best = min_u64(best, above[k - 1] + !same);
            if (i > 1 && k > 1 && lower(a.bytes[i - 1]) == lower(b.bytes[k - 2]) &&
                lower(a.bytes[i - 2]) == lower(b.bytes[k - 1]))
                best = min_u64(best, rows[(i + 1) % 3][k - 2] + 1);
            row[k] = best;
        }
    }
    return rows[a.size_bytes % 3][b.size_bytes];
}

struct config_guess config_guess_of(struct slice word)
{
    return (struct config_guess){.word = word};
}

/* A third of the letters may be wrong, and always one. */
void config_guess_offer(struct config_guess *guess, const char *candidate)
{
    struct slice other = slice_text(candidate);
    if (guess->word.size_bytes == 0 || guess->word.size_bytes > CONFIG_WORD_BYTES_MAX ||
        other.size_bytes > CONFIG_WORD_BYTES_MAX)
        return;
    size_t distance = edit_distance(guess->word, other);
    size_t bound = max_u64(1, min_u64(guess->word.size_bytes, other.size_bytes) / 3);
    if (distance > bound || (guess->best != NULL && distance >= guess->distance)) return;
    guess->best = candidate;
    guess->distance = distance;
}
