/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/load_wire.h"

#include <string.h>

enum { HEAD_BYTES_MAX = 64, LINE_BYTES_MAX = 256 };

/* By hand, not by snprintf: the client shares its processors with the server it measures. */
static size_t put(uint8_t *out, const char *text)
{
    size_t size = strlen(text);
    memcpy(out, text, size);
    return size;
}

static size_t put_number(uint8_t *out, uint32_t number)
{
    uint8_t digits[10];
    size_t count = 0;
    do {
        digits[count++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    for (size_t i = 0; i < count; i++) out[i] = digits[count - 1 - i];
    return count;
}

size_t wire_get_begin(uint8_t *out)
{
    return put(out, "get");
}

size_t wire_get_key(uint8_t *out, uint32_t key)
{
    size_t size = put(out, " page:");
    return size + put_number(out + size, key);
}

size_t wire_get_end(uint8_t *out)
{
    return put(out, "\r\n");
}

size_t wire_get(uint8_t *out, uint32_t key)
{
    size_t size = wire_get_begin(out);
    size += wire_get_key(out + size, key);
    return size + wire_get_end(out + size);
}

size_t wire_set(uint8_t *out, uint32_t key, struct slice value)
{
    size_t size = put(out, "set page:");
    size += put_number(out + size, key);
    size += put(out + size, " 0 0 ");
    size += put_number(out + size, (uint32_t)value.size_bytes);
    size += put(out + size, "\r\n");
    memcpy(out + size, value.bytes, value.size_bytes);
    size += value.size_bytes;
    return size + put(out + size, "\r\n");
}

static bool begins(struct slice bytes, const char *text)
{
    size_t size = strlen(text);
    return bytes.size_bytes >= size && memcmp(bytes.bytes, text, size) == 0;
}

/* What is neither value nor praise: an error line, its end still to come, or nonsense. */
static struct wire_reply read_error(struct slice bytes)
{
    size_t seen = bytes.size_bytes < LINE_BYTES_MAX ? bytes.size_bytes : LINE_BYTES_MAX;
    const uint8_t *end = memchr(bytes.bytes, '\n', seen);
    if (end == NULL)
        return (struct wire_reply){.kind = seen < LINE_BYTES_MAX ? WIRE_PARTIAL : WIRE_BROKEN};
    size_t size = (size_t)(end - bytes.bytes) + 1;
    if (begins(bytes, "SERVER_ERROR ") || begins(bytes, "ERROR") || begins(bytes, "CLIENT_ERROR "))
        return (struct wire_reply){.kind = WIRE_REFUSED, .size_bytes = size};
    return (struct wire_reply){.kind = WIRE_BROKEN};
}

struct wire_reply wire_read_get(struct slice bytes, const struct wire_wanted *wanted)
{
    const char *tail = wanted->is_last ? "\r\nEND\r\n" : "\r\n";
    uint8_t head[HEAD_BYTES_MAX];
    if (begins(bytes, "END\r\n")) return (struct wire_reply){.kind = WIRE_MISS, .size_bytes = 5};
    size_t head_size = put(head, "VALUE page:");
    head_size += put_number(head + head_size, wanted->key);
    head_size += put(head + head_size, " 0 ");
    head_size += put_number(head + head_size, wanted->value_bytes);
    head_size += put(head + head_size, "\r\n");
    size_t seen = bytes.size_bytes < head_size ? bytes.size_bytes : head_size;
    if (memcmp(bytes.bytes, head, seen) != 0) return read_error(bytes);
    size_t whole = head_size + wanted->value_bytes + strlen(tail);
    if (bytes.size_bytes < whole) return (struct wire_reply){.kind = WIRE_PARTIAL};
    struct slice value = slice_of(bytes.bytes + head_size, wanted->value_bytes);
    if (memcmp(value.bytes + value.size_bytes, tail, strlen(tail)) != 0)
        return (struct wire_reply){.kind = WIRE_BROKEN};
    return (struct wire_reply){.kind = WIRE_VALUE, .size_bytes = whole, .value = value};
}

struct wire_reply wire_read_set(struct slice bytes)
{
    static const char STORED[] = "STORED\r\n";
    if (begins(bytes, STORED))
        return (struct wire_reply){.kind = WIRE_STORED, .size_bytes = strlen(STORED)};
    return read_error(bytes);
}
