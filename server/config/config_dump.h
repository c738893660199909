/* SPDX-License-Identifier: BSD-3-Clause
 * config_dump - a configuration, and what one may say, as text. Any thread. */
#ifndef FARPAGE_SERVER_CONFIG_DUMP_H
#define FARPAGE_SERVER_CONFIG_DUMP_H
#include <stdio.h>

#include "server/config/config.h"

/* The configuration as YAML that loads to the same, each value with its origin as a comment. */
void config_dump(const struct config *config, FILE *out) FP_NONNULL(1, 2);

/* Every key with its meaning and its default: the text of conf/farpaged.yaml. */
void config_write_annotated(FILE *out) FP_NONNULL(1);

/* The keys for --help. */
void config_write_help(FILE *out) FP_NONNULL(1);

#endif
