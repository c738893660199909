/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/exports/handouts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/number.h"

#define FILE_NAME "exports"
#define NEW_NAME "exports.new"
#define HEADER "farpage exports 1\n"

enum { LINE_BYTES = 160, FILE_BYTES_MAX = 1 << 20 };

struct handout {
    char name[AREA_NAME_BYTES_MAX + 1];
    char boot[HANDOUT_BOOT_BYTES]; /* of the server that handed it out */
    uint64_t number;
    bool lost;    /* that was an earlier one */
    bool durable; /* it is on the disk */
    struct handout *next;
};

void handouts_init(struct handouts *handouts)
{
    *handouts = (struct handouts){.fd = -1, .directory_fd = -1};
    lock_init(&handouts->lock, RANK_HANDOUTS);
}

static void entry_free(struct handouts *handouts, struct handout *entry)
{
    budget_return(handouts->budget, BUDGET_FIXED, sizeof *entry);
    free(entry);
}

void handouts_fini(struct handouts *handouts)
{
    for (struct handout *entry = handouts->first, *next; entry != NULL; entry = next) {
        next = entry->next;
        entry_free(handouts, entry);
    }
    if (handouts->fd >= 0) close(handouts->fd);
    if (handouts->directory_fd >= 0) close(handouts->directory_fd);
    lock_fini(&handouts->lock);
}

static FP_PRINTF(2, 3) enum fp_status fail(char *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, HANDOUTS_REASON_BYTES, format, arguments);
    va_end(arguments);
    return FP_IO;
}

/* --- the list --------------------------------------------------------------------------------- */

static struct handout **find(struct handouts *handouts, struct slice name)
{
    struct handout **at = &handouts->first;
    while (*at != NULL && !slice_is(name, (*at)->name)) at = &(*at)->next;
    return at;
}

static struct handout *add(struct handouts *handouts, struct slice name, struct slice boot)
{
    if (handouts->count == HANDOUTS_MAX) return NULL;
    struct handout *entry = calloc(1, sizeof *entry);
    if (entry == NULL) return NULL;
    budget_charge_anyway(handouts->budget, BUDGET_FIXED, sizeof *entry);
    memcpy(entry->name, name.bytes, name.size_bytes);
    memcpy(entry->boot, boot.bytes, boot.size_bytes);
    entry->next = handouts->first;
    handouts->first = entry;
    handouts->count++;
    return entry;
}

static void take_off(struct handouts *handouts, struct handout **at)
{
    struct handout *entry = *at;
    *at = entry->next;
    handouts->count--;
    entry_free(handouts, entry);
}

/* --- reading the file ------------------------------------------------------------------------- */

static bool next_word(struct slice *line, struct slice *word)
{
    size_t size = 0;
    while (size < line->size_bytes && line->bytes[size] != ' ') size++;
    *word = slice_of(line->bytes, size);
    size_t used = size < line->size_bytes ? size + 1 : size;
    *line = slice_of(line->bytes + used, line->size_bytes - used);
    return size > 0;
}

/* "+ 7 swap 6505736975b988f8" or "- 7". False: neither. */
static bool take_line(struct handouts *handouts, struct slice line)
{
    struct slice sign, number_text, name, boot;
    uint64_t number;
    if (!next_word(&line, &sign) || !next_word(&line, &number_text)) return false;
    if (!number_u64(number_text, &number)) return false;
    if (number > handouts->last_number) handouts->last_number = number;
    struct handout **at = &handouts->first;
    if (slice_is(sign, "-") && line.size_bytes == 0) {
        while (*at != NULL && (*at)->number != number) at = &(*at)->next;
        if (*at != NULL) take_off(handouts, at);
        return true;
    }
    if (!slice_is(sign, "+") || !next_word(&line, &name) || !next_word(&line, &boot)) return false;
    if (name.size_bytes > AREA_NAME_BYTES_MAX || boot.size_bytes >= HANDOUT_BOOT_BYTES)
        return false;
    struct handout *entry = *find(handouts, name);
    if (entry == NULL) entry = add(handouts, name, boot);
    if (entry == NULL) return false;
    entry->number = number;
    entry->lost = entry->durable = true;
    return true;
}

/* A line without its end was never acknowledged. */
static bool take_text(struct handouts *handouts, struct slice text)
{
    size_t header = strlen(HEADER);
    if (text.size_bytes < header || memcmp(text.bytes, HEADER, header) != 0) return false;
    text = slice_of(text.bytes + header, text.size_bytes - header);
    while (text.size_bytes > 0) {
        const uint8_t *end = memchr(text.bytes, '\n', text.size_bytes);
        if (end == NULL) return true;
        size_t size = (size_t)(end - text.bytes);
        if (!take_line(handouts, slice_of(text.bytes, size))) return false;
        text = slice_of(end + 1, text.size_bytes - size - 1);
    }
    return true;
}

