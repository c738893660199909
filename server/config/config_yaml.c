/* SPDX-License-Identifier: BSD-3-Clause
 * YAML comes in here, as libyaml's events: its document API builds trees that nest without bound
 * and takes time quadratic in their depth. Each walk_*() enters with walk->event being the first
 * of its node and leaves with it being the last; false means that nothing more can be read. */
#include <inttypes.h>
#include <yaml.h>

#include "base/check.h"
#include "server/config/config_build.h"

struct walk {
    struct config_build *build;
    yaml_parser_t parser;
    yaml_event_t event;
    uint32_t depth;        /* of the current event, in open mappings and sequences */
    uint32_t line, column; /* of the text's first character, from 0 */
    uint32_t end_column;   /* behind the last, of an argument */
    enum fp_status status;
};

static struct config_place place_at(const struct walk *walk, yaml_mark_t start, size_t width)
{
    /* An argument is one line, but its end may be taken for the beginning of the next. */
    if (walk->build->source->arguments != NULL && start.line > 0)
        start = (yaml_mark_t){.column = walk->end_column};
    return (struct config_place){
        .source = walk->build->source,
        .line = (uint32_t)start.line + walk->line + 1,
        .column = (uint32_t)start.column + walk->column + 1,
        .width = (uint32_t)width,
    };
}

static struct config_place here(const struct walk *walk)
{
    yaml_mark_t start = walk->event.start_mark;
    yaml_mark_t end = walk->event.end_mark;
    return place_at(walk, start, end.line == start.line ? end.column - start.column : 1);
}

static bool is(const struct walk *walk, yaml_event_type_t type)
{
    return walk->event.type == type;
}

static struct slice scalar(const struct walk *walk)
{
    fp_assert(is(walk, YAML_SCALAR_EVENT));
    return slice_of(walk->event.data.scalar.value, walk->event.data.scalar.length);
}

static struct slice rest_of_text(const struct walk *walk, size_t at)
{
    struct slice text = walk->build->source->text;
    return at < text.size_bytes ? slice_of(text.bytes + at, text.size_bytes - at) : slice_of("", 0);
}

/* libyaml's marks count characters. */
static bool is_tab_at(const struct walk *walk, size_t index)
{
    struct slice rest = rest_of_text(walk, 0);
    for (size_t i = 0; i < rest.size_bytes; i++) {
        bool continues = (rest.bytes[i] & 0xc0) == 0x80;
        if (!continues && index-- == 0) return rest.bytes[i] == '\t';
    }
    return false;
}

static void report_syntax(struct walk *walk)
{
    const yaml_parser_t *parser = &walk->parser;
    walk->status = parser->error == YAML_MEMORY_ERROR ? FP_NO_MEMORY : FP_INVALID;
    if (walk->status == FP_NO_MEMORY) return;
    struct config_place place = place_at(walk, parser->problem_mark, 1);
    if (parser->error == YAML_READER_ERROR) place = (struct config_place){.source = place.source};
    const char *problem = parser->problem != NULL ? parser->problem : "it cannot be read";
    if (parser->error == YAML_SCANNER_ERROR && is_tab_at(walk, parser->problem_mark.index))
        config_error_add(walk->build->errors, place, "a tab; YAML is indented with spaces");
    else if (parser->context != NULL)
        config_error_add(walk->build->errors, place, "not YAML: %s %s", parser->context, problem);
    else
        config_error_add(walk->build->errors, place, "not YAML: %s", problem);
}

/* What YAML can say and a configuration should not: names for values elsewhere, and types. */
static void refuse_decoration(struct walk *walk)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (is(walk, YAML_SCALAR_EVENT)) {
        anchor = walk->event.data.scalar.anchor;
        tag = walk->event.data.scalar.tag;
    } else if (is(walk, YAML_MAPPING_START_EVENT)) {
        anchor = walk->event.data.mapping_start.anchor;
        tag = walk->event.data.mapping_start.tag;
    } else if (is(walk, YAML_SEQUENCE_START_EVENT)) {
        anchor = walk->event.data.sequence_start.anchor;
        tag = walk->event.data.sequence_start.tag;
    }
    struct config_errors *errors = walk->build->errors;
    if (is(walk, YAML_ALIAS_EVENT))
        config_error_add(errors, here(walk), "an alias (*) is not taken; write the value itself");
    if (anchor != NULL)
        config_error_add(errors, here(walk), "an anchor (&) is not taken; write each value out");
    if (tag != NULL)
        config_error_add(errors, here(walk), "a tag (!) is not taken; every key has its type");
}

