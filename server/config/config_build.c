/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config_build.h"

#include <inttypes.h>

#include "base/check.h"
#include "server/config/config_text.h"
#include "server/config/config_value.h"

static void *value_at(void *base, const struct config_key *key)
{
    return (char *)base + key->offset;
}

static struct config_origin *origin_of(const struct config_target *target,
                                       const struct config_key *key)
{
    return &target->origins[key - target->section.keys];
}

static struct config_origin origin_here(const struct config_build *build, struct config_place place)
{
    return (struct config_origin){
        .from = build->running                  ? CONFIG_FROM_RUNNING
                : build->source == &build->file ? CONFIG_FROM_FILE
                                                : CONFIG_FROM_SET,
        .line = place.line,
        .column = place.column,
        .width = place.width,
    };
}

static void set_initial(void *base, const struct config_section *section)
{
    char why[CONFIG_WHY_BYTES];
    for (size_t i = 0; i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];
        if (key->initial == NULL) continue;
        fp_assert(config_value_read(key, slice_text(key->initial), value_at(base, key), why));
    }
}

static uint32_t *count_of(struct config *config, const struct config_section *section)
{
    return (uint32_t *)(void *)((char *)config + section->count_offset);
}

static struct config_item *item_add(struct config *config, const struct config_section *section)
{
    uint32_t i = (*count_of(config, section))++;
    fp_assert(i < section->most);
    void *item = (char *)config + section->items_offset + i * section->item_bytes;
    memset(item, 0, section->item_bytes);
    set_initial(item, section);
    return item;
}

void config_list_clear(struct config *config, const struct config_section *section)
{
    *count_of(config, section) = 0;
}

void config_set_defaults(struct config *config)
{
    struct config_section section;
    *config = (struct config){.file = NULL};
    for (size_t i = 0; config_section_at(i, &section); i++) {
        if (!section.is_list) set_initial(config, &section);
        for (uint32_t k = 0; k < section.least; k++) item_add(config, &section);
    }
}

struct config_target config_target_section(struct config *config,
                                           const struct config_section *section)
{
    struct config_target target = {.section = *section, .base = config};
    target.origins = &config->origins[config_key_row(section->keys)];
    snprintf(target.label, sizeof target.label, "%s", section->name);
    return target;
}

struct config_target config_item_begin(struct config_build *build,
                                       const struct config_section *section,
                                       struct config_place place)
{
    struct config_target target = {.section = *section};
    uint32_t i = config_item_count(section, build->config);
    struct config_item *item = item_add(build->config, section);
    item->origin = origin_here(build, place);
    target.base = item;
    target.origins = item->origins;
    snprintf(target.label, sizeof target.label, "%.20s[%" PRIu32 "]", section->name, i);
    return target;
}

void config_item_end(struct config_build *build, const struct config_target *target,
                     struct config_place place)
{
    for (size_t i = 0; i < target->section.key_count; i++) {
        const struct config_key *key = &target->section.keys[i];
        struct config_origin *origin = &target->origins[i];
        if (!key->needed || origin->from != CONFIG_FROM_DEFAULT) continue;
        origin->bad = true;
        config_error_add(build->errors, place, "%s has no '%s', which every item needs",
                         target->label, config_key_name(key));
    }
}

bool config_claim(struct config_build *build, const struct config_target *target,
                  const struct config_key *key, struct config_place place)
{
    struct config_origin *origin = origin_of(target, key);
    struct config_origin here = origin_here(build, place);
    if (origin->from != here.from) {
        *origin = here;
        return true;
    }
    config_error_add(build->errors, place,
                     "duplicate key '%s' in %s (first set on line %" PRIu32 ")",
                     config_key_name(key), target->label, origin->line);
    return false;
}

void config_assign(struct config_build *build, const struct config_target *target,
                   const struct config_key *key, struct slice text, struct config_place place)
{
    char why[CONFIG_WHY_BYTES];
    struct config_origin *origin = origin_of(target, key);
    *origin = origin_here(build, place);
    if (config_value_read(key, text, value_at(target->base, key), why)) return;
    origin->bad = true;
    config_error_add(build->errors, place, "%s.%s: %s", target->label, config_key_name(key), why);
}

/* A word that stands in the wrong section is not misspelt; NULL where it fits none, or several. */
static const char *path_of_name(struct slice name)
{
    struct config_section section;
    const char *path = NULL;
    for (size_t i = 0; config_section_at(i, &section); i++) {
        const struct config_key *key = section.is_list ? NULL : config_section_key(&section, name);
        if (key != NULL && path != NULL) return NULL;
        if (key != NULL) path = key->path;
    }
    return path;
}

static void add_unknown(struct config_build *build, struct slice word, const char *where,
                        const char *best, struct config_place place)
{
    char quoted[CONFIG_QUOTE_BYTES];
    config_text_quote(word, quoted);
    if (best != NULL)
        config_error_add(build->errors, place, "unknown key %s%s; did you mean '%s'?", quoted,
                         where, best);
    else
        config_error_add(build->errors, place, "unknown key %s%s; --help lists the keys", quoted,
                         where);
}

void config_unknown_key(struct config_build *build, const struct config_target *target,
                        struct slice word, struct config_place place)
{
    char where[48] = "";
    struct config_guess guess = config_guess_of(word);
    struct config_section section;
    if (target != NULL) {
        snprintf(where, sizeof where, " in %s", target->label);
        for (size_t i = 0; i < target->section.key_count; i++)
            config_guess_offer(&guess, config_key_name(&target->section.keys[i]));
    } else {
        for (size_t i = 0; config_section_at(i, &section); i++)
            config_guess_offer(&guess, section.name);
    }
    add_unknown(build, word, where, guess.best != NULL ? guess.best : path_of_name(word), place);
}

void config_unknown_path(struct config_build *build, struct slice path, struct config_place place)
{
    struct config_guess guess = config_guess_of(path);
    struct config_section section;
    if (config_section_find(path, &section)) {
        config_error_add(build->errors, place, "'%s' is a section; name a key of it, as in %s",
                         section.name, section.keys[0].path);
        return;
    }
    for (size_t i = 0; config_section_at(i, &section); i++) {
        if (section.is_list) config_guess_offer(&guess, section.name);
        for (size_t k = 0; k < section.key_count && !section.is_list; k++)
            config_guess_offer(&guess, section.keys[k].path);
    }
    const char *named = path_of_name(path);
    add_unknown(build, path, "", named != NULL ? named : guess.best, place);
}
