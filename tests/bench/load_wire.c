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

size_t wire_get(uint8_t *out, uint32_t key)
{
    size_t size = put(out, "get page:");
    size += put_number(out + size, key);
    return size + put(out + size, "\r\n");
}

size_t wire_set(uint8_t *out, uint32_t key, const uint8_t *page)
{
    size_t size = put(out, "set page:");
    size += put_number(out + size, key);
    size += put(out + size, " 0 0 4096\r\n");
    memcpy(out + size, page, PAGESET_PAGE_BYTES);
    size += PAGESET_PAGE_BYTES;
    return size + put(out + size, "\r\n");
}

static bool begins(const uint8_t *bytes, size_t size_bytes, const char *text)
{
    size_t size = strlen(text);
    return size_bytes >= size && memcmp(bytes, text, size) == 0;
}

/* What is neither value nor praise: an error line, its end still to come, or nonsense. */
static struct wire_reply read_error(const uint8_t *bytes, size_t size_bytes)
{
    size_t seen = size_bytes < LINE_BYTES_MAX ? size_bytes : LINE_BYTES_MAX;
    const uint8_t *end = memchr(bytes, '\n', seen);
    if (end == NULL)
        return (struct wire_reply){.kind = seen < LINE_BYTES_MAX ? WIRE_PARTIAL : WIRE_BROKEN};
    if (begins(bytes, size_bytes, "SERVER_ERROR ") || begins(bytes, size_bytes, "ERROR") ||
        begins(bytes, size_bytes, "CLIENT_ERROR "))
        return (struct wire_reply){.kind = WIRE_REFUSED, .size_bytes = (size_t)(end - bytes) + 1};
    return (struct wire_reply){.kind = WIRE_BROKEN};
}

struct wire_reply wire_read_get(const uint8_t *bytes, size_t size_bytes, uint32_t key)
{
    static const char TAIL[] = "\r\nEND\r\n";
    uint8_t head[HEAD_BYTES_MAX];
    if (begins(bytes, size_bytes, "END\r\n"))
        return (struct wire_reply){.kind = WIRE_MISS, .size_bytes = 5};
    size_t head_size = put(head, "VALUE page:");
    head_size += put_number(head + head_size, key);
    head_size += put(head + head_size, " 0 4096\r\n");
    size_t seen = size_bytes < head_size ? size_bytes : head_size;
    if (memcmp(bytes, head, seen) != 0) return read_error(bytes, size_bytes);
    size_t whole = head_size + PAGESET_PAGE_BYTES + strlen(TAIL);
    if (size_bytes < whole) return (struct wire_reply){.kind = WIRE_PARTIAL};
    const uint8_t *page = bytes + head_size;
    if (memcmp(page + PAGESET_PAGE_BYTES, TAIL, strlen(TAIL)) != 0)
        return (struct wire_reply){.kind = WIRE_BROKEN};
    return (struct wire_reply){.kind = WIRE_VALUE, .size_bytes = whole, .page = page};
}

struct wire_reply wire_read_set(const uint8_t *bytes, size_t size_bytes)
{
    static const char STORED[] = "STORED\r\n";
    if (begins(bytes, size_bytes, STORED))
        return (struct wire_reply){.kind = WIRE_STORED, .size_bytes = strlen(STORED)};
    return read_error(bytes, size_bytes);
}
