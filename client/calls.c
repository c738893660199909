/* SPDX-License-Identifier: BSD-3-Clause
 * The calls that concern a server and no area of it. */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "protocol/limits.h"

enum { SECTION_BYTES_MAX = 128 };

/* --- ping ----------------------------------------------------------------------------------- */

static enum farpage_status take_echo(const struct op_request *request, const struct reply *reply)
{
    return slice_equal(reply->body, request->body) ? FARPAGE_OK : FARPAGE_PROTOCOL;
}

enum farpage_status farpage_ping(struct farpage *client, uint64_t *nanoseconds)
{
    if (client == NULL) return FARPAGE_INVALID;
    uint64_t serial = ++client->pings; /* so that no two echoes are alike */
    struct op_request ping = {
        .opcode = FRAME_PING,
        .body = slice_of(&serial, sizeof serial),
        .repeatable = true,
        .ok_bytes_min = sizeof serial,
        .ok_bytes_max = sizeof serial,
        .take = take_echo,
    };
    uint64_t latency_ns;
    enum farpage_status status = client_ask(client, &ping, "ping", &latency_ns);
    if (status == FARPAGE_OK && nanoseconds != NULL) *nanoseconds = latency_ns;
    return status;
}

/* --- lines ---------------------------------------------------------------------------------- */

/* Lines 'name value', or a bare name, each with a line end, and no zero byte anywhere. */
static bool sensible(struct slice body)
{
    if (body.size_bytes == 0) return true;
    if (memchr(body.bytes, '\0', body.size_bytes) != NULL) return false;
    return body.bytes[body.size_bytes - 1] == '\n';
}

/* A copy, ended by a zero: whoever is told the lines may make calls of its own. */
static enum farpage_status take_lines(const struct op_request *request, const struct reply *reply)
{
    char **text = request->taker;
    if (!sensible(reply->body)) return FARPAGE_PROTOCOL;
    *text = malloc(reply->body.size_bytes + 1);
    if (*text == NULL) return FARPAGE_NO_MEMORY;
    memcpy(*text, reply->body.bytes, reply->body.size_bytes);
    (*text)[reply->body.size_bytes] = '\0';
    return FARPAGE_OK;
}

/* Who is told: one of the two, or none. */
struct listener {
    void (*pair)(void *context, const char *name, const char *value);
    void (*line)(void *context, const char *line);
    void *context;
};

static void tell_line(const struct listener *listener, char *line)
{
    if (line[0] == '\0') return;
    if (listener->line != NULL) listener->line(listener->context, line);
    if (listener->pair == NULL) return;
    char *blank = strchr(line, ' ');
    if (blank != NULL) *blank = '\0';
    if (line[0] != '\0') listener->pair(listener->context, line, blank != NULL ? blank + 1 : "");
}

static void tell_lines(const struct listener *listener, char *text)
{
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n'); /* there is one: sensible() saw it */
        if (end == NULL) return;
        *end = '\0';
        if (end > line && end[-1] == '\r') end[-1] = '\0';
        tell_line(listener, line);
        line = end + 1;
    }
}

/* One request whose reply is lines; told one by one once all of them are here. */
static enum farpage_status ask_lines(struct farpage *client, struct op_request *request,
                                     const char *what, const struct listener *listener)
{
    char *text = NULL;
    request->ok_bytes_max = FRAME_REPLY_BODY_BYTES_MAX;
    request->take = take_lines;
    request->taker = &text;
    enum farpage_status status = client_ask(client, request, what, NULL);
    if (status == FARPAGE_OK) tell_lines(listener, text);
    free(text);
    return status;
}

enum farpage_status farpage_stats(struct farpage *client, const char *section,
                                  void (*each)(void *context, const char *name, const char *value),
                                  void *context)
{
    if (client == NULL || each == NULL) return FARPAGE_INVALID;
    size_t section_bytes = section != NULL ? strnlen(section, SECTION_BYTES_MAX + 1) : 0;
    if (section_bytes > SECTION_BYTES_MAX) {
        reason_set(&client->reason, "the name of a section is at most %d bytes", SECTION_BYTES_MAX);
        return FARPAGE_INVALID;
    }
    struct op_request request = {
        .opcode = FRAME_STATS, .body = slice_of(section, section_bytes), .repeatable = true};
    struct listener listener = {.pair = each, .context = context};
    return ask_lines(client, &request, "statistics", &listener);
}

enum farpage_status farpage_compact(struct farpage *client, int start,
                                    void (*each)(void *context, const char *name,
                                                 const char *value),
                                    void *context)
{
    if (client == NULL || each == NULL) return FARPAGE_INVALID;
    struct op_request request = {
        .opcode = FRAME_COMPACT, .count = start != 0 ? 0 : 1, .repeatable = true};
    struct listener listener = {.pair = each, .context = context};
    return ask_lines(client, &request, "compaction", &listener);
}

enum farpage_status farpage_command(struct farpage *client, const char *line,
                                    void (*each)(void *context, const char *line), void *context)
{
    if (client == NULL || line == NULL) return FARPAGE_INVALID;
    size_t line_bytes = strnlen(line, LINE_BYTES_MAX + 1);
    if (line_bytes == 0 || line_bytes > LINE_BYTES_MAX || memchr(line, '\n', line_bytes) != NULL) {
        reason_set(&client->reason, "a command is one line of 1 to %d bytes", LINE_BYTES_MAX);
        return FARPAGE_INVALID;
    }
    struct op_request request = {
        .opcode = FRAME_COMMAND,
        .body = slice_of(line, line_bytes),
        .said_bytes_max = REFUSAL_BYTES_MAX,
    };
    struct listener listener = {.line = each, .context = context};
    return ask_lines(client, &request, "command", &listener);
}