static bool next(struct walk *walk)
{
    yaml_event_delete(&walk->event);
    if (!yaml_parser_parse(&walk->parser, &walk->event)) {
        report_syntax(walk);
        return false;
    }
    refuse_decoration(walk);
    if (is(walk, YAML_MAPPING_START_EVENT) || is(walk, YAML_SEQUENCE_START_EVENT)) walk->depth++;
    if (is(walk, YAML_MAPPING_END_EVENT) || is(walk, YAML_SEQUENCE_END_EVENT)) walk->depth--;
    if (walk->depth <= CONFIG_DEPTH_MAX) return true;
    config_error_add(walk->build->errors, here(walk), "nested deeper than %d", CONFIG_DEPTH_MAX);
    walk->status = FP_INVALID;
    return false;
}

/* Over the node whose first event is the current one. */
static bool skip(struct walk *walk)
{
    if (!is(walk, YAML_MAPPING_START_EVENT) && !is(walk, YAML_SEQUENCE_START_EVENT)) return true;
    uint32_t outside = walk->depth - 1;
    while (walk->depth > outside)
        if (!next(walk)) return false;
    return true;
}

static bool skip_next(struct walk *walk)
{
    return next(walk) && skip(walk);
}

/* An error at the current node, and over it. An alias has been refused already. */
static bool refuse(struct walk *walk, const char *label, const char *what)
{
    if (is(walk, YAML_ALIAS_EVENT)) return true;
    struct config_place place = here(walk);
    if (!is(walk, YAML_SCALAR_EVENT)) place.width = 1;
    config_error_add(walk->build->errors, place, "%s %s", label, what);
    return skip(walk);
}

