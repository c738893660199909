/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A line is "FROM-TO PERMISSIONS OFFSET DEVICE INODE NAME". The name may hold anything but a
 * line end, and is what a program likes to call a file: only its beginning is asked for. */
#include "client/uffd/maps.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 16384, PAGE_MASK = 4095 };

struct cursor {
    const char *at, *end;
};

/* Digits up to `stop`, which is passed over. */
static bool take_number(struct cursor *cursor, unsigned base, char stop, uint64_t *number)
{
    const char *begin = cursor->at;
    *number = 0;
    for (; cursor->at < cursor->end && *cursor->at != stop; cursor->at++) {
        char c = *cursor->at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : base;
        if (digit >= base || *number > (UINT64_MAX - digit) / base) return false;
        *number = *number * base + digit;
    }
    if (cursor->at == begin || cursor->at == cursor->end) return false;
    cursor->at++;
    return true;
}

/* "rwxp": read, write, execute, and private or shared. */
static bool take_permissions(struct cursor *cursor, struct maps_entry *entry, bool *shared)
{
    const char *p = cursor->at;
    if (cursor->end - p < 5 || p[4] != ' ') return false;
    static const char letters[] = "rwx";
    for (int i = 0; i < 3; i++) {
        if (p[i] != letters[i] && p[i] != '-') return false;
    }
    if (p[3] != 'p' && p[3] != 's') return false;
    entry->readable = p[0] == 'r';
    entry->writable = p[1] == 'w';
    entry->executable = p[2] == 'x';
    *shared = p[3] == 's';
    cursor->at += 5;
    return true;
}

static bool begins(const struct cursor *name, const char *with)
{
    size_t bytes = strlen(with);
    return (size_t)(name->end - name->at) >= bytes && memcmp(name->at, with, bytes) == 0;
}

static enum maps_kind kind_of(const struct cursor *name, uint64_t inode, bool shared)
{
    if (inode != 0) return shared && begins(name, "/dev/zero") ? MAPS_SHARED : MAPS_FILE;
    if (shared) return MAPS_SHARED;
    if (name->at == name->end || begins(name, "[heap]") || begins(name, "[anon:"))
        return MAPS_ANONYMOUS;
    if (begins(name, "[stack:")) return MAPS_ANONYMOUS; /* of a thread, before 4.5 */
    return begins(name, "[stack]") ? MAPS_STACK : MAPS_KERNEL;
}

bool maps_parse(const char *line, size_t bytes, struct maps_entry *entry)
{
    struct cursor cursor = {line, line + bytes};
    uint64_t offset, major, minor, inode;
    bool shared;
    *entry = (struct maps_entry){0};
    bool good = take_number(&cursor, 16, '-', &entry->from) &&
                take_number(&cursor, 16, ' ', &entry->to) &&
                take_permissions(&cursor, entry, &shared) &&
                take_number(&cursor, 16, ' ', &offset) &&
                take_number(&cursor, 16, ':', &major) && take_number(&cursor, 16, ' ', &minor);
    if (!good) return false;
    /* The inode ends with a blank, also where no name follows. */
    if (!take_number(&cursor, 10, ' ', &inode)) return false;
    while (cursor.at < cursor.end && *cursor.at == ' ') cursor.at++;
    entry->kind = kind_of(&cursor, inode, shared);
    return entry->from < entry->to && ((entry->from | entry->to) & PAGE_MASK) == 0;
}

/* --- reading -------------------------------------------------------------------------------- */

/* A line of a path that is longer than this is cut; its beginning says what it is. */
struct reader {
    char chunk[CHUNK_BYTES];
    size_t have;
    bool skipping; /* the rest of a line that was cut */
};

/* Lines that are whole, or fill the chunk. False: `each` wants no more. */
static bool pass_lines_on(struct reader *reader, bool (*each)(void *, const struct maps_entry *),
                          void *context, int *error)
{
    size_t at = 0;
    bool wanted = true;
    while (wanted && *error == 0) {
        char *begin = reader->chunk + at;
        char *end = memchr(begin, '\n', reader->have - at);
        bool cut = end == NULL && at == 0 && reader->have == CHUNK_BYTES;
        if (end == NULL && !cut) break;
        size_t bytes = cut ? reader->have : (size_t)(end - begin);
        struct maps_entry entry;
        if (!reader->skipping) {
            if (maps_parse(begin, bytes, &entry)) wanted = each(context, &entry);
            else *error = EPROTO;
        }
        reader->skipping = cut;
        at += bytes + (cut ? 0 : 1);
    }
    memmove(reader->chunk, reader->chunk + at, reader->have - at);
    reader->have -= at;
    return wanted;
}

int maps_scan(int fd, bool (*each)(void *context, const struct maps_entry *entry), void *context)
{
    struct reader reader = {.have = 0};
    int error = 0;
    bool any = false;
    if (lseek(fd, 0, SEEK_SET) < 0) return errno;
    for (;;) {
        ssize_t got = read(fd, reader.chunk + reader.have, CHUNK_BYTES - reader.have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return any ? 0 : ESRCH; /* of a process that has ended nothing is mapped */
        any = true;
        reader.have += (size_t)got;
        if (!pass_lines_on(&reader, each, context, &error)) return 0;
        if (error != 0) return error;
    }
}