static enum fp_status read_file(struct handouts *handouts, const char *directory, char *reason)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = openat(handouts->directory_fd, FILE_NAME, flags);
    if (fd < 0 && errno == ENOENT) return FP_OK;
    if (fd < 0) return fail(reason, "%s/" FILE_NAME ": %s", directory, strerror(errno));
    uint8_t *text = malloc(FILE_BYTES_MAX + 1);
    size_t used = 0;
    ssize_t got = text != NULL ? 1 : -1;
    while (got > 0 && used <= FILE_BYTES_MAX) {
        got = read(fd, text + used, FILE_BYTES_MAX + 1 - used);
        if (got > 0) used += (size_t)got;
    }
    close(fd);
    bool good = got == 0 && take_text(handouts, slice_of(text, used));
    free(text);
    if (good) return FP_OK;
    return fail(reason, "%s/" FILE_NAME ": not what farpaged writes there, or it cannot be read; "
                "move it away where no client misses an export", directory);
}

/* --- writing it ------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, text, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        text += put;
        size -= (size_t)put;
    }
    return true;
}

static size_t line_of(const struct handout *entry, char line[LINE_BYTES])
{
    int size = snprintf(line, LINE_BYTES, "+ %" PRIu64 " %s %s\n", entry->number, entry->name,
                        entry->boot);
    return size > 0 ? (size_t)size : 0;
}

/* The whole file as it should be, for the caller to free; NULL: no memory. */
static char *text_of(const struct handouts *handouts, size_t *size)
{
    char *text = malloc(strlen(HEADER) + (size_t)handouts->count * LINE_BYTES + 1);
    if (text == NULL) return NULL;
    *size = strlen(HEADER);
    memcpy(text, HEADER, *size);
    for (const struct handout *entry = handouts->first; entry != NULL; entry = entry->next)
        *size += line_of(entry, text + *size);
    return text;
}

/* A descriptor to add lines to; -1: it could not be put in the place of the old file. What lies
 * under the new name is a crashed server's, or somebody's trap, and is not written through. */
static int write_anew(int directory_fd, const char *text, size_t size)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND | O_CLOEXEC;
    (void)unlinkat(directory_fd, NEW_NAME, 0);
    int fd = openat(directory_fd, NEW_NAME, flags, 0600);
    if (fd < 0) return -1;
    if (write_all(fd, text, size) && fsync(fd) == 0 &&
        renameat(directory_fd, NEW_NAME, directory_fd, FILE_NAME) == 0)
        return fd; /* whatever fails from here on: notes must go to the file that has the name */
    close(fd);
    return -1;
}

static enum fp_status renew(struct handouts *handouts, const char *directory, char *reason)
{
    size_t size;
    char *text = text_of(handouts, &size);
    if (text == NULL) return fail(reason, "%s/" FILE_NAME ": out of memory", directory);
    handouts->fd = write_anew(handouts->directory_fd, text, size);
    handouts->lines = handouts->count;
    bool kept = handouts->fd >= 0 && fsync(handouts->directory_fd) == 0;
    int error = errno;
    free(text);
    if (kept) return FP_OK;
    return fail(reason, "%s/" FILE_NAME ": %s; what was handed out must be noted there", directory,
                strerror(error));
}

/* Nobody adds a line while the file is trimmed, and this waits for nobody who does. */
static char *begin_trim(struct handouts *handouts, size_t *size)
{
    char *text = NULL;
    lock_take(&handouts->lock);
    bool due = !handouts->trimming && handouts->writers == 0 && handouts->fd >= 0 &&
               handouts->lines > 2 * handouts->count + HANDOUTS_LINES_MAX;
    if (due) text = text_of(handouts, size);
    if (text != NULL) handouts->trimming = true;
    lock_drop(&handouts->lock);
    return text;
}

static void end_trim(struct handouts *handouts, int fd)
{
    int old = -1;
    lock_take(&handouts->lock);
    if (fd >= 0) {
        old = handouts->fd;
        handouts->fd = fd;
        handouts->lines = handouts->count;
    }
    handouts->trimming = false;
    lock_drop(&handouts->lock);
    if (old >= 0) close(old);
}

void handouts_trim(struct handouts *handouts)
{
    size_t size;
    char *text = begin_trim(handouts, &size);
    if (text == NULL) return;
    lock_assert_none();
    int fd = write_anew(handouts->directory_fd, text, size);
    /* Where it fails, a loss of power could bring the longer file back, less what is added now. */
    if (fd >= 0) (void)fsync(handouts->directory_fd);
    end_trim(handouts, fd);
    free(text);
}

/* Who may write there could have the server believe that nothing was handed out. */
static enum fp_status open_directory(struct handouts *handouts, const char *directory,
                                     char *reason)
{
    struct stat about;
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return fail(reason, "%s: %s; make the directory, or choose another", directory,
                    strerror(errno));
    int fd = handouts->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0)
        return fail(reason, "%s: %s", directory, strerror(errno));
    if ((about.st_mode & S_IWOTH) != 0)
        return fail(reason, "%s: everybody may write there; chmod o-w takes that away", directory);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return fail(reason, "%s: another server keeps its state there", directory);
    return FP_OK;
}