/* "areas:" and nothing behind it: all its keys may have been commented out. */
static bool is_empty(const struct walk *walk)
{
    return is(walk, YAML_SCALAR_EVENT) && scalar(walk).size_bytes == 0 &&
           walk->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool walk_value(struct walk *walk, const struct config_target *target,
                       const struct config_key *key)
{
    if (is(walk, YAML_SCALAR_EVENT)) {
        config_assign(walk->build, target, key, scalar(walk), here(walk));
        return true;
    }
    char label[64];
    snprintf(label, sizeof label, "%s.%s", target->label, config_key_name(key));
    return refuse(walk, label, "is one value, not a list or keys of its own");
}

static bool walk_pair(struct walk *walk, const struct config_target *target)
{
    if (!is(walk, YAML_SCALAR_EVENT))
        return refuse(walk, target->label, "has a key that is not a word") && skip_next(walk);
    const struct config_key *key = config_section_key(&target->section, scalar(walk));
    if (key == NULL) {
        config_unknown_key(walk->build, target, scalar(walk), here(walk));
        return skip_next(walk);
    }
    if (!config_claim(walk->build, target, key, here(walk))) return skip_next(walk);
    return next(walk) && walk_value(walk, target, key);
}

static bool walk_mapping(struct walk *walk, const struct config_target *target)
{
    for (;;) {
        if (!next(walk)) return false;
        if (is(walk, YAML_MAPPING_END_EVENT)) return true;
        if (!walk_pair(walk, target)) return false;
    }
}

static bool walk_item(struct walk *walk, const struct config_section *section)
{
    char label[64];
    uint32_t count = config_item_count(section, walk->build->config);
    if (!is(walk, YAML_MAPPING_START_EVENT)) {
        snprintf(label, sizeof label, "an item of %s", section->name);
        return refuse(walk, label, "is a set of keys, as in {key: value}");
    }
    if (count == section->most) {
        snprintf(label, sizeof label, "%s has more than %" PRIu32, section->name, section->most);
        return refuse(walk, label, "items");
    }
    struct config_place place = here(walk);
    place.width = 1;
    struct config_target target = config_item_begin(walk->build, section, place);
    if (!walk_mapping(walk, &target)) return false;
    config_item_end(walk->build, &target, place);
    return true;
}

static bool walk_list(struct walk *walk, const struct config_section *section)
{
    struct config_place place = here(walk);
    uint32_t seen = 0;
    config_list_clear(walk->build->config, section);
    if (!is_empty(walk)) {
        if (!is(walk, YAML_SEQUENCE_START_EVENT))
            return refuse(walk, section->name, "is a list, each item beginning with '-'");
        for (;; seen++) {
            if (!next(walk)) return false;
            if (is(walk, YAML_SEQUENCE_END_EVENT)) break;
            if (!walk_item(walk, section)) return false;
        }
    }
    if (seen < section->least)
        config_error_add(walk->build->errors, place, "%s is empty; at least %" PRIu32 " is needed",
                         section->name, section->least);
    return true;
}

static bool walk_section(struct walk *walk, const struct config_section *section)
{
    if (section->is_list) return walk_list(walk, section);
    if (is_empty(walk)) return true;
    if (!is(walk, YAML_MAPPING_START_EVENT))
        return refuse(walk, section->name, "holds keys of its own, on lines below it");
    struct config_target target = config_target_section(walk->build->config, section);
    return walk_mapping(walk, &target);
}

/* `first_lines` of sections, by the row of their first key; 0 where not met yet. */
static bool walk_top_pair(struct walk *walk, uint32_t first_lines[CONFIG_KEYS_MAX])
{
    struct config_section section;
    if (!is(walk, YAML_SCALAR_EVENT))
        return refuse(walk, "the top of the file", "has a key that is not a word") &&
               skip_next(walk);
    if (!config_section_find(scalar(walk), &section)) {
        config_unknown_key(walk->build, NULL, scalar(walk), here(walk));
        return skip_next(walk);
    }
    uint32_t *first = &first_lines[config_key_row(section.keys)];
    if (*first != 0) {
        config_error_add(walk->build->errors, here(walk),
                         "duplicate key '%s' (first set on line %" PRIu32 ")", section.name,
                         *first);
        return skip_next(walk);
    }
    *first = here(walk).line;
    return next(walk) && walk_section(walk, &section);
}

static bool walk_top(struct walk *walk)
{
    uint32_t first_lines[CONFIG_KEYS_MAX] = {0};
    if (is_empty(walk)) return true;
    if (!is(walk, YAML_MAPPING_START_EVENT))
        return refuse(walk, "a configuration", "is made of sections, as in 'server:'");
    for (;;) {
        if (!next(walk)) return false;
        if (is(walk, YAML_MAPPING_END_EVENT)) return true;
        if (!walk_top_pair(walk, first_lines)) return false;
    }
}

static void refuse_second(struct walk *walk)
{
    if (is(walk, YAML_STREAM_END_EVENT)) return;
    config_error_add(walk->build->errors, here(walk),
                     "a second document begins here; a file holds one configuration");
}

/* `section` alone, where it is not NULL. */
static void walk_stream(struct walk *walk, const struct config_section *section)
{
    if (!next(walk) || !next(walk)) return;
    bool nothing = is(walk, YAML_STREAM_END_EVENT);
    if (nothing && section != NULL)
        config_error_add(walk->build->errors, here(walk), "%s: no value is given ([]: none)",
                         section->name);
    if (nothing || !next(walk)) return;
    bool good = section != NULL ? walk_list(walk, section) : walk_top(walk);
    if (good && next(walk) && next(walk)) refuse_second(walk);
}

static enum fp_status walk_text(struct walk *walk, struct slice text,
                                const struct config_section *section)
{
    if (!yaml_parser_initialize(&walk->parser)) return FP_NO_MEMORY;
    yaml_parser_set_encoding(&walk->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&walk->parser, text.bytes, text.size_bytes);
    walk_stream(walk, section);
    yaml_event_delete(&walk->event);
    yaml_parser_delete(&walk->parser);
    return walk->status;
}

enum fp_status config_yaml_file(struct config_build *build)
{
    struct walk walk = {.build = build};
    build->source = &build->file;
    return walk_text(&walk, build->file.text, NULL);
}

enum fp_status config_yaml_list(struct config_build *build, const struct config_section *section,
                                uint32_t line, uint32_t at)
{
    fp_assert(line >= 1 && line <= build->sets.argument_count);
    struct slice text = slice_text(build->sets.arguments[line - 1] + at);
    struct walk walk = {.build = build,
                        .line = line - 1,
                        .column = at,
                        .end_column = (uint32_t)text.size_bytes};
    build->source = &build->sets;
    return walk_text(&walk, text, section);
}
