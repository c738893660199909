/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config_table.h"

#include "base/check.h"
#include "server/config/config_doors.h"

enum when { RESTART, RELOAD, NEEDED, NEEDED_RELOAD };

#define KEY_ROW(path, kind, structure, member, initial, least, most, choices, when, help)          \
    {path,    kind,                                                                                \
     when == RELOAD || when == NEEDED_RELOAD, when == NEEDED || when == NEEDED_RELOAD,             \
     offsetof(structure, member),                                                                  \
     initial, least, most,           choices,        help},
static const struct config_key keys[] = {CONFIG_KEYS(KEY_ROW)};
#undef KEY_ROW

/* What the rows do not say, their order does: see find_keys(). */
#define MAP_ROW(name, help) {name, help, NULL, 0, false, 0, 0, 0, 0, 0},
#define LIST_ROW(name, item, member, least, most, help)                                            \
    {name, help, NULL, 0, true, least, most, offsetof(struct config, member##_count),              \
     offsetof(struct config, member), sizeof(item)},
static const struct config_section sections[] = {CONFIG_SECTIONS(MAP_ROW, LIST_ROW)};
#undef MAP_ROW
#undef LIST_ROW

_Static_assert(FP_COUNT_OF(keys) <= CONFIG_KEYS_MAX, "struct config has room for every origin");
_Static_assert(offsetof(struct config_listener, item) == 0, "items begin with struct config_item");
_Static_assert(offsetof(struct config_area, item) == 0, "items begin with struct config_item");
_Static_assert(offsetof(struct config_export, item) == 0, "items begin with struct config_item");
_Static_assert(offsetof(struct config_tenant, item) == 0, "items begin with struct config_item");
_Static_assert(sizeof(enum config_algorithm) == sizeof(unsigned) &&
                   sizeof(enum log_level) == sizeof(unsigned),
               "a choice is written through an unsigned");

static bool is_of(const struct config_key *key, const char *section)
{
    size_t size = strlen(section);
    return strncmp(key->path, section, size) == 0 &&
           (key->path[size] == '.' || key->path[size] == '[');
}

/* A section's rows stand together. */
static void find_keys(struct config_section *section)
{
    const struct config_key *end = keys + FP_COUNT_OF(keys);
    const struct config_key *first = keys;
    while (first < end && !is_of(first, section->name)) first++;
    size_t count = 0;
    while (first + count < end && is_of(first + count, section->name)) count++;
    fp_assert(count > 0 && (!section->is_list || count <= CONFIG_ITEM_KEYS_MAX));
    section->keys = first;
    section->key_count = count;
}

bool config_section_at(size_t i, struct config_section *section)
{
    if (i >= FP_COUNT_OF(sections)) return false;
    *section = sections[i];
    find_keys(section);
    return true;
}

bool config_section_find(struct slice name, struct config_section *section)
{
    for (size_t i = 0; config_section_at(i, section); i++)
        if (slice_is(name, section->name)) return true;
    return false;
}

const struct config_key *config_key_find(struct slice path)
{
    for (size_t i = 0; i < FP_COUNT_OF(keys); i++)
        if (slice_is(path, keys[i].path)) return &keys[i];
    return NULL;
}

const struct config_key *config_section_key(const struct config_section *section, struct slice name)
{
    for (size_t i = 0; i < section->key_count; i++)
        if (slice_is(name, config_key_name(&section->keys[i]))) return &section->keys[i];
    return NULL;
}

const char *config_key_name(const struct config_key *key)
{
    const char *dot = strrchr(key->path, '.');
    fp_assert(dot != NULL);
    return dot + 1;
}

size_t config_key_row(const struct config_key *key)
{
    fp_assert(key >= keys && key < keys + FP_COUNT_OF(keys));
    return (size_t)(key - keys);
}

uint32_t config_item_count(const struct config_section *section, const struct config *config)
{
    fp_assert(section->is_list);
    return *(const uint32_t *)(const void *)((const char *)config + section->count_offset);
}

const struct config_item *config_item_at(const struct config_section *section,
                                         const struct config *config, uint32_t i)
{
    fp_assert(i < config_item_count(section, config));
    const char *items = (const char *)config + section->items_offset;
    return (const struct config_item *)(const void *)(items + i * section->item_bytes);
}

static const char *choice_name(const char *path, unsigned choice)
{
    const struct config_key *key = config_key_find(slice_text(path));
    fp_assert(key != NULL && key->kind == KIND_CHOICE);
    for (unsigned i = 0; i < choice; i++) fp_assert(key->choices[i] != NULL);
    return key->choices[choice];
}

bool config_wants_login(const struct config *config, const struct config_listener *listener)
{
    return config->auth.file[0] != '\0' && listener->auth == CONFIG_SWITCH_ON &&
           listener->protocol != CONFIG_NBD;
}

bool config_serves_monitors(const struct config *config)
{
    for (uint32_t i = 0; i < config->listeners_count; i++)
        if (config->listeners[i].protocol == CONFIG_HTTP) return true;
    return false;
}

bool config_uses_tls(const struct config *config)
{
    for (uint32_t i = 0; i < config->listeners_count; i++)
        if (config->listeners[i].tls == CONFIG_SWITCH_ON) return true;
    return false;
}

const char *config_protocol_name(enum config_protocol protocol)
{
    return choice_name("listeners[].protocol", (unsigned)protocol);
}

const char *config_algorithm_name(enum config_algorithm algorithm)
{
    return choice_name("compressor.algorithm", (unsigned)algorithm);
}

const char *config_stronger_name(enum config_stronger algorithm)
{
    return choice_name("recompress.algorithm", (unsigned)algorithm);
}

const char *config_allocator_name(enum config_allocator allocator)
{
    return choice_name("storage.allocator", (unsigned)allocator);
}

bool config_export_is_template(const struct config_export *export)
{
    size_t size = strlen(export->name);
    return size > 0 && export->name[size - 1] == '*';
}
