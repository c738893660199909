/* SPDX-License-Identifier: BSD-3-Clause
 * loading - a configuration from a text, and all that was said about it. */
#ifndef FARPAGE_TESTS_UNIT_SERVER_LOADING_H
#define FARPAGE_TESTS_UNIT_SERVER_LOADING_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config/config.h"
#include "tests/unit/base/suite.h"

struct loading {
    enum fp_status status;
    struct config *config; /* NULL where it was refused */
    char *said;            /* what config_errors_print wrote */
    size_t said_bytes;
    size_t errors;
};

static inline struct loading load(const char *path, const char *const *sets, size_t set_count)
{
    struct loading loading = {.said = NULL};
    struct config_errors errors;
    config_errors_init(&errors);
    loading.status = config_load(path, sets, set_count, &loading.config, &errors);
    loading.errors = config_errors_count(&errors);
    FILE *out = open_memstream(&loading.said, &loading.said_bytes);
    ck_assert_ptr_nonnull(out);
    config_errors_print(&errors, out);
    fclose(out);
    config_errors_fini(&errors);
    ck_assert((loading.status == FP_OK) == (loading.config != NULL));
    ck_assert((loading.status == FP_OK) == (loading.errors == 0));
    return loading;
}

static inline struct loading load_bytes(const void *bytes, size_t size_bytes)
{
    char path[] = "/tmp/farpage-check-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size_bytes), (ssize_t)size_bytes);
    close(fd);
    struct loading loading = load(path, NULL, 0);
    unlink(path);
    return loading;
}

static inline struct loading load_text(const char *text)
{
    return load_bytes(text, strlen(text));
}

static inline struct loading load_set(const char *set)
{
    return load(NULL, (const char *const[]){set}, 1);
}

static inline void unload(struct loading *loading)
{
    config_destroy(&loading->config);
    free(loading->said);
}

static inline char *read_all(FILE *file)
{
    char *text = calloc(1, CONFIG_FILE_BYTES_MAX + 1);
    ck_assert_ptr_nonnull(text);
    rewind(file);
    size_t size = fread(text, 1, CONFIG_FILE_BYTES_MAX, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

static inline char *read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened", path);
    return read_all(file);
}

/* Everything that a FILE * was given, as a text to be freed. */
static inline char *written(void (*write_to)(const void *, FILE *), const void *context)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    write_to(context, file);
    return read_all(file);
}

static inline const char *in_source(const char *path, char full[4096])
{
    const char *source = getenv("FARPAGE_SOURCE");
    ck_assert_msg(source != NULL, "FARPAGE_SOURCE names the source tree; ctest sets it");
    snprintf(full, 4096, "%s/%s", source, path);
    return full;
}

#endif
