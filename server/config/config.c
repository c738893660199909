/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "server/config/config_build.h"
#include "server/config/config_text.h"

static void add_fault(struct config_build *build, const struct config_source *source,
                      struct config_text_fault fault)
{
    struct config_place place = {source, fault.line, fault.column, 1};
    if (!fault.is_utf8)
        config_error_add(build->errors, place, "not UTF-8 text");
    else
        config_error_add(build->errors, place, "a control character (U+%04" PRIX32 ")",
                         fault.code);
}

/* All of the file, or as much as tells that it is too large. Negative, and errno, on failure. */
static ssize_t read_up_to(int fd, uint8_t *bytes, size_t room)
{
    size_t used = 0;
    while (used < room) {
        ssize_t got = read(fd, bytes + used, room - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static enum fp_status refuse_file(struct config_build *build, const char *why)
{
    struct config_place whole = {.source = &build->file};
    config_error_add(build->errors, whole, "%s", why);
    return FP_INVALID;
}

static enum fp_status read_file(struct config_build *build, uint8_t *bytes, size_t room)
{
    char why[128];
    struct stat about;
    int fd = open(build->file.name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t size = -1;
    if (fd >= 0) {
        if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode))
            errno = EISDIR;
        else
            size = read_up_to(fd, bytes, room);
    }
    int error = errno;
    if (fd >= 0) close(fd);
    if (size < 0) {
        snprintf(why, sizeof why, "cannot be read: %s", strerror(error));
        return refuse_file(build, why);
    }
    if (size > CONFIG_FILE_BYTES_MAX) {
        snprintf(why, sizeof why, "larger than %d KiB, the most a configuration may be",
                 CONFIG_FILE_BYTES_MAX >> 10);
        return refuse_file(build, why);
    }
    build->file.text = slice_of(bytes, (size_t)size);
    return FP_OK;
}

/* Editors on some systems begin a file with a mark that is no part of it. */
static void drop_byte_order_mark(struct slice *text)
{
    if (text->size_bytes >= 3 && memcmp(text->bytes, "\xef\xbb\xbf", 3) == 0)
        *text = slice_of(text->bytes + 3, text->size_bytes - 3);
}

static enum fp_status load_file(struct config_build *build, uint8_t *bytes, size_t room)
{
    struct config_text_fault fault;
    enum fp_status status = read_file(build, bytes, room);
    if (status != FP_OK) return status;
    drop_byte_order_mark(&build->file.text);
    if (config_text_good(build->file.text, &fault)) return config_yaml_file(build);
    add_fault(build, &build->file, fault);
    return FP_INVALID;
}

/* A key of a map section: its value is what stands behind '=', whatever YAML would make of it. */
static bool set_value(struct config_build *build, struct slice path, struct slice value,
                      struct config_place place)
{
    struct config_section section;
    const struct config_key *key = config_key_find(path);
    if (key == NULL) return false;
    const uint8_t *dot = memchr(path.bytes, '.', path.size_bytes);
    fp_assert(dot != NULL);
    fp_assert(config_section_find(slice_of(path.bytes, (size_t)(dot - path.bytes)), &section));
    struct config_target target = config_target_section(build->config, &section);
    config_assign(build, &target, key, value, place);
    return true;
}

enum fp_status config_set_one(struct config_build *build, uint32_t line)
{
    struct slice text = slice_text(build->sets.arguments[line - 1]);
    const uint8_t *equals = text.size_bytes ? memchr(text.bytes, '=', text.size_bytes) : NULL;
    size_t at = equals != NULL ? (size_t)(equals - text.bytes) : text.size_bytes;
    struct slice path = slice_of(text.bytes, at);
    struct config_place at_key = {&build->sets, line, 1, (uint32_t)at};
    struct config_section section;
    struct config_text_fault fault;
    bool is_text = config_text_good(text, &fault);
    if (!is_text || fault.line > 1) {
        if (is_text) fault = (struct config_text_fault){line, 1, true, '\n'};
        fault.line = line;
        add_fault(build, &build->sets, fault);
        return FP_INVALID;
    }
    if (equals == NULL) {
        config_error_add(build->errors, at_key, "no '='; --set takes KEY=VALUE");
        return FP_INVALID;
    }
    struct slice value = slice_of(equals + 1, text.size_bytes - at - 1);
    struct config_place at_value = {&build->sets, line, (uint32_t)at + 2,
                                    (uint32_t)value.size_bytes};
    if (config_section_find(path, &section) && section.is_list)
        return config_yaml_list(build, &section, line, (uint32_t)at + 1);
    if (at > 0 && memchr(path.bytes, '[', at) != NULL)
        config_error_add(build->errors, at_key,
                         "a list is set whole, as in areas=[{name: swap, size: 64MiB}]");
    else if (!set_value(build, path, value, at_value))
        config_unknown_path(build, path, at_key);
    return FP_OK;
}

static enum fp_status load_sources(struct config_build *build, uint8_t *bytes, size_t room)
{
    enum fp_status status = build->file.name != NULL ? load_file(build, bytes, room) : FP_OK;
    build->source = &build->sets;
    for (size_t i = 0; i < build->sets.argument_count && status != FP_NO_MEMORY; i++) {
        enum fp_status next = config_set_one(build, (uint32_t)i + 1);
        if (next != FP_OK) status = next;
    }
    /* Half a file says nothing about what goes together. */
    if (status == FP_OK) config_check(build);
    if (build->errors->no_memory) status = FP_NO_MEMORY;
    return status == FP_OK && build->errors->count > 0 ? FP_INVALID : status;
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy != NULL) memcpy(copy, text, size);
    return copy;
}

static void fit_to_machine(struct config *config, uint64_t memory_limit_bytes)
{
    const struct config_key *key = config_key_find(slice_text("storage.memory_limit"));
    if (memory_limit_bytes != 0)
        config->storage.memory_limit_bytes =
            max_u64(memory_limit_bytes, (uint64_t)key->least);
}

enum fp_status config_load_from(const struct config_sources *sources, struct config **config,
                                struct config_errors *errors)
{
    static const char *const no_sets[] = {NULL};
    const size_t room = CONFIG_FILE_BYTES_MAX + 1;
    enum fp_status status = FP_NO_MEMORY;
    const char *path = sources->path;
    fp_assert(errors->count == 0 && sources->set_count <= UINT32_MAX);
    *config = NULL;
    struct config *made = calloc(1, sizeof *made);
    uint8_t *bytes = malloc(room);
    if (made != NULL && bytes != NULL) {
        config_set_defaults(made);
        fit_to_machine(made, sources->memory_limit_bytes);
        if (path != NULL) made->file = copy_text(path);
        struct config_build build = {
            .config = made,
            .errors = errors,
            .file = {.name = path, .text = {bytes, 0}},
            .sets = {.name = "--set",
                     .arguments = sources->set_count > 0 ? sources->sets : no_sets,
                     .argument_count = sources->set_count},
        };
        if (path == NULL || made->file != NULL) status = load_sources(&build, bytes, room);
    }
    free(bytes);
    if (status != FP_OK) config_destroy(&made);
    *config = made;
    return status;
}

enum fp_status config_load(const char *path, const char *const *sets, size_t set_count,
                           struct config **config, struct config_errors *errors)
{
    const struct config_sources sources = {.path = path, .sets = sets, .set_count = set_count};
    return config_load_from(&sources, config, errors);
}

void config_destroy(struct config **config)
{
    if (*config == NULL) return;
    free((*config)->file);
    free(*config);
    *config = NULL;
}
