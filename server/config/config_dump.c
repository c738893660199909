/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "server/config/config_dump.h"
#include "server/config/config_table.h"
#include "server/config/config_value.h"

enum { WRAP_COLUMNS = 88, ORIGIN_COLUMN = 44 };

/* "key: value" as YAML. Free words are quoted: a reader may think that 1e3 is a number. */
static int put_pair(FILE *out, const struct config_key *key, const char *text)
{
    int used = fprintf(out, "%s: ", config_key_name(key));
    bool free = key->kind == KIND_ADDRESS || key->kind == KIND_NAME ||
                key->kind == KIND_PATTERN || key->kind == KIND_PATH || key->kind == KIND_TEXT;
    if (!free)
        return used + fprintf(out, "%s", text);
    used += fprintf(out, "\"");
    for (; *text; text++) {
        bool escape = *text == '"' || *text == '\\';
        used += fprintf(out, escape ? "\\%c" : "%c", *text);
    }
    return used + fprintf(out, "\"");
}

static void put_origin(FILE *out, const struct config *config, const struct config_origin *origin,
                       int column)
{
    fprintf(out, "%*s# ", column < ORIGIN_COLUMN ? ORIGIN_COLUMN - column : 1, "");
    if (origin->from == CONFIG_FROM_DEFAULT) {
        fprintf(out, "default\n");
        return;
    }
    const char *name = origin->from == CONFIG_FROM_SET ? "--set" : config->file;
    for (; *name; name++) fputc((unsigned char)*name < ' ' ? '?' : *name, out); /* one line */
    fprintf(out, ":%" PRIu32 "\n", origin->line);
}

/* The keys of a section, or of an item of a list. */
static void dump_keys(FILE *out, const struct config *config, const struct config_section *section,
                      const struct config_item *item)
{
    const char *base = item != NULL ? (const char *)item : (const char *)config;
    const struct config_origin *origins =
        item != NULL ? item->origins : &config->origins[config_key_row(section->keys)];
    for (size_t k = 0; k < section->key_count; k++) {
        const struct config_key *key = &section->keys[k];
        char text[CONFIG_VALUE_BYTES];
        config_value_text(key, base + key->offset, text);
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
            dump_keys(out, config, &section, config_item_at(&section, config, k));
    }
}

static void put_wrapped(FILE *out, const char *head, const char *text)
{
    while (*text) {
        size_t line = strlen(text);
        if (line > WRAP_COLUMNS) line = WRAP_COLUMNS;
        while (text[line] != '\0' && text[line] != ' ') line--;
        fp_assert(line > 0);
        fprintf(out, "%s%.*s\n", head, (int)line, text);
        text += line + strspn(text + line, " ");
    }
}

/* What a key without a default might be. */
static const char *example_of(const struct config_key *key)
{
    if (key->initial != NULL) return key->initial;
    return key->kind == KIND_SIZE ? "1GiB" : "swap";
}

static void annotate_keys(FILE *out, const struct config_section *section)
{
    bool is_example = section->is_list && section->least == 0;
    for (size_t i = 0; i < section->key_count; i++) {
        const struct config_key *key = &section->keys[i];
        char takes[CONFIG_WHY_BYTES];
        config_value_takes(key, takes);
        put_wrapped(out, section->is_list && i > 0 ? "    # " : "  # ", key->help);
        fprintf(out, "%s# %s; %s\n", section->is_list && i > 0 ? "    " : "  ", takes,
                key->reloadable ? "reload" : "restart");
        fprintf(out, "%s%s", is_example ? "# " : "",
                !section->is_list ? "  " : i == 0 ? "  - " : "    ");
        put_pair(out, key, example_of(key));
        fprintf(out, "\n");
    }
}

void config_write_annotated(FILE *out)
{
    fprintf(out, "# farpaged.yaml: every key that farpaged knows, with its default. "
                 "What is left out has it too.\n"
                 "# This text is what `farpaged --dump-config=annotated` prints.\n"
                 "#\n"
                 "# Sizes are a number and KiB, MiB, GiB or TiB; durations a number and ms, s, m "
                 "or h.\n"
                 "# reload: a changed value takes effect on SIGHUP.\n"
                 "# restart: it does not, and a reload that would change it changes nothing at "
                 "all.\n");
    struct config_section section;
    for (size_t i = 0; config_section_at(i, &section); i++) {
        fprintf(out, "\n");
        put_wrapped(out, "# ", section.help);
        fprintf(out, "%s:\n", section.name);
        annotate_keys(out, &section);
    }
}

void config_write_help(FILE *out)
{
    struct config_section section;
    for (size_t i = 0; config_section_at(i, &section); i++) {
        for (size_t k = 0; k < section.key_count; k++) {
            const struct config_key *key = &section.keys[k];
            char takes[CONFIG_WHY_BYTES];
            config_value_takes(key, takes);
            fprintf(out, "  %s: %s%s\n", key->path,
                    key->initial != NULL ? key->initial : "(no default)",
                    key->reloadable ? " [reload]" : "");
            put_wrapped(out, "      ", key->help);
            fprintf(out, "      Takes %s.\n", takes);
        }
    }
}
