/* SPDX-License-Identifier: BSD-3-Clause
 *
 * memcached's classic commands. A line is cut into words once; then the shape its command has in
 * command_tbl.h says how they are read. The order of the checks is memcached 1.6.45's, because it
 * decides which of two errors is answered, whether `noreply` silences it, and whether a value that
 * follows is swallowed. */
#include <strings.h>

#include "base/number.h"
#include "protocol/dialect.h"
#include "protocol/limits.h"

enum {
    WORDS_KEPT = 6,     /* cas KEY FLAGS EXPTIME BYTES CAS */
    LINE_BYTES_MIN = 4, /* with its end; shorter ones are called badly formed, not unknown */
};

#define REFUSAL_BAD_EXPTIME "CLIENT_ERROR invalid exptime argument"
#define REFUSAL_BAD_LEASE "CLIENT_ERROR invalid lease argument"
#define REFUSAL_BAD_DELTA "CLIENT_ERROR invalid numeric delta argument"

/* What a shape's reader works on and fills. word[0] is the command. */
struct reading {
    struct slice line;
    struct slice word[WORDS_KEPT]; /* empty where the line has fewer */
    size_t word_count;             /* of the whole line */
    struct slice last;             /* the last word of the whole line */
    struct request *request;
    uint64_t value_bytes;
};

typedef const char *shape_read_f(struct reading *reading);

static bool key_fits(struct slice key)
{
    return key.size_bytes > 0 && key.size_bytes <= KEY_BYTES_MAX;
}

/* memcached keeps times in 32 bits on the wire. */
static bool read_exptime(struct slice word, int64_t *exptime)
{
    return number_wire_i64(word, exptime) && *exptime >= INT32_MIN && *exptime <= INT32_MAX;
}

static void note_noreply(struct reading *reading)
{
    reading->request->noreply = slice_is(reading->last, "noreply");
}

/* The words from `first` on, all of them keys. */
static const char *read_keys_from(struct reading *reading, const uint8_t *first)
{
    const uint8_t *end = reading->line.bytes + reading->line.size_bytes;
    struct slice keys = slice_of(first, (size_t)(end - first));
    struct request *request = reading->request;
    if (!request_next_key(&keys, &request->key)) return REFUSAL_BAD_LINE;
    request->more_keys = keys;
    struct slice key = request->key;
    do {
        if (!key_fits(key)) return REFUSAL_BAD_LINE;
    } while (request_next_key(&keys, &key));
    return NULL;
}

static const char *read_keys(struct reading *reading)
{
    if (reading->word_count < 2) return REFUSAL_BAD_LINE;
    return read_keys_from(reading, reading->word[1].bytes);
}

static const char *read_touch_keys(struct reading *reading)
{
    if (reading->word_count < 3) return REFUSAL_BAD_LINE;
    if (!read_exptime(reading->word[1], &reading->request->exptime)) return REFUSAL_BAD_EXPTIME;
    return read_keys_from(reading, reading->word[2].bytes);
}

static const char *read_store(struct reading *reading)
{
    struct request *request = reading->request;
    uint64_t value_bytes, flags;
    if (reading->word_count < 5) return REFUSAL_BAD_LINE;
    if (!number_wire_u64(reading->word[4], &value_bytes) || value_bytes > VALUE_BYTES_MAX)
        return REFUSAL_BAD_LINE;
    reading->value_bytes = value_bytes; /* from here on a refusal swallows */
    note_noreply(reading);
    request->key = reading->word[1];
    if (!key_fits(request->key)) return REFUSAL_BAD_LINE;
    if (!number_wire_u64(reading->word[2], &flags) || flags > UINT32_MAX) return REFUSAL_BAD_LINE;
    request->flags = (uint32_t)flags;
    if (!read_exptime(reading->word[3], &request->exptime)) return REFUSAL_BAD_LINE;
    return NULL;
}

static const char *read_cas(struct reading *reading)
{
    const char *why = read_store(reading);
    if (why != NULL) return why;
    return number_wire_u64(reading->word[5], &reading->request->cas) ? NULL : REFUSAL_BAD_LINE;
}

