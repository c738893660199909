/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a request ends: its line, then the value that line announces.
 *
 *   bytes --find_line--> a line --dialect_text_line--> its meaning --take_value--> a request
 *
 * Every question is asked of a fixed prefix of the stream, so that more bytes behind it never
 * change an answer already given. */
#include "protocol/request.h"

#include "protocol/dialect.h"
#include "protocol/key_text.h"
#include "protocol/limits.h"

/* A line may begin with as many blanks and still be a long get; memcached draws the line here. */
enum { LEADING_BLANKS_MAX = 100 };

struct line {
    struct slice text;    /* without its end */
    size_t size_bytes;    /* with it */
    bool bare;            /* it ended with "\n" alone */
    uint64_t value_bytes; /* announced to follow, or DIALECT_NO_VALUE */
};

bool request_next_word(struct slice *rest, struct slice *word)
{
    const uint8_t *at = rest->bytes;
    const uint8_t *end = rest->size_bytes > 0 ? at + rest->size_bytes : at;
    while (at != end && *at == ' ') at++;
    const uint8_t *start = at;
    while (at != end && *at != ' ') at++;
    *word = slice_of(start, (size_t)(at - start));
    *rest = slice_of(at, (size_t)(end - at));
    return word->size_bytes > 0;
}

bool request_next_key(struct slice *keys, struct slice *key)
{
    return request_next_word(keys, key);
}

struct slice request_key(const struct request *request, uint8_t room[KEY_BYTES_MAX])
{
    size_t size_bytes;
    if (!request_asks(request, 'b') || !key_from_base64(request->key, room, &size_bytes))
        return request->key; /* the parser has checked what is base64 */
    return slice_of(room, size_bytes);
}

const char *command_name(enum command command)
{
    static const char *const names[COMMANDS_COUNT] = {
#define X(command, name, shape, usage) [command] = name,
        COMMANDS(X)
#undef X
    };
    return names[command];
}

/* Only these lines may be long: a page of keys is a reasonable question. Called when more than
 * LINE_BYTES_MAX bytes are there, so that what it looks at is complete. */
static bool is_multiget(struct slice buffer)
{
    const uint8_t *at = buffer.bytes;
    while (at < buffer.bytes + LEADING_BLANKS_MAX && *at == ' ') at++;
    return memcmp(at, "get ", 4) == 0 || memcmp(at, "gets ", 5) == 0;
}

/* READY where a whole line is there; LOST where none can come any more. */
static enum request_parse find_line(struct slice buffer, struct line *line, const char **refusal)
{
    size_t line_max = LINE_BYTES_MAX;
    if (buffer.size_bytes > LINE_BYTES_MAX && is_multiget(buffer)) line_max = MULTIGET_BYTES_MAX;
    /* memcached counts the line without its "\n", hence the one more. */
    size_t looked = buffer.size_bytes <= line_max ? buffer.size_bytes : line_max + 1;
    const uint8_t *end = looked > 0 ? memchr(buffer.bytes, '\n', looked) : NULL;
    if (end == NULL) {
        if (looked <= line_max) return REQUEST_PARTIAL;
        *refusal = line_max == LINE_BYTES_MAX ? REFUSAL_HANG_UP : "CLIENT_ERROR line too long";
        return REQUEST_LOST;
    }
    size_t length = (size_t)(end - buffer.bytes);
    line->size_bytes = length + 1;
    line->bare = length == 0 || buffer.bytes[length - 1] != '\r';
    line->text = slice_of(buffer.bytes, line->bare ? length : length - 1);
    return REQUEST_READY;
}

/* The end is "\r\n"; who ended the line with "\n" alone may do so here
 * too. (To allow it always would store "ba\r" for a value of three bytes sent as "ba\r\n", which
 * must be refused.) What is refused is consumed as memcached does: the length and two bytes. */
enum request_parse request_value_end(struct slice buffer, bool bare, size_t *size_bytes,
                                     const char **refusal)
{
    const uint8_t *at = buffer.bytes;
    *size_bytes = bare ? 1 : 2;
    if (buffer.size_bytes < *size_bytes) return REQUEST_PARTIAL;
    if (bare && at[0] == '\n') return REQUEST_READY;
    *size_bytes = 2;
    if (buffer.size_bytes < *size_bytes) return REQUEST_PARTIAL;
    if (at[0] == '\r' && at[1] == '\n') return REQUEST_READY;
    *refusal = "CLIENT_ERROR bad data chunk";
    return REQUEST_REFUSED;
}

static enum request_parse take_value(struct slice buffer, const struct line *line,
                                     struct request *request, size_t *more_bytes,
                                     const char **refusal)
{
    size_t value_bytes = (size_t)line->value_bytes;
    const uint8_t *value = buffer.bytes + line->size_bytes;
    size_t there = buffer.size_bytes - line->size_bytes;
    struct slice behind = slice_of(NULL, 0);
    size_t end_bytes;
    if (there > value_bytes) behind = slice_of(value + value_bytes, there - value_bytes);
    enum request_parse found = request_value_end(behind, line->bare, &end_bytes, refusal);
    if (found == REQUEST_PARTIAL) {
        *more_bytes = value_bytes + end_bytes - there;
        return found;
    }
    request->size_bytes = line->size_bytes + value_bytes + end_bytes;
    if (found == REQUEST_READY) request->value = slice_of(value, value_bytes);
    return found;
}

/* Better no value than one the client believes it has replaced. */
static bool drops_old(enum command command)
{
    return command == COMMAND_SET || command == COMMAND_MS;
}

enum request_parse request_parse(struct slice buffer, const struct request_limits *limits,
                                 struct request *request, size_t *more_bytes, const char **refusal)
{
    struct line line;
    enum request_parse found = find_line(buffer, &line, refusal);
    if (found != REQUEST_READY) {
        *more_bytes = 1;
        return found;
    }

    *request = (struct request){.size_bytes = line.size_bytes};
    const char *why = dialect_text_line(line.text, line.size_bytes, request, &line.value_bytes);
    bool has_value = line.value_bytes != DIALECT_NO_VALUE;
    if (why == NULL && has_value && line.value_bytes > limits->item_bytes_max) {
        why = "SERVER_ERROR object too large for cache";
        request->too_large = true;
        request->drop_old = drops_old(request->command);
    }
    if (why != NULL) {
        *refusal = why;
        if (*why == '\0') return REQUEST_LOST;
        if (has_value) request->swallow_bytes = line.value_bytes + (line.bare ? 1 : 2);
        return REQUEST_REFUSED;
    }
    if (!has_value) return REQUEST_READY;
    if (limits->whole_bytes_max != 0 && line.value_bytes > limits->whole_bytes_max) {
        request->value_bytes = line.value_bytes;
        request->bare = line.bare;
        request->drop_old = drops_old(request->command);
        return REQUEST_VALUE;
    }
    return take_value(buffer, &line, request, more_bytes, refusal);
}
