/* SPDX-License-Identifier: BSD-3-Clause
 * arguments - turns the command line into a struct cli, row by row. */
#ifndef FARPAGE_CLIENT_CLI_ARGUMENTS_H
#define FARPAGE_CLIENT_CLI_ARGUMENTS_H
#include "client/cli/cli.h"

/* CLI_GOOD with *command (CLI_COMMANDS_COUNT where none was named), or CLI_USAGE after a line on
 * stderr. Permutes argv: operands are gathered at its end. */
int arguments_parse(int argc, char **argv, struct cli *cli, enum cli_command *command)
    FP_MUST_CHECK;

/* The command of that name, or CLI_COMMANDS_COUNT. */
enum cli_command arguments_command(const char *name);
const char *arguments_command_name(enum cli_command command);

/* The command most like `name`, or NULL where none is near. */
const char *arguments_nearest_command(const char *name);

/* The same of the server's sections of statistics. */
const char *arguments_nearest_section(const char *name);

void arguments_print_overview(void);                  /* to stdout */
void arguments_print_help(enum cli_command command);  /* to stdout */

#endif
