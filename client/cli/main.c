/* SPDX-License-Identifier: BSD-3-Clause
 * farpage - the command: reads its arguments, runs one sub-command, answers with its exit code. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/arguments.h"
#include "client/cli/cli.h"
#include "client/cli/say/json.h"
#include "client/cli/run/run_program.h"
#include "client/cli/say/complaint.h"

int cli_fail(const struct cli *cli, int code, const char *format, ...)
{
    char sentence[2 * COMPLAINT_BYTES];
    va_list values;
    va_start(values, format);
    if (vsnprintf(sentence, sizeof sentence, format, values) < 0) sentence[0] = '\0';
    va_end(values);
    fflush(stdout);
    fprintf(stderr, "farpage: %s\n", sentence);
    if (cli->json) {
        struct json json;
        json_init(&json, stdout);
        json_object(&json, NULL);
        json_text(&json, "error", sentence);
        json_number(&json, "exit_code", (uint64_t)code);
        json_object_end(&json);
        putchar('\n');
    }
    return code;
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("farpage: ", stderr);
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "\nTry 'farpage help%s%s'.\n", command != NULL ? " " : "",
            command != NULL ? command : "");
    return CLI_USAGE;
}

static int exit_code_of(enum farpage_status status)
{
    if (status == FARPAGE_INVALID) return CLI_USAGE;
    bool nobody = status == FARPAGE_UNREACHABLE || status == FARPAGE_TIMEOUT ||
                  status == FARPAGE_DISCONNECTED || status == FARPAGE_NOT_READY;
    return nobody ? CLI_NO_SERVER : CLI_FAILED;
}

struct farpage_options cli_options(const struct cli *cli, const char *server)
{
    return (struct farpage_options){
        .server = server,
        .timeout_ms = (uint32_t)(cli->timeout_ns / 1000000),
        .flags = cli->tls ? FARPAGE_TLS : 0,
        .tls_ca = cli->tls_ca,
        .tls_certificate = cli->tls_certificate,
        .tls_key = cli->tls_key,
        .auth_file = cli->auth_file,
    };
}

bool cli_connect(const struct cli *cli, struct farpage **client, int *code)
{
    struct farpage_options options = cli_options(cli, cli->server);
    enum farpage_status status = farpage_connect(&options, client);
    if (status == FARPAGE_OK) return true;
    *code = exit_code_of(status);
    if (*code == CLI_USAGE) {
        cli_usage(NULL, "%s: %s", cli->server_from_environment ? "FARPAGE_SERVER" : "--server",
                  farpage_error(*client));
    } else if (status == FARPAGE_UNREACHABLE) { /* its sentence names the server */
        cli_fail(cli, *code, "%s", farpage_error(*client));
    } else {
        cli_fail(cli, *code, "server %.108s: %s", cli->server, farpage_error(*client));
    }
    farpage_disconnect(client);
    return false;
}

enum farpage_status cli_area_open(struct farpage *client, const char *name, uint64_t slots,
                                  struct farpage_area **area)
{
    struct farpage_area_options options = {
        .slots = slots, .flags = FARPAGE_AREA_SHARED, .pack = FARPAGE_PACK_OFF};
    return farpage_area_open(client, name, &options, area);
}

int cli_finish(const struct cli *cli, int code)
{
    (void)cli;
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    fprintf(stderr, "farpage: cannot write the output: %s\n", strerror(errno));
    return CLI_FAILED;
}

bool cli_colour(const struct cli *cli)
{
    const char *no_colour = getenv("NO_COLOR");
    return !cli->json && isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0');
}

int cli_help(const struct cli *cli)
{
    if (cli->operand_count == 0) {
        arguments_print_overview();
        return CLI_GOOD;
    }
    const char *name = cli->operands[0];
    enum cli_command command = arguments_command(name);
    if (command != CLI_COMMANDS_COUNT) {
        arguments_print_help(command);
        return CLI_GOOD;
    }
    const char *near = arguments_nearest_command(name);
    if (near == NULL) return cli_usage(NULL, "unknown command '%.40s'", name);
    return cli_usage(NULL, "unknown command '%.40s'; did you mean '%s'?", name, near);
}

int main(int argc, char **argv)
{
    static int (*const runs[])(const struct cli *cli) = {
#define X(command, name, operands, fewest, most, run, summary) [CLI_##command] = run,
        CLI_COMMANDS(X)
#undef X
    };
    struct cli cli;
    enum cli_command command;
    int code = arguments_parse(argc, argv, &cli, &command);
    if (code != CLI_GOOD) /* 2 might be the program's that is not run */
        return command == CLI_RUN ? RUN_FAILED : code;
    if (cli.version) {
        printf("farpage %s\n", FARPAGE_VERSION);
        return cli_finish(&cli, CLI_GOOD);
    }
    if (command == CLI_COMMANDS_COUNT) {
        if (!cli.help) return cli_usage(NULL, "a command is missing");
        arguments_print_overview();
        return cli_finish(&cli, CLI_GOOD);
    }
    if (cli.help) {
        arguments_print_help(command);
        return cli_finish(&cli, CLI_GOOD);
    }
    return cli_finish(&cli, runs[command](&cli));
}
