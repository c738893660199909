/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config_error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "server/config/config_text.h"

enum {
    MESSAGE_BYTES = 512,
    EXCERPT_COLUMNS = 88, /* of a longer line only the part around the error is shown */
    EXCERPT_BYTES = 2 * (16 + 4 * EXCERPT_COLUMNS),
};

void config_errors_init(struct config_errors *errors)
{
    *errors = (struct config_errors){.list = NULL};
}

void config_errors_fini(struct config_errors *errors)
{
    for (size_t i = 0; i < errors->kept; i++) free(errors->list[i].headline);
    free(errors->list);
    config_errors_init(errors);
}

size_t config_errors_count(const struct config_errors *errors)
{
    return errors->count;
}

const struct config_error *config_errors_at(const struct config_errors *errors, size_t i)
{
    fp_assert(i < errors->kept);
    return &errors->list[i];
}

void config_errors_print(const struct config_errors *errors, FILE *out)
{
    if (errors->count == 0) return;
    for (size_t i = 0; i < errors->kept; i++)
        fprintf(out, "%s\n%s", errors->list[i].headline, errors->list[i].excerpt);
    if (errors->kept < errors->count)
        fprintf(out, "... and %zu more\n", errors->count - errors->kept);
    fprintf(out, "%zu error%s; nothing was started (exit 78)\n", errors->count,
            errors->count == 1 ? "" : "s");
}

/* The line without its end. */
static struct slice line_of(const struct config_source *source, uint32_t line)
{
    if (source->arguments != NULL) {
        fp_assert(line <= source->argument_count);
        return slice_text(source->arguments[line - 1]);
    }
    struct slice rest = source->text;
    for (;;) {
        const uint8_t *end = rest.size_bytes ? memchr(rest.bytes, '\n', rest.size_bytes) : NULL;
        size_t size = end != NULL ? (size_t)(end - rest.bytes) : rest.size_bytes;
        if (--line == 0 || end == NULL) {
            if (size > 0 && rest.bytes[size - 1] == '\r') size--;
            return slice_of(rest.bytes, line == 0 ? size : 0);
        }
        rest = slice_of(end + 1, rest.size_bytes - size - 1);
    }
}

/* Text being put together; what does not fit is left out. */
struct cursor {
    char *bytes;
    size_t used, room;
};

static void put(struct cursor *cursor, const void *bytes, size_t size_bytes)
{
    if (cursor->used + size_bytes >= cursor->room) return;
    memcpy(cursor->bytes + cursor->used, bytes, size_bytes);
    cursor->used += size_bytes;
    cursor->bytes[cursor->used] = '\0';
}

static void put_times(struct cursor *cursor, char c, uint32_t times)
{
    while (times-- > 0) put(cursor, &c, 1);
}

/* Characters first .. first + EXCERPT_COLUMNS - 1 of the line, each in one column. Returns how many
 * there were. */
static uint32_t put_columns(struct cursor *cursor, struct slice line, uint32_t first)
{
    uint32_t column = 0;
    for (size_t at = 0; at < line.size_bytes && column < first + EXCERPT_COLUMNS; column++) {
        uint32_t code;
        size_t size = config_text_decode(slice_of(line.bytes + at, line.size_bytes - at), &code);
        bool good = size > 0 && !config_text_is_control(code) && code != '\n';
        if (column >= first) {
            if (good && code != '\t')
                put(cursor, line.bytes + at, size);
            else
                put(cursor, good ? " " : "?", 1);
        }
        at += size > 0 ? size : 1;
    }
    return column > first ? column - first : 0;
}

static void write_excerpt(struct config_place place, char excerpt[EXCERPT_BYTES])
{
    struct cursor cursor = {excerpt, 0, EXCERPT_BYTES};
    excerpt[0] = '\0';
    if (place.line == 0) return;
    char gutter[16];
    snprintf(gutter, sizeof gutter, " %4" PRIu32 " | ", place.line);
    put(&cursor, gutter, strlen(gutter));
    uint32_t caret = place.column - 1;
    uint32_t first = caret < EXCERPT_COLUMNS * 3 / 4 ? 0 : caret - EXCERPT_COLUMNS / 2;
    uint32_t shown = put_columns(&cursor, line_of(place.source, place.line), first);
    put(&cursor, "\n", 1);
    put_times(&cursor, ' ', (uint32_t)strlen(gutter) - 2);
    put(&cursor, "| ", 2);
    put_times(&cursor, ' ', caret - first);
    put(&cursor, "^", 1);
    uint32_t right = shown > caret - first ? shown - (caret - first) : 1; /* from the caret on */
    uint32_t width = place.width < right ? place.width : right;
    put_times(&cursor, '~', width > 1 ? width - 1 : 0);
    put(&cursor, "\n", 1);
}

static bool stands_before(const struct config_error *a, const struct config_error *b)
{
    if (a->is_argument != b->is_argument) return b->is_argument;
    if (a->line != b->line) return a->line < b->line;
    return a->column < b->column;
}

static bool grow(struct config_errors *errors)
{
    if (errors->kept < errors->capacity) return true;
    size_t capacity = errors->capacity ? 2 * errors->capacity : 8;
    struct config_error *list = realloc(errors->list, capacity * sizeof *list);
    if (list == NULL) return false;
    errors->list = list;
    errors->capacity = capacity;
    return true;
}

/* Takes the headline where it answers true. */
static bool insert(struct config_errors *errors, struct config_error error)
{
    if (!grow(errors)) return false;
    size_t at = errors->kept;
    for (; at > 0 && stands_before(&error, &errors->list[at - 1]); at--)
        errors->list[at] = errors->list[at - 1];
    errors->list[at] = error;
    errors->kept++;
    return true;
}

static size_t write_place(struct config_place place, char *text, size_t room)
{
    int used = place.line == 0 ? snprintf(text, room, "%s: error: ", place.source->name)
                               : snprintf(text, room, "%s:%" PRIu32 ":%" PRIu32 ": error: ",
                                          place.source->name, place.line, place.column);
    fp_assert(used > 0);
    return (size_t)used;
}

void config_error_add(struct config_errors *errors, struct config_place place, const char *format,
                      ...)
{
    errors->count++;
    if (errors->kept == CONFIG_ERRORS_KEPT_MAX) return;
    char message[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    char excerpt[EXCERPT_BYTES];
    write_excerpt(place, excerpt);

    size_t head = write_place(place, NULL, 0) + strlen(message) + 1;
    size_t tail = strlen(excerpt) + 1;
    char *text = malloc(head + tail);
    if (text == NULL) {
        errors->no_memory = true;
        return;
    }
    size_t used = write_place(place, text, head);
    memcpy(text + used, message, head - used);
    for (char *at = text; *at; at++) /* the file's name may hold anything */
        if ((unsigned char)*at < ' ') *at = '?';
    memcpy(text + head, excerpt, tail);
    struct config_error error = {text, text + head, place.source->arguments != NULL, place.line,
                                 place.column};
    if (!insert(errors, error)) {
        free(text);
        errors->no_memory = true;
    }
}
