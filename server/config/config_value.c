/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config_value.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/number.h"
#include "protocol/frame.h"
#include "server/config/config_text.h"

/* What a value that is not one should have been. */
static const struct {
    enum config_kind kind;
    const char *noun, *examples;
} nouns[] = {
    {KIND_COUNT, "whole number", "0, 4, 128"},
    {KIND_INTEGER, "whole number", "-5, 0, 9"},
    {KIND_SIZE, "size", "512KiB, 64MiB, 4GiB"},
    {KIND_DURATION, "duration", "250ms, 30s, 1h"},
    {KIND_RATIO, "ratio", "1.0, 2.5, 10.0"},
};

/* "2.5" as hundredths: digits, and one or two behind a point. */
static bool read_ratio(struct slice text, uint64_t *hundredths)
{
    const uint8_t *point = text.size_bytes > 0 ? memchr(text.bytes, '.', text.size_bytes) : NULL;
    uint64_t whole, part = 0, places = 0;
    if (point != NULL) {
        struct slice behind = slice_of(point + 1, text.size_bytes - 1 -
                                                      (size_t)(point - text.bytes));
        places = behind.size_bytes;
        if (places < 1 || places > 2 || !number_wire_u64(behind, &part)) return false;
        text.size_bytes = (size_t)(point - text.bytes);
    }
    if (!number_u64(text, &whole) || whole > UINT32_MAX) return false;
    *hundredths = whole * 100 + (places == 1 ? part * 10 : part);
    return true;
}

