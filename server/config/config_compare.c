/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config_compare.h"

#include <inttypes.h>
#include <string.h>

#include "server/config/config_table.h"
#include "server/config/config_value.h"

enum { PATH_BYTES = 64 };

static const void *value_at(const void *base, const struct config_key *key)
{
    return (const char *)base + key->offset;
}

/* What the keys' offsets count from. */
static const void *base_of(const struct config_section *section, const struct config *config,
                           uint32_t i)
{
    return section->is_list ? (const void *)config_item_at(section, config, i) : config;
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
                  void (*visit)(void *context, const char *key, const char *value,
                                const struct config_origin *origin),
                  void *context)
{
    struct config_section section;
    for (size_t s = 0; config_section_at(s, &section); s++) {
        uint32_t items = section.is_list ? config_item_count(&section, config) : 1;
        for (uint32_t i = 0; i < items; i++) {
            const void *base = base_of(&section, config, i);
            const struct config_origin *origins =
                section.is_list ? config_item_at(&section, config, i)->origins
                                : &config->origins[config_key_row(section.keys)];
            for (size_t k = 0; k < section.key_count; k++) {
                char path[PATH_BYTES];
                char text[CONFIG_VALUE_BYTES];
                path_of(&section.keys[k], &section, i, path);
                config_value_text(&section.keys[k], value_at(base, &section.keys[k]), text);
                visit(context, path, text, &origins[k]);
            }
        }
    }
}

void config_origin_text(const struct config *config, const struct config_origin *origin,
                        char text[CONFIG_ORIGIN_BYTES])
{
    if (origin->from == CONFIG_FROM_DEFAULT)
        snprintf(text, CONFIG_ORIGIN_BYTES, "default");
    else if (origin->from == CONFIG_FROM_RUNNING)
        snprintf(text, CONFIG_ORIGIN_BYTES, "set");
    else
        snprintf(text, CONFIG_ORIGIN_BYTES, "%.110s:%" PRIu32,
                 origin->from == CONFIG_FROM_SET || config->file == NULL ? "--set" : config->file,
                 origin->line);
    for (; *text; text++)
        if (*text <= ' ' || *text > '~') *text = '?';
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
    const void *running = base_of(section, comparison->running, i);
    const void *next = base_of(section, comparison->next, i);
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

/* A list may change its length where all that its items say may change. */
static bool is_reloadable(const struct config_section *section)
{
    bool all = true;
    for (size_t i = 0; i < section->key_count; i++) all &= section->keys[i].reloadable;
    return all;
}

static void compare_list(struct comparison *comparison, const struct config_section *section)
{
    uint32_t running = config_item_count(section, comparison->running);
    uint32_t next = config_item_count(section, comparison->next);
    char running_text[CONFIG_VALUE_BYTES];
    char next_text[CONFIG_VALUE_BYTES];
    snprintf(running_text, sizeof running_text, "%" PRIu32, running);
    snprintf(next_text, sizeof next_text, "%" PRIu32, next);
    tell(comparison, (struct config_difference){section->name, running_text, next_text,
                                                is_reloadable(section)});
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
