/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "server/config_table.h"
#include "server/config_text.h"
#include "server/config_value.h"

enum { TEXT_COLUMNS = 88, ORIGIN_COLUMN = 44, PATH_BYTES = 64 };

static const void *value_at(const void *base, const struct config_key *key)
{
    return (const char *)base + key->offset;
}

static const struct config_item *item_at(const struct config_section *section,
                                         const struct config *config, uint32_t i)
{
    return (const void *)((const char *)config + config_item_offset(section, i));
}

/* "areas[3].size" */
static void path_of(const struct config_key *key, const struct config_section *section, uint32_t i,
                    char path[PATH_BYTES])
{
    if (section->is_list)
        snprintf(path, PATH_BYTES, "%s[%" PRIu32 "].%s", section->name, i, config_key_name(key));
    else
        snprintf(path, PATH_BYTES, "%s", key->path);
}

void config_visit(const struct config *config,
                  void (*visit)(void *context, const char *key, const char *value), void *context)
{
    struct config_section section;
    for (size_t s = 0; config_section_at(s, &section); s++) {
        uint32_t items = section.is_list ? config_item_count(&section, config) : 1;
        for (uint32_t i = 0; i < items; i++) {
            const void *base = section.is_list ? (const void *)item_at(&section, config, i) : config;
            for (size_t k = 0; k < section.key_count; k++) {
                char path[PATH_BYTES];
                char text[CONFIG_VALUE_BYTES];
                path_of(&section.keys[k], &section, i, path);
                config_value_text(&section.keys[k], value_at(base, &section.keys[k]), text);
                visit(context, path, text);
            }
        }
    }
}

/* Two configurations being compared. */
struct comparison {
    const struct config *running, *next;
    void (*found)(void *context, const struct config_difference *difference);
    void *context;
    bool all_reloadable;
};

static void tell(struct comparison *comparison, struct config_difference difference)
{
    if (strcmp(difference.running, difference.next) == 0) return;
    if (!difference.reloadable) comparison->all_reloadable = false;
    comparison->found(comparison->context, &difference);
}

static void compare_keys(struct comparison *comparison, const struct config_section *section,
                         uint32_t i)
{
    const void *running = comparison->running;
    const void *next = comparison->next;
    if (section->is_list) {
        running = item_at(section, comparison->running, i);
        next = item_at(section, comparison->next, i);
    }
    for (size_t k = 0; k < section->key_count; k++) {
        const struct config_key *key = &section->keys[k];
        char path[PATH_BYTES];
        char running_text[CONFIG_VALUE_BYTES];
        char next_text[CONFIG_VALUE_BYTES];
        path_of(key, section, i, path);
        config_value_text(key, value_at(running, key), running_text);
        config_value_text(key, value_at(next, key), next_text);
        tell(comparison,
             (struct config_difference){path, running_text, next_text, key->reloadable});
    }
}

static void compare_list(struct comparison *comparison, const struct config_section *section)
{
    uint32_t running = config_item_count(section, comparison->running);
    uint32_t next = config_item_count(section, comparison->next);
    char running_text[CONFIG_VALUE_BYTES];
    char next_text[CONFIG_VALUE_BYTES];
    snprintf(running_text, sizeof running_text, "%" PRIu32, running);
    snprintf(next_text, sizeof next_text, "%" PRIu32, next);
    tell(comparison, (struct config_difference){section->name, running_text, next_text, false});
    for (uint32_t i = 0; i < running && i < next; i++) compare_keys(comparison, section, i);
}

bool config_differences(const struct config *running, const struct config *next,
                        void (*found)(void *context, const struct config_difference *difference),
                        void *context)
{
    struct comparison comparison = {running, next, found, context, true};
    struct config_section section;
    for (size_t i = 0; config_section_at(i, &section); i++) {
        if (section.is_list)
            compare_list(&comparison, &section);
        else
            compare_keys(&comparison, &section, 0);
    }
    return comparison.all_reloadable;
}

/* "key: value" as YAML. Free words are quoted: a reader may think that 1e3 is a number. */
static int put_pair(FILE *out, const struct config_key *key, const char *text)
{
    int used = fprintf(out, "%s: ", config_key_name(key));
    if (key->kind != KIND_ADDRESS && key->kind != KIND_NAME) return used + fprintf(out, "%s", text);
    used += fprintf(out, "\"");
    for (; *text; text++) used += fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    return used + fprintf(out, "\"");
}

static void put_origin(FILE *out, const struct config *config, const struct config_origin *origin,
                       int column)
{
    char file[CONFIG_QUOTE_BYTES];
    fprintf(out, "%*s# ", column < ORIGIN_COLUMN ? ORIGIN_COLUMN - column : 1, "");
    if (origin->from == CONFIG_FROM_DEFAULT)
        fprintf(out, "default\n");
    else if (origin->from == CONFIG_FROM_SET)
        fprintf(out, "--set:%" PRIu32 "\n", origin->line);
    else
        fprintf(out, "%s:%" PRIu32 "\n", config_text_quote(slice_text(config->file), file),
                origin->line);
}

/* One item or one section; `dash` is what its first line begins with. */
static void dump_keys(FILE *out, const struct config *config, const struct config_section *section,
                      const struct config_item *item)
{
    const void *base = item != NULL ? (const void *)item : config;
    const struct config_origin *origins =
        item != NULL ? item->origins : &config->origins[config_key_row(section->keys)];
    for (size_t k = 0; k < section->key_count; k++) {
        const struct config_key *key = &section->keys[k];
        char text[CONFIG_VALUE_BYTES];
        config_value_text(key, value_at(base, key), text);
        int column = fprintf(out, item == NULL ? "  " : k == 0 ? "  - " : "    ");
        put_origin(out, config, &origins[k], column + put_pair(out, key, text));
    }
}

void config_dump(const struct config *config, FILE *out)
{
    struct config_section section;
    for (size_t i = 0; config_section_at(i, &section); i++) {
        uint32_t items = section.is_list ? config_item_count(&section, config) : 0;
        fprintf(out, "%s:%s\n", section.name, section.is_list && items == 0 ? " []" : "");
        if (!section.is_list) dump_keys(out, config, &section, NULL);
        for (uint32_t k = 0; k < items; k++)
            dump_keys(out, config, &section, item_at(&section, config, k));
    }
}

/* Words of `text`, each line beginning with `head`. */
static void put_wrapped(FILE *out, const char *head, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > TEXT_COLUMNS) {
            fprintf(out, "\n");
            column = 0;
        }
        column += (size_t)fprintf(out, column == 0 ? "%s%.*s" : " %.*s", column == 0 ? head : "", 0,
                                  "");
        text += word;
        text += strspn(text, " ");
    }
    fprintf(out, "\n");
}
