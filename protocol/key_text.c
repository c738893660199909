/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/key_text.h"

#include "base/check.h"

static bool is_plain(uint8_t byte)
{
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    bool digit = byte >= '0' && byte <= '9';
    return letter || digit || byte == '-' || byte == '_' || byte == '.' || byte == '~';
}

size_t key_uri(struct slice key, char text[KEY_URI_BYTES_MAX])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    fp_assert(key.size_bytes <= KEY_BYTES_MAX);
    for (size_t i = 0; i < key.size_bytes; i++) {
        uint8_t byte = key.bytes[i];
        if (is_plain(byte)) {
            text[at++] = (char)byte;
            continue;
        }
        text[at++] = '%';
        text[at++] = digits[byte >> 4];
        text[at++] = digits[byte & 15];
    }
    return at;
}

size_t key_base64(struct slice key, char text[KEY_BASE64_BYTES_MAX])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = 0;
    fp_assert(key.size_bytes <= KEY_BYTES_MAX);
    for (size_t i = 0; i < key.size_bytes; i += 3) {
        size_t left = key.size_bytes - i;
        uint32_t bits = (uint32_t)key.bytes[i] << 16;
        if (left > 1) bits |= (uint32_t)key.bytes[i + 1] << 8;
        if (left > 2) bits |= key.bytes[i + 2];
        text[at++] = digits[bits >> 18];
        text[at++] = digits[bits >> 12 & 63];
        text[at++] = left > 1 ? digits[bits >> 6 & 63] : '=';
        text[at++] = left > 2 ? digits[bits & 63] : '=';
    }
    return at;
}

enum { NO_DIGIT = 64 };

static uint32_t digit_of(uint8_t letter)
{
    if (letter >= 'A' && letter <= 'Z') return letter - (uint32_t)'A';
    if (letter >= 'a' && letter <= 'z') return letter - (uint32_t)'a' + 26;
    if (letter >= '0' && letter <= '9') return letter - (uint32_t)'0' + 52;
    if (letter == '+') return 62;
    return letter == '/' ? 63 : NO_DIGIT;
}

static size_t padding_of(struct slice text)
{
    const uint8_t *end = text.bytes + text.size_bytes;
    if (end[-1] != '=') return 0;
    return end[-2] == '=' ? 2 : 1;
}

bool key_from_base64(struct slice text, uint8_t *key, size_t *size_bytes)
{
    if (text.size_bytes == 0 || text.size_bytes % 4 != 0) return false;
    size_t padding = padding_of(text), at = 0;
    *size_bytes = text.size_bytes / 4 * 3 - padding;
    for (size_t i = 0; i < text.size_bytes; i += 4) {
        uint32_t bits = 0;
        for (size_t k = i; k < i + 4; k++) {
            uint32_t digit = k < text.size_bytes - padding ? digit_of(text.bytes[k]) : 0;
            if (digit == NO_DIGIT) return false;
            bits = bits << 6 | digit;
        }
        for (int shift = 16; shift >= 0 && at < *size_bytes; shift -= 8, at++)
            if (key != NULL) key[at] = (uint8_t)(bits >> shift);
    }
    return true;
}

bool key_breaks_lines(struct slice key)
{
    for (size_t i = 0; i < key.size_bytes; i++)
        if (key.bytes[i] <= ' ' || key.bytes[i] == 0x7f) return true;
    return false;
}

struct slice key_of_line(struct slice key, char room[KEY_URI_BYTES_MAX])
{
    return key_breaks_lines(key) ? slice_of(room, key_uri(key, room)) : key;
}