/* A number of any kind, as one that can be compared. */
static bool read_number(enum config_kind kind, struct slice text, int64_t *number)
{
    uint64_t magnitude;
    bool minus = kind == KIND_INTEGER && text.size_bytes > 1 && text.bytes[0] == '-';
    if (minus) text = slice_of(text.bytes + 1, text.size_bytes - 1);
    bool good = kind == KIND_SIZE       ? number_size(text, &magnitude)
                : kind == KIND_DURATION ? number_duration(text, &magnitude)
                : kind == KIND_RATIO    ? read_ratio(text, &magnitude)
                                        : number_u64(text, &magnitude);
    if (!good || magnitude > INT64_MAX) return false;
    *number = minus ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

static void number_text(enum config_kind kind, int64_t number, char text[NUMBER_TEXT_BYTES])
{
    if (kind == KIND_SIZE)
        number_size_text((uint64_t)number, text);
    else if (kind == KIND_DURATION)
        number_duration_text((uint64_t)number, text);
    else if (kind == KIND_RATIO)
        snprintf(text, NUMBER_TEXT_BYTES, number % 10 == 0 ? "%" PRId64 ".%" PRId64
                                                           : "%" PRId64 ".%02" PRId64,
                 number / 100, number % 10 == 0 ? number % 100 / 10 : number % 100);
    else
        snprintf(text, NUMBER_TEXT_BYTES, "%" PRId64, number);
}

/* Is it well formed but for being too large for any integer? With 1 for its digits it reads. */
static bool only_too_large(enum config_kind kind, struct slice text)
{
    size_t start = kind == KIND_INTEGER && text.size_bytes > 0 && text.bytes[0] == '-' ? 1 : 0;
    size_t end = start;
    while (end < text.size_bytes && text.bytes[end] >= '0' && text.bytes[end] <= '9') end++;
    if (end == start || text.bytes[start] == '0') return false;
    char one[8] = "1";
    size_t unit_bytes = text.size_bytes - end;
    if (unit_bytes >= sizeof one - 1) return false;
    memcpy(one + 1, text.bytes + end, unit_bytes);
    int64_t number;
    return read_number(kind, slice_of(one, unit_bytes + 1), &number);
}

static bool refuse_kind(const struct config_key *key, const char *quoted, char *why)
{
    size_t i = 0;
    while (i < FP_COUNT_OF(nouns) && nouns[i].kind != key->kind) i++;
    fp_assert(i < FP_COUNT_OF(nouns));
    snprintf(why, CONFIG_WHY_BYTES, "%s is not a %s (examples: %s)", quoted, nouns[i].noun,
             nouns[i].examples);
    return false;
}

static bool refuse_range(const struct config_key *key, const char *quoted, char *why)
{
    char least[NUMBER_TEXT_BYTES];
    char most[NUMBER_TEXT_BYTES];
    number_text(key->kind, key->least, least);
    number_text(key->kind, key->most, most);
    snprintf(why, CONFIG_WHY_BYTES, "%s is not within %s to %s", quoted, least, most);
    return false;
}

/* "lz4, zstd or none" */
static void list_choices(const struct config_key *key, char *text)
{
    size_t used = 0;
    for (size_t i = 0; key->choices[i] != NULL && used < CONFIG_WHY_BYTES; i++) {
        const char *between = i == 0 ? "" : key->choices[i + 1] != NULL ? ", " : " or ";
        int put = snprintf(text + used, CONFIG_WHY_BYTES - used, "%s%s", between, key->choices[i]);
        used += put > 0 ? (size_t)put : 0;
    }
}

static bool refuse_choice(const struct config_key *key, struct slice text, char *why)
{
    char quoted[CONFIG_QUOTE_BYTES];
    char choices[CONFIG_WHY_BYTES];
    struct config_guess guess = config_guess_of(text);
    list_choices(key, choices);
    for (size_t i = 0; key->choices[i] != NULL && key->kind == KIND_CHOICE; i++)
        config_guess_offer(&guess, key->choices[i]);
    config_text_quote(text, quoted);
    snprintf(why, CONFIG_WHY_BYTES, "%s is not %.200s%s%s%s", quoted, choices,
             guess.best != NULL ? "; did you mean '" : "", guess.best != NULL ? guess.best : "",
             guess.best != NULL ? "'?" : "");
    return false;
}

static bool is_choice(const struct config_key *key, int64_t number)
{
    for (size_t i = 0; key->choices[i] != NULL; i++) {
        int64_t choice;
        fp_assert(read_number(key->kind, slice_text(key->choices[i]), &choice));
        if (choice == number) return true;
    }
    return false;
}

static bool read_scalar(const struct config_key *key, struct slice text, void *value, char *why)
{
    char quoted[CONFIG_QUOTE_BYTES];
    config_text_quote(text, quoted);
    int64_t number;
    if (!read_number(key->kind, text, &number)) {
        if (key->choices == NULL && only_too_large(key->kind, text))
            return refuse_range(key, quoted, why);
        return refuse_kind(key, quoted, why);
    }
    if (key->choices != NULL && !is_choice(key, number)) return refuse_choice(key, text, why);
    if (key->choices == NULL && (number < key->least || number > key->most))
        return refuse_range(key, quoted, why);
    if (key->kind == KIND_COUNT || key->kind == KIND_RATIO)
        *(uint32_t *)value = (uint32_t)number;
    else if (key->kind == KIND_INTEGER)
        *(int32_t *)value = (int32_t)number;
    else
        *(uint64_t *)value = (uint64_t)number;
    return true;
}

/* YAML's own words for a switch. */
static struct slice switch_of(const struct config_key *key, struct slice text)
{
    if (strcmp(key->choices[0], "off") != 0 || strcmp(key->choices[1], "on") != 0) return text;
    if (slice_is(text, "true")) return slice_text("on");
    return slice_is(text, "false") ? slice_text("off") : text;
}

static bool read_choice(const struct config_key *key, struct slice text, void *value, char *why)
{
    text = switch_of(key, text);
    for (unsigned i = 0; key->choices[i] != NULL; i++) {
        if (!slice_is(text, key->choices[i])) continue;
        memcpy(value, &i, sizeof i);
        return true;
    }
    return refuse_choice(key, text, why);
}

/* "swap" of "swap/" and a star; the text itself where there is none. */
static struct slice without_star(struct slice text)
{
    size_t size = text.size_bytes;
    bool star = size > 2 && text.bytes[size - 1] == '*' && text.bytes[size - 2] == '/';
    return slice_of(text.bytes, star ? size - 2 : size);
}

static bool read_name(const struct config_key *key, struct slice text,
                      char name[AREA_NAME_BYTES_MAX + 1], char *why)
{
    struct slice stem = key->kind == KIND_PATTERN ? without_star(text) : text;
    bool none = text.size_bytes == 0 && key->least == 0;
    if (none || (frame_area_name_good(stem) && text.size_bytes <= AREA_NAME_BYTES_MAX)) {
        if (!none) memcpy(name, text.bytes, text.size_bytes);
        name[text.size_bytes] = '\0';
        return true;
    }
    char quoted[CONFIG_QUOTE_BYTES];
    snprintf(why, CONFIG_WHY_BYTES,
             "%s is not a name: 1 to %d letters, digits and . _ - /, the first a letter or digit%s",
             config_text_quote(text, quoted), AREA_NAME_BYTES_MAX,
             key->kind == KIND_PATTERN ? "; /* at the end makes it a template" : "");
    return false;
}

static bool read_path(struct slice text, char path[CONFIG_PATH_BYTES], char *why)
{
    char quoted[CONFIG_QUOTE_BYTES];
    bool zero = text.size_bytes > 0 && memchr(text.bytes, '\0', text.size_bytes) != NULL;
    bool absolute = text.size_bytes == 0 || text.bytes[0] == '/';
    if (absolute && !zero && text.size_bytes < CONFIG_PATH_BYTES) {
        if (text.size_bytes > 0) memcpy(path, text.bytes, text.size_bytes);
        path[text.size_bytes] = '\0';
        return true;
    }
    config_text_quote(text, quoted);
    if (absolute && !zero)
        snprintf(why, CONFIG_WHY_BYTES, "%s is longer than %d bytes", quoted,
                 CONFIG_PATH_BYTES - 1);
    else
        snprintf(why, CONFIG_WHY_BYTES, "%s is not a path from / on", quoted);
    return false;
}

static bool read_text(const struct config_key *key, struct slice text, char *out, char *why)
{
    if (text.size_bytes > (size_t)key->most) {
        snprintf(why, CONFIG_WHY_BYTES, "longer than %" PRId64 " bytes", key->most);
        return false;
    }
    for (size_t i = 0; i < text.size_bytes; i++) {
        if (text.bytes[i] >= ' ') continue;
        snprintf(why, CONFIG_WHY_BYTES, "more than one line");
        return false;
    }
    if (text.size_bytes > 0) memcpy(out, text.bytes, text.size_bytes);
    out[text.size_bytes] = '\0';
    return true;
}

static bool may_be_empty(const struct config_key *key)
{
    return key->kind == KIND_PATH || key->kind == KIND_TEXT ||
           (key->kind == KIND_NAME && key->least == 0);
}

bool config_value_read(const struct config_key *key, struct slice text, void *value,
                       char why[CONFIG_WHY_BYTES])
{
    if (text.size_bytes == 0 && !may_be_empty(key)) {
        snprintf(why, CONFIG_WHY_BYTES, "no value is given");
        return false;
    }
    switch (key->kind) {
    case KIND_COUNT:
    case KIND_INTEGER:
    case KIND_SIZE:
    case KIND_DURATION:
    case KIND_RATIO:
        return read_scalar(key, text, value, why);
    case KIND_CHOICE:
        return read_choice(key, text, value, why);
    case KIND_ADDRESS:
        return config_address_read(text, value, why);
    case KIND_NAME:
    case KIND_PATTERN:
        return read_name(key, text, value, why);
    case KIND_PATH:
        return read_path(text, value, why);
    case KIND_TEXT:
        return read_text(key, text, value, why);
    }
    check_failed(__FILE__, __LINE__, "a kind of value that has no reader");
}

void config_value_text(const struct config_key *key, const void *value,
                       char text[CONFIG_VALUE_BYTES])
{
    unsigned choice;
    switch (key->kind) {
    case KIND_COUNT:
    case KIND_RATIO:
        number_text(key->kind, *(const uint32_t *)value, text);
        break;
    case KIND_INTEGER:
        number_text(key->kind, *(const int32_t *)value, text);
        break;
    case KIND_SIZE:
    case KIND_DURATION:
        number_text(key->kind, (int64_t)*(const uint64_t *)value, text);
        break;
    case KIND_CHOICE:
        memcpy(&choice, value, sizeof choice);
        snprintf(text, CONFIG_VALUE_BYTES, "%s", key->choices[choice]);
        break;
    case KIND_ADDRESS:
        config_address_text(value, text);
        break;
    case KIND_NAME:
    case KIND_PATH:
    case KIND_PATTERN:
    case KIND_TEXT:
        snprintf(text, CONFIG_VALUE_BYTES, "%s", (const char *)value);
        break;
    }
}

void config_value_takes(const struct config_key *key, char text[CONFIG_WHY_BYTES])
{
    char least[NUMBER_TEXT_BYTES];
    char most[NUMBER_TEXT_BYTES];
    if (key->choices != NULL) {
        list_choices(key, text);
    } else if (key->kind == KIND_ADDRESS) {
        snprintf(text, CONFIG_WHY_BYTES,
                 "IPV4:PORT, [IPV6]:PORT, *:PORT, localhost:PORT, unix:/PATH or systemd:NAME");
    } else if (key->kind == KIND_PATH) {
        snprintf(text, CONFIG_WHY_BYTES, "a path from / on, \"\" for none");
    } else if (key->kind == KIND_NAME || key->kind == KIND_PATTERN) {
        snprintf(text, CONFIG_WHY_BYTES, "%d to %d letters, digits and . _ - /%s",
                 key->least == 0 ? 0 : 1, AREA_NAME_BYTES_MAX,
                 key->kind == KIND_PATTERN ? ", and /* at the end" : "");
    } else if (key->kind == KIND_TEXT) {
        snprintf(text, CONFIG_WHY_BYTES, "up to %" PRId64 " bytes of one line", key->most);
    } else {
        number_text(key->kind, key->least, least);
        number_text(key->kind, key->most, most);
        snprintf(text, CONFIG_WHY_BYTES, "%s to %s", least, most);
    }
}
