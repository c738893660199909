/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "protocol/limits.h"

enum { SECTION_BYTES_MAX = 128 };

/* The body is copied out of the inbox: whoever is told the lines may make calls of its own. */
struct stats {
    char *text; /* owned; ended by a zero */
    bool no_memory;
};

/* Lines 'name value', or a bare name, each with a line end, and no zero byte anywhere. */
static bool sensible(struct slice body)
{
    if (body.size_bytes == 0) return true;
    if (memchr(body.bytes, '\0', body.size_bytes) != NULL) return false;
    return body.bytes[body.size_bytes - 1] == '\n';
}

static bool take_stats(void *context, const struct answer *answer)
{
    struct stats *stats = context;
    if (!sensible(answer->body)) return false;
    stats->text = malloc(answer->body.size_bytes + 1);
    stats->no_memory = stats->text == NULL;
    if (stats->no_memory) return true;
    memcpy(stats->text, answer->body.bytes, answer->body.size_bytes);
    stats->text[answer->body.size_bytes] = '\0';
    return true;
}

/* Who is told: one of the two. */
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
static enum farpage_status ask_lines(struct farpage *client, struct single *single,
                                     const struct listener *listener)
{
    struct stats stats = {0};
    single->call.ok_bytes_max = FRAME_REPLY_BODY_BYTES_MAX;
    single->answered = take_stats;
    single->context = &stats;
    enum farpage_status status = client_ask(client, single);
    if (status == FARPAGE_OK && stats.no_memory) {
        reason_set(&client->reason, "out of memory for the %s", single->what);
        status = FARPAGE_NO_MEMORY;
    }
    if (status == FARPAGE_OK) tell_lines(listener, stats.text);
    free(stats.text); /* also where nonsense came behind a good reply */
    return status;
}

enum farpage_status farpage_stats(struct farpage *client, const char *section,
                                  void (*each)(void *context, const char *name, const char *value),
                                  void *context)
{
    if (client == NULL || each == NULL) return FARPAGE_INVALID;
    enum farpage_status status = client_check_open(client);
    if (status != FARPAGE_OK) return status;
    size_t section_bytes = section != NULL ? strnlen(section, SECTION_BYTES_MAX + 1) : 0;
    if (section_bytes > SECTION_BYTES_MAX) {
        reason_set(&client->reason, "the name of a section is at most %d bytes", SECTION_BYTES_MAX);
        return FARPAGE_INVALID;
    }
    struct single single = {
        .call = {.frame = {.opcode = FRAME_STATS}, .body = slice_of(section, section_bytes)},
        .what = "statistics",
    };
    return ask_lines(client, &single, &(struct listener){.pair = each, .context = context});
}

enum farpage_status farpage_compact(struct farpage *client, int start,
                                    void (*each)(void *context, const char *name,
                                                 const char *value),
                                    void *context)
{
    if (client == NULL || each == NULL) return FARPAGE_INVALID;
    enum farpage_status status = client_check_open(client);
    if (status != FARPAGE_OK) return status;
    struct single single = {
        .call = {.frame = {.opcode = FRAME_COMPACT, .count = start != 0 ? 0 : 1}},
        .what = "compaction",
    };
    return ask_lines(client, &single, &(struct listener){.pair = each, .context = context});
}

enum farpage_status farpage_command(struct farpage *client, const char *line,
                                    void (*each)(void *context, const char *line), void *context)
{
    if (client == NULL || line == NULL) return FARPAGE_INVALID;
    enum farpage_status status = client_check_open(client);
    if (status != FARPAGE_OK) return status;
    size_t line_bytes = strnlen(line, LINE_BYTES_MAX + 1);
    if (line_bytes == 0 || line_bytes > LINE_BYTES_MAX || memchr(line, '\n', line_bytes) != NULL) {
        reason_set(&client->reason, "a command is one line of 1 to %d bytes", LINE_BYTES_MAX);
        return FARPAGE_INVALID;
    }
    struct single single = {
        .call = {.frame = {.opcode = FRAME_COMMAND},
                 .body = slice_of(line, line_bytes),
                 .refused_bytes_max = REFUSAL_BYTES_MAX},
        .what = "command",
    };
    return ask_lines(client, &single, &(struct listener){.line = each, .context = context});
}
