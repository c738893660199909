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

bool key_breaks_lines(struct slice key)
{
    for (size_t i = 0; i < key.size_bytes; i++)
        if (key.bytes[i] <= ' ' || key.bytes[i] == 0x7f) return true;
    return false;
}
