/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void words_init(struct words *words, const char *program)
{
    *words = (struct words){.count = 0};
    words_add(words, "%s", program);
}

void words_add(struct words *words, const char *format, ...)
{
    size_t room = sizeof words->room - words->used;
    va_list values;
    va_start(values, format);
    int bytes = vsnprintf(words->room + words->used, room, format, values);
    va_end(values);
    if (bytes < 0 || (size_t)bytes >= room || words->count == WORDS_MAX) {
        words->overflow = true;
        return;
    }
    words->word[words->count++] = words->room + words->used;
    words->word[words->count] = NULL;
    words->used += (size_t)bytes + 1;
}

static bool is_plain(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:=@,+%";
    return word[0] != '\0' && word[strspn(word, plain)] == '\0';
}

static void put(char line[WORDS_LINE_BYTES], size_t *at, const char *text)
{
    while (*text != '\0' && *at + 1 < WORDS_LINE_BYTES) line[(*at)++] = *text++;
    line[*at] = '\0';
}

void words_line(const struct words *words, char line[WORDS_LINE_BYTES])
{
    size_t at = 0;
    line[0] = '\0';
    for (unsigned i = 0; i < words->count; i++) {
        if (i > 0) put(line, &at, " ");
        if (is_plain(words->word[i])) {
            put(line, &at, words->word[i]);
            continue;
        }
        put(line, &at, "'");
        for (const char *c = words->word[i]; *c != '\0'; c++)
            put(line, &at, *c == '\'' ? "'\\''" : (const char[]){*c, '\0'});
        put(line, &at, "'");
    }
}
