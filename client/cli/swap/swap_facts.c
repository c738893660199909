/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/swap/swap_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

/* Of the kernel's union swap_header: a magic at the end of the first page, a label behind the size,
 * the count of bad pages and the uuid. */
enum { MAGIC_BYTES = 10, LABEL_OFFSET = 1052 };
#define MAGIC "SWAPSPACE2"
/* Of md's superblock 1.2, little-endian. */
enum { ARRAY_OFFSET = 4096, ARRAY_NAME_OFFSET = ARRAY_OFFSET + 32, ARRAY_NAME_BYTES = 32 };
static const uint8_t array_magic[] = {0xfc, 0x4e, 0x2b, 0xa9};

bool swap_facts_next(const char *proc_swaps, size_t *at, struct swap_row *row)
{
    for (const char *line = proc_swaps + *at; *line != '\0';) {
        const char *end = line + strcspn(line, "\n");
        *at = (size_t)(end - proc_swaps) + (*end == '\n');
        *row = (struct swap_row){.size_kib = 0};
        /* The first line's words are no numbers. */
        if (sscanf(line, "%63s %*s %" SCNu64 " %" SCNu64 " %" SCNd32, row->device, &row->size_kib,
                   &row->used_kib, &row->priority) == 4)
            return true;
        line = proc_swaps + *at;
    }
    return false;
}

bool swap_facts_find(const char *proc_swaps, const char *device, struct swap_row *row)
{
    size_t at = 0;
    while (swap_facts_next(proc_swaps, &at, row))
        if (strcmp(row->device, device) == 0) return true;
    return false;
}

uint64_t swap_facts_meminfo_kib(const char *meminfo, const char *name)
{
    size_t bytes = strlen(name);
    uint64_t kib = 0;
    for (const char *line = meminfo; line != NULL && *line != '\0';) {
        if (strncmp(line, name, bytes) == 0 && line[bytes] == ':' &&
            sscanf(line + bytes + 1, "%" SCNu64, &kib) == 1)
            return kib;
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
    return 0;
}

bool swap_facts_number(const char *text, uint64_t *number)
{
    return number_wire_u64(slice_of(text, strcspn(text, "\n")), number);
}

static bool is_swap(const uint8_t *bytes, size_t size_bytes)
{
    static const size_t page_bytes[] = {4096, 16384, 65536};
    for (size_t i = 0; i < FP_COUNT_OF(page_bytes); i++) {
        if (page_bytes[i] <= size_bytes &&
            memcmp(bytes + page_bytes[i] - MAGIC_BYTES, MAGIC, MAGIC_BYTES) == 0)
            return true;
    }
    return false;
}

static bool is_array(const uint8_t *bytes, size_t size_bytes)
{
    return size_bytes >= ARRAY_NAME_OFFSET + ARRAY_NAME_BYTES &&
           memcmp(bytes + ARRAY_OFFSET, array_magic, sizeof array_magic) == 0;
}

/* "HOST:NAME", or the name alone. */
static void array_label(const uint8_t *bytes, char label[SWAP_LABEL_BYTES])
{
    char name[ARRAY_NAME_BYTES + 1];
    memcpy(name, bytes + ARRAY_NAME_OFFSET, ARRAY_NAME_BYTES);
    name[ARRAY_NAME_BYTES] = '\0';
    const char *colon = strchr(name, ':');
    snprintf(label, SWAP_LABEL_BYTES, "%.*s", SWAP_LABEL_BYTES - 1,
             colon != NULL ? colon + 1 : name);
}

enum swap_content swap_facts_content(const uint8_t *bytes, size_t size_bytes,
                                     char label[SWAP_LABEL_BYTES])
{
    label[0] = '\0';
    if (is_swap(bytes, size_bytes)) {
        memcpy(label, bytes + LABEL_OFFSET, SWAP_LABEL_BYTES - 1);
        label[SWAP_LABEL_BYTES - 1] = '\0';
        return SWAP_CONTENT_SWAP;
    }
    if (is_array(bytes, size_bytes)) {
        array_label(bytes, label);
        return SWAP_CONTENT_ARRAY;
    }
    for (size_t i = 0; i < size_bytes; i++)
        if (bytes[i] != 0) return SWAP_CONTENT_OTHER;
    return SWAP_CONTENT_ZEROS;
}

void swap_facts_reason(const char *said, char reason[SWAP_LINE_BYTES])
{
    static const char mark[] = "Error: ", quote[] = "Server said: ";
    bool marked = false;
    reason[0] = '\0';
    for (const char *line = said; *line != '\0';) {
        size_t bytes = strcspn(line, "\r\n");
        bool has_mark = strncmp(line, mark, strlen(mark)) == 0;
        if (bytes > 0 && (has_mark || !marked)) {
            const char *from = line + (has_mark ? strlen(mark) : 0);
            const char *quoted = strstr(from, quote);
            if (quoted != NULL && quoted < line + bytes) from = quoted + strlen(quote);
            snprintf(reason, SWAP_LINE_BYTES, "%.*s", (int)(line + bytes - from), from);
            marked |= has_mark;
        }
        line += bytes;
        line += strspn(line, "\r\n");
    }
    for (char *c = reason; *c != '\0'; c++)
        if (*c < ' ' || *c > '~') *c = '?';
}

/* The line ends in " EXPORT@BOOT.GENERATION": where that begins, or NULL. */
static const char *identity_in(const char *line, const char *end, const char *export)
{
    size_t bytes = strlen(export);
    const char *at = memrchr(line, '@', (size_t)(end - line));
    if (at == NULL || (size_t)(at - line) <= bytes || at + 1 == end) return NULL;
    const char *name = at - bytes;
    bool good = name[-1] == ' ' && memcmp(name, export, bytes) == 0 &&
                strspn(at + 1, "0123456789abcdef.") == (size_t)(end - at - 1);
    return good ? name : NULL;
}

bool swap_facts_identity(const char *list, const char *export, char *identity,
                         size_t identity_bytes)
{
    size_t bytes = strlen(export);
    for (const char *line = list; *line != '\0';) {
        const char *end = line + strcspn(line, "\r\n");
        bool ours = strncmp(line, export, bytes) == 0 && line[bytes] == ':';
        const char *name = ours ? identity_in(line, end, export) : NULL;
        if (name != NULL && (size_t)(end - name) < identity_bytes) {
            snprintf(identity, identity_bytes, "%.*s", (int)(end - name), name);
            return true;
        }
        line = end + strspn(end, "\r\n");
    }
    return false;
}
