/* SPDX-License-Identifier: BSD-3-Clause
 * config_build - a configuration while it is being read: known only to config*.c.
 *
 *   config.c        1 defaults  2 the file  3 --set  4 cross-checks; then it is out of our hands
 *   config_yaml.c   events of YAML -> a target's keys (the only file that knows libyaml)
 *   config_build.c  a target and its keys: unknown, twice, understood or not
 *   config_check*.c values that do not go together
 */
#ifndef FARPAGE_SERVER_CONFIG_BUILD_H
#define FARPAGE_SERVER_CONFIG_BUILD_H
#include "server/config/config_table.h"

struct config_build {
    struct config *config;
    struct config_errors *errors;
    struct config_source file; /* its text is borrowed from who reads it */
    struct config_source sets;
    const struct config_source *source; /* the one being read */
    bool running; /* a running server's is changed: its sources are not there any more */
};

/* What keys are assigned to: the configuration itself, or an item of a list. */
struct config_target {
    struct config_section section;
    void *base;                    /* the keys' offsets count from here */
    struct config_origin *origins; /* one for each of section.keys[] */
    char label[32];                /* "server", "areas[3]" */
};

void config_set_defaults(struct config *config) FP_NONNULL(1);

struct config_target config_target_section(struct config *config,
                                           const struct config_section *section);

/* Empties a list. */
void config_list_clear(struct config *config, const struct config_section *section);

/* A new item at the end of a list that is not full, with its defaults; and, when its keys have been
 * assigned: is something missing? */
struct config_target config_item_begin(struct config_build *build,
                                       const struct config_section *section,
                                       struct config_place place);
void config_item_end(struct config_build *build, const struct config_target *target,
                     struct config_place place);

/* False, and an error, where the key has been given in this source before. */
bool config_claim(struct config_build *build, const struct config_target *target,
                  const struct config_key *key, struct config_place place) FP_MUST_CHECK;

void config_assign(struct config_build *build, const struct config_target *target,
                   const struct config_key *key, struct slice text, struct config_place place);

/* Errors for words that are no keys; a NULL target is the top of the file. */
void config_unknown_key(struct config_build *build, const struct config_target *target,
                        struct slice word, struct config_place place);
void config_unknown_path(struct config_build *build, struct slice path, struct config_place place);

/* Reads "key=value", argument `line` of build->sets. */
enum fp_status config_set_one(struct config_build *build, uint32_t line) FP_MUST_CHECK;

/* Reads build->file. FP_INVALID where it had to stop before the end; build->errors tells why. */
enum fp_status config_yaml_file(struct config_build *build) FP_MUST_CHECK;

/* Reads a list from argument `line` of build->sets, whose value begins at byte `at`. */
enum fp_status config_yaml_list(struct config_build *build, const struct config_section *section,
                                uint32_t line, uint32_t at) FP_MUST_CHECK;

/* Values that were not understood (origin.bad) are not compared. */
void config_check(struct config_build *build);
void config_check_doors(struct config_build *build); /* parts of it */
void config_check_exports(struct config_build *build);
void config_check_tenants(struct config_build *build);

/* Of a key by its path. */
const struct config_origin *config_origin_of(const struct config *config, const char *path);
/* Where to point: a value that was given, or an item's key by its row (the item itself where the
 * key has its default). */
struct config_place config_place_of(const struct config_build *build,
                                    const struct config_origin *origin);
struct config_place config_place_in_item(const struct config_build *build,
                                         const struct config_item *item, size_t key);

#endif