enum fp_status handouts_open(struct handouts *handouts, struct budget *budget,
                             const char *directory, const char *boot,
                             char reason[HANDOUTS_REASON_BYTES])
{
    handouts->budget = budget;
    (void)snprintf(handouts->boot, sizeof handouts->boot, "%s", boot);
    enum fp_status status = open_directory(handouts, directory, reason);
    if (status == FP_OK) status = read_file(handouts, directory, reason);
    return status == FP_OK ? renew(handouts, directory, reason) : status;
}

/* --- use -------------------------------------------------------------------------------------- */

bool handouts_lost(struct handouts *handouts, struct slice name, char was[HANDOUT_BOOT_BYTES])
{
    lock_take(&handouts->lock);
    const struct handout *entry = *find(handouts, name);
    bool lost = entry != NULL && entry->lost;
    if (lost && was != NULL) memcpy(was, entry->boot, HANDOUT_BOOT_BYTES);
    lock_drop(&handouts->lock);
    return lost;
}

void handouts_found(struct handouts *handouts, struct slice name)
{
    lock_take(&handouts->lock);
    struct handout *entry = *find(handouts, name);
    if (entry != NULL && strcmp(entry->boot, handouts->boot) == 0) entry->lost = false;
    lock_drop(&handouts->lock);
}

/* One more line for the file, under way. */
struct adding {
    char line[LINE_BYTES];
    size_t size;
    int fd;
};

/* It is being trimmed; or it should have been long ago, and somebody was always adding a line. */
static bool is_shut_locked(const struct handouts *handouts)
{
    return handouts->trimming || handouts->lines > 2 * handouts->count + 2 * HANDOUTS_LINES_MAX;
}

static bool may_add_locked(struct handouts *handouts, struct adding *adding)
{
    if (is_shut_locked(handouts)) return false;
    adding->fd = handouts->fd;
    handouts->writers++;
    handouts->lines++;
    return true;
}

/* False: errno says why. */
static bool add_line(struct handouts *handouts, const struct adding *adding)
{
    lock_assert_none();
    bool good = write_all(adding->fd, adding->line, adding->size) && fdatasync(adding->fd) == 0;
    int error = errno;
    lock_take(&handouts->lock);
    handouts->writers--;
    lock_drop(&handouts->lock);
    errno = error;
    return good;
}

/* Of size 0: it is on the disk already. */
static enum fp_status begin_note(struct handouts *handouts, struct slice name,
                                 struct adding *adding, uint64_t *number)
{
    enum fp_status status = FP_OK;
    lock_take(&handouts->lock);
    struct handout *entry = *find(handouts, name);
    bool known = entry != NULL && entry->durable;
    if (!known && is_shut_locked(handouts)) status = FP_BUSY;
    else if (entry == NULL && handouts->count == HANDOUTS_MAX) status = FP_TOO_BIG;
    if (entry == NULL && status == FP_OK) {
        entry = add(handouts, name, slice_text(handouts->boot));
        if (entry == NULL) status = FP_NO_MEMORY;
        else entry->number = ++handouts->last_number;
    }
    adding->size = 0;
    if (status == FP_OK && !known && may_add_locked(handouts, adding)) {
        adding->size = line_of(entry, adding->line);
        *number = entry->number;
    }
    lock_drop(&handouts->lock);
    return status;
}

static void is_durable(struct handouts *handouts, struct slice name, uint64_t number)
{
    lock_take(&handouts->lock);
    struct handout *entry = *find(handouts, name);
    if (entry != NULL && entry->number == number) entry->durable = true;
    lock_drop(&handouts->lock);
}

enum fp_status handouts_note(struct handouts *handouts, struct slice name,
                             char reason[HANDOUTS_REASON_BYTES])
{
    struct adding adding;
    uint64_t number = 0;
    if (handouts->directory_fd < 0) return FP_OK;
    enum fp_status status = begin_note(handouts, name, &adding, &number);
    if (status == FP_TOO_BIG)
        (void)fail(reason, "%d exports are noted already in storage.state_dir", HANDOUTS_MAX);
    if (status == FP_BUSY) (void)fail(reason, "the server tidies its notes; ask again");
    if (status != FP_OK || adding.size == 0) return status;
    if (!add_line(handouts, &adding))
        return fail(reason, "it cannot be noted in storage.state_dir: %s", strerror(errno));
    is_durable(handouts, name, number);
    return FP_OK;
}

uint64_t handouts_drop(struct handouts *handouts, struct slice name)
{
    uint64_t number = 0;
    lock_take(&handouts->lock);
    struct handout **at = find(handouts, name);
    if (*at != NULL) {
        number = (*at)->number;
        take_off(handouts, at);
    }
    lock_drop(&handouts->lock);
    return number;
}

enum fp_status handouts_forget(struct handouts *handouts, uint64_t number)
{
    struct adding adding;
    if (number == 0 || handouts->directory_fd < 0) return FP_OK;
    int size = snprintf(adding.line, sizeof adding.line, "- %" PRIu64 "\n", number);
    adding.size = size > 0 ? (size_t)size : 0;
    lock_take(&handouts->lock);
    bool may = may_add_locked(handouts, &adding);
    lock_drop(&handouts->lock);
    if (!may) return FP_BUSY;
    return add_line(handouts, &adding) ? FP_OK : FP_IO;
}