/* The key of a command with at least `words` words. What follows is left to the caller. */
static const char *read_key(struct reading *reading, size_t words)
{
    if (reading->word_count < words) return REFUSAL_BAD_LINE;
    note_noreply(reading);
    reading->request->key = reading->word[1];
    return key_fits(reading->word[1]) ? NULL : REFUSAL_BAD_LINE;
}

/* Old clients send a 0 after the key; whatever is there is ignored. */
/* An old client's time and noreply may follow the key; more is what old servers call no command,
 * and what conformance tests ask for. */
static const char *read_delete(struct reading *reading)
{
    if (reading->word_count > 4) return REFUSAL_UNKNOWN;
    return read_key(reading, 2);
}

static const char *read_delta(struct reading *reading)
{
    const char *why = read_key(reading, 3);
    if (why != NULL) return why;
    return number_wire_u64(reading->word[2], &reading->request->delta) ? NULL : REFUSAL_BAD_DELTA;
}

static const char *read_touch(struct reading *reading)
{
    const char *why = read_key(reading, 3);
    if (why != NULL) return why;
    return read_exptime(reading->word[2], &reading->request->exptime) ? NULL : REFUSAL_BAD_EXPTIME;
}

static const char *read_flush(struct reading *reading)
{
    note_noreply(reading);
    struct request *request = reading->request;
    if (reading->word_count == (request->noreply ? 2u : 1u)) return NULL;
    request->has_exptime = true;
    return read_exptime(reading->word[1], &request->exptime) ? NULL : REFUSAL_BAD_EXPTIME;
}

static bool read_mode(struct slice word, enum request_map *mode)
{
    if (slice_is(word, "ro")) *mode = REQUEST_MAP_RO;
    else if (slice_is(word, "rw")) *mode = REQUEST_MAP_RW;
    else if (slice_is(word, "wo")) *mode = REQUEST_MAP_WO;
    else return false;
    return true;
}

static const char *read_map(struct reading *reading)
{
    struct request *request = reading->request;
    uint64_t seconds;
    request->key = reading->word[1];
    if (!key_fits(request->key) || !read_mode(reading->word[2], &request->mode))
        return REFUSAL_BAD_LINE;
    if (reading->word_count == 3) return NULL;
    if (!slice_is(reading->word[3], "lease")) return REFUSAL_BAD_LINE;
    if (!number_wire_u64(reading->word[4], &seconds) || seconds == 0 || seconds > UINT32_MAX)
        return REFUSAL_BAD_LEASE;
    request->lease_s = (uint32_t)seconds;
    return NULL;
}

static const char *read_map_read(struct reading *reading)
{
    struct request *request = reading->request;
    bool good = number_wire_u64(reading->word[1], &request->map_id) &&
                number_wire_u64(reading->word[2], &request->offset) &&
                number_wire_u64(reading->word[3], &request->length);
    return good ? NULL : REFUSAL_BAD_LINE;
}

static const char *read_map_write(struct reading *reading)
{
    struct request *request = reading->request;
    uint64_t value_bytes;
    if (!number_wire_u64(reading->word[3], &value_bytes) || value_bytes > VALUE_BYTES_MAX)
        return REFUSAL_BAD_LINE;
    reading->value_bytes = value_bytes; /* from here on a refusal swallows */
    bool good = number_wire_u64(reading->word[1], &request->map_id) &&
                number_wire_u64(reading->word[2], &request->offset);
    return good ? NULL : REFUSAL_BAD_LINE;
}

/* A word that is misspelt must not publish what was to be discarded. */
static const char *read_unmap(struct reading *reading)
{
    struct request *request = reading->request;
    request->discard = slice_is(reading->word[2], "discard");
    if (!number_wire_u64(reading->word[1], &request->map_id)) return REFUSAL_BAD_LINE;
    return reading->word_count == 2 || request->discard ? NULL : REFUSAL_BAD_LINE;
}

static const char *read_rest(struct reading *reading)
{
    struct request *request = reading->request;
    const uint8_t *end = reading->last.bytes + reading->last.size_bytes;
    if (reading->word_count > 1)
        request->rest = slice_of(reading->word[1].bytes, (size_t)(end - reading->word[1].bytes));
    bool verbosity = request->command == COMMAND_VERBOSITY;
    if (verbosity || request->command == COMMAND_MEMLIMIT) note_noreply(reading);
    if (!verbosity) return NULL;
    uint64_t level;
    return number_wire_u64(reading->word[1], &level) && level <= UINT32_MAX ? NULL
                                                                            : REFUSAL_BAD_LINE;
}

