/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config_compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/config/config_build.h"

static struct config *copy_of(const struct config *config)
{
    struct config *copy = malloc(sizeof *copy);
    if (copy == NULL) return NULL;
    *copy = *config;
    copy->file = config->file != NULL ? strdup(config->file) : NULL;
    if (config->file == NULL || copy->file != NULL) return copy;
    free(copy);
    return NULL;
}

enum fp_status config_change(const struct config *running, const char *pair, struct config **next,
                             struct config_errors *errors)
{
    fp_assert(errors->count == 0);
    *next = copy_of(running);
    if (*next == NULL) return FP_NO_MEMORY;
    struct config_build build = {
        .config = *next,
        .errors = errors,
        .sets = {.name = "config set", .arguments = &pair, .argument_count = 1},
        .running = true,
    };
    build.source = &build.sets;
    enum fp_status status = config_set_one(&build, 1);
    if (status == FP_OK) config_check(&build);
    if (errors->no_memory) status = FP_NO_MEMORY;
    if (status == FP_OK && errors->count > 0) status = FP_INVALID;
    if (status != FP_OK) config_destroy(next);
    return status;
}

const char *config_error_message(const struct config_error *error)
{
    static const char before[] = ": error: ";
    const char *at = strstr(error->headline, before);
    return at != NULL ? at + sizeof before - 1 : error->headline;
}
