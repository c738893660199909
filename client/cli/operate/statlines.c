/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/operate/statlines.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"

static void keep_line(void *context, const char *name, const char *value)
{
    struct statlines *statlines = context;
    if (statlines->no_memory) return;
    if (statlines->count == statlines->room) {
        size_t room = statlines->room == 0 ? 64 : 2 * statlines->room;
        struct statline *lines = realloc(statlines->lines, room * sizeof *lines);
        statlines->no_memory = lines == NULL;
        if (statlines->no_memory) return;
        statlines->lines = lines;
        statlines->room = room;
    }
    struct statline *line = &statlines->lines[statlines->count++];
    *line = (struct statline){strdup(name), strdup(value)};
    statlines->no_memory = line->name == NULL || line->value == NULL;
}

enum farpage_status statlines_fetch(struct statlines *statlines, struct farpage *client,
                                    const char *section)
{
    *statlines = (struct statlines){0};
    enum farpage_status status = farpage_stats(client, section, keep_line, statlines);
    return status == FARPAGE_OK && statlines->no_memory ? FARPAGE_NO_MEMORY : status;
}

void statlines_fini(struct statlines *statlines)
{
    for (size_t i = 0; i < statlines->count; i++) {
        free(statlines->lines[i].name);
        free(statlines->lines[i].value);
    }
    free(statlines->lines);
    *statlines = (struct statlines){0};
}

static bool is_named(const char *name, const char *prefix, const char *suffix)
{
    if (suffix == NULL) return strcmp(name, prefix) == 0;
    size_t prefix_bytes = strlen(prefix);
    return strncmp(name, prefix, prefix_bytes) == 0 && name[prefix_bytes] == ':' &&
           strcmp(name + prefix_bytes + 1, suffix) == 0;
}

bool statlines_number(const struct statlines *statlines, const char *prefix, const char *suffix,
                      uint64_t *number)
{
    for (size_t i = 0; i < statlines->count; i++) {
        if (!is_named(statlines->lines[i].name, prefix, suffix)) continue;
        return number_u64(slice_text(statlines->lines[i].value), number);
    }
    return false;
}