static const char *read_meta(struct reading *reading)
{
    if (reading->word_count < 2) return REFUSAL_BAD_LINE;
    const uint8_t *first = reading->word[1].bytes;
    const uint8_t *end = reading->line.bytes + reading->line.size_bytes;
    return dialect_meta_words(slice_of(first, (size_t)(end - first)), reading->word_count,
                              reading->request, &reading->value_bytes);
}

/* More words than the command itself are ignored. */
static const char *read_bare(struct reading *reading)
{
    (void)reading;
    return NULL;
}

enum shape {
    SHAPE_KEYS,
    SHAPE_TOUCH_KEYS,
    SHAPE_STORE,
    SHAPE_CAS,
    SHAPE_DELETE,
    SHAPE_DELTA,
    SHAPE_TOUCH,
    SHAPE_FLUSH,
    SHAPE_META,
    SHAPE_MAP,
    SHAPE_MAP_READ,
    SHAPE_MAP_WRITE,
    SHAPE_UNMAP,
    SHAPE_REST,
    SHAPE_BARE,
};

static shape_read_f *const shape_read[] = {
    [SHAPE_KEYS] = read_keys,     [SHAPE_TOUCH_KEYS] = read_touch_keys, [SHAPE_STORE] = read_store,
    [SHAPE_CAS] = read_cas,       [SHAPE_DELETE] = read_delete,         [SHAPE_DELTA] = read_delta,
    [SHAPE_TOUCH] = read_touch,   [SHAPE_FLUSH] = read_flush,           [SHAPE_REST] = read_rest,
    [SHAPE_MAP] = read_map,       [SHAPE_MAP_READ] = read_map_read,
    [SHAPE_UNMAP] = read_unmap,   [SHAPE_MAP_WRITE] = read_map_write,
    [SHAPE_BARE] = read_bare,     [SHAPE_META] = read_meta,
};

static const struct command_row {
    const char *name;
    size_t name_bytes;
    enum shape shape;
} command_rows[COMMANDS_COUNT] = {
#define X(command, name, shape, usage) [command] = {name, sizeof name - 1, shape},
    COMMANDS(X)
#undef X
};

/* COMMANDS_COUNT where there is none of that name. Names are in lower case only, so that the "GET"
 * of a browser is not a get. */
static unsigned find_command(struct slice name)
{
    unsigned i = 0;
    while (i < COMMANDS_COUNT && (command_rows[i].name_bytes != name.size_bytes ||
                                  memcmp(command_rows[i].name, name.bytes, name.size_bytes) != 0))
        i++;
    return i;
}

static void cut_into_words(struct reading *reading)
{
    struct slice rest = reading->line, word;
    while (request_next_word(&rest, &word)) {
        if (reading->word_count < WORDS_KEPT) reading->word[reading->word_count] = word;
        reading->word_count++;
        reading->last = word;
    }
}

/* A web page must not be able to make a browser speak to us, whatever its first line was. */
static bool is_http(const struct reading *reading)
{
    struct slice first = reading->word[0];
    if (first.size_bytes == 5 && strncasecmp((const char *)first.bytes, "host:", 5) == 0)
        return true;
    return reading->word_count > 1 && reading->last.size_bytes >= 5 &&
           memcmp(reading->last.bytes, "HTTP/", 5) == 0;
}

const char *dialect_text_line(struct slice line, size_t size_bytes, struct request *request,
                              uint64_t *value_bytes)
{
    *value_bytes = DIALECT_NO_VALUE;
    if (size_bytes < LINE_BYTES_MIN) return REFUSAL_BAD_LINE;
    struct reading reading = {.line = line, .request = request, .value_bytes = DIALECT_NO_VALUE};
    cut_into_words(&reading);
    unsigned found = find_command(reading.word[0]);
    if (found == COMMANDS_COUNT) {
        note_noreply(&reading);
        return is_http(&reading) ? REFUSAL_HANG_UP : REFUSAL_UNKNOWN;
    }
    request->command = (enum command)found;
    const char *why = shape_read[command_rows[found].shape](&reading);
    *value_bytes = reading.value_bytes;
    return why;
}
