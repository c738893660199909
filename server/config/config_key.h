/* SPDX-License-Identifier: BSD-3-Clause
 * config_key - what a row of config_table.h says, and how it is found.
 *
 * Pure; any thread.
 */
#ifndef FARPAGE_SERVER_CONFIG_KEY_H
#define FARPAGE_SERVER_CONFIG_KEY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "server/config/config.h"

/* How the rows write their limits. */
#define CONFIG_KIB(n) ((int64_t)(n) << 10)
#define CONFIG_MIB(n) ((int64_t)(n) << 20)
#define CONFIG_GIB(n) ((int64_t)(n) << 30)
#define CONFIG_TIB(n) ((int64_t)(n) << 40)
#define CONFIG_MS(n) ((int64_t)(n) * 1000000)
#define CONFIG_HOURS(n) ((int64_t)(n) * 3600 * 1000000000)
#define CONFIG_CHOICES(...) ((const char *const[]){__VA_ARGS__, NULL})

enum config_kind {
    KIND_COUNT,    /* uint32_t */
    KIND_INTEGER,  /* int32_t */
    KIND_SIZE,     /* uint64_t, bytes */
    KIND_DURATION, /* uint64_t, nanoseconds */
    KIND_CHOICE,   /* an enum whose values are the places of the names in `choices` */
    KIND_RATIO,    /* uint32_t, hundredths: "1.5" */
    KIND_ADDRESS,  /* struct config_address */
    KIND_NAME,     /* char[AREA_NAME_BYTES_MAX + 1]; `least` 0: it may be "" */
    KIND_PATTERN,  /* the same, or a name that ends in a slash and a star */
    KIND_PATH,     /* char[CONFIG_PATH_BYTES]: absolute, or "" where there is none */
    KIND_TEXT,     /* char[most + 1], of one line; it may be "" */
};

struct config_key {
    const char *path; /* "server.threads"; of a list's key "areas[].size" */
    enum config_kind kind;
    bool reloadable, needed;
    size_t offset;                   /* of the value in struct config, or in the list's item */
    const char *initial;             /* the default; NULL: there is none */
    int64_t least, most;             /* of numbers without choices */
    const char *const *choices;      /* NULL, or names up to a NULL */
    const char *help;
};

struct config_section {
    const char *name, *help;
    const struct config_key *keys; /* its rows, in order */
    size_t key_count;
    bool is_list; /* then: */
    uint32_t least, most;
    size_t count_offset, items_offset, item_bytes; /* the items begin with struct config_item */
};

/* The i-th section with its rows, in the order of the file; false after the last. */
bool config_section_at(size_t i, struct config_section *section) FP_MUST_CHECK FP_NONNULL(2);

bool config_section_find(struct slice name, struct config_section *section)
    FP_MUST_CHECK FP_NONNULL(2);

/* NULL where there is none. Of all keys by path, or of a section's by the last part. */
const struct config_key *config_key_find(struct slice path);
const struct config_key *config_section_key(const struct config_section *section,
                                            struct slice name);

const char *config_key_name(const struct config_key *key); /* the last part of its path */
size_t config_key_row(const struct config_key *key); /* its place in config->origins */

uint32_t config_item_count(const struct config_section *section, const struct config *config);
const struct config_item *config_item_at(const struct config_section *section,
                                         const struct config *config, uint32_t i);

#endif
