/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/arguments.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "client/cli/say/nearest.h"

/* FLAG_OR_DURATION: its value only behind '='; the flag is at `given`. */
enum option_kind {
    KIND_FLAG, KIND_TEXT, KIND_NUMBER, KIND_SIZE, KIND_DURATION, KIND_FLAG_OR_DURATION
};

struct option_row {
    const char *name;
    enum option_kind kind;
    uint64_t commands; /* bit 1 << enum cli_command each */
    size_t field;      /* offset in struct cli */
    size_t given;      /* offset of a bool that says so; 0 where nobody asks */
    uint64_t lowest, highest;
    const char *placeholder, *help;
};

#define BIT_OF(command) ((uint64_t)1 << (command))
#define BIT(command) BIT_OF(CLI_##command)
#define ALL (BIT_OF(CLI_COMMANDS_COUNT) - 1)
_Static_assert(CLI_COMMANDS_COUNT < 64, "a bit each");
#define MOVERS (BIT(STORE) | BIT(LOAD) | BIT(VERIFY) | BIT(TRY))
#define FIELD(name) offsetof(struct cli, name)

static const struct option_row rows[] = {
    {"--server", KIND_TEXT, ALL, FIELD(server), 0, 0, 0, "ADDRESS",
     "HOST:PORT or unix:/path (else $FARPAGE_SERVER, else 127.0.0.1:11211)"},
    {"--tls", KIND_FLAG, ALL, FIELD(tls), 0, 0, 0, NULL,
     "speak TLS (else where $FARPAGE_TLS is 1)"},
    {"--tls-ca", KIND_TEXT, ALL, FIELD(tls_ca), 0, 0, 0, "FILE",
     "speak TLS, and believe servers of these authorities ($FARPAGE_TLS_CA; the system's)"},
    {"--tls-cert", KIND_TEXT, ALL, FIELD(tls_certificate), 0, 0, 0, "FILE",
     "show this certificate ($FARPAGE_TLS_CERT)"},
    {"--tls-key", KIND_TEXT, ALL, FIELD(tls_key), 0, 0, 0, "FILE",
     "its key ($FARPAGE_TLS_KEY)"},
    {"--auth-file", KIND_TEXT, ALL, FIELD(auth_file), 0, 0, 0, "FILE",
     "say who you are, by its line user:password ($FARPAGE_AUTH)"},
    {"--timeout", KIND_DURATION, ALL, FIELD(timeout_ns), FIELD(has_timeout), 1000000,
     4294967295000000ull, "TIME",
     "give up without an answer for so long, 500ms or 5s (10s; health: 2s)"},
    {"--json", KIND_FLAG, ALL, FIELD(json), 0, 0, 0, NULL, "print one JSON document"},
    {"--help", KIND_FLAG, ALL, FIELD(help), 0, 0, 0, NULL, "explain the command"},
    {"--version", KIND_FLAG, ALL, FIELD(version), 0, 0, 0, NULL, "print the version"},
    {"--size", KIND_SIZE, BIT(STORE), FIELD(size_bytes), FIELD(has_size), 1, UINT64_MAX, "SIZE",
     "size of the area, where it must be created (the file's)"},
    {"--size", KIND_SIZE, BIT(DICTIONARY), FIELD(size_bytes), FIELD(has_size), 256, 256 << 10,
     "SIZE", "size of the dictionary, at most (64KiB)"},
    {"--size", KIND_SIZE, BIT(AREAS), FIELD(size_bytes), FIELD(has_size), 1, UINT64_MAX, "SIZE",
     "size of the area that is created, a multiple of its pages"},
    {"--page-size", KIND_SIZE, BIT(AREAS), FIELD(page_bytes), 0, 4096, 65536, "SIZE",
     "size of its pages, 4KiB, 16KiB or 64KiB (the server's)"},
    {"--quota-pages", KIND_NUMBER, BIT(AREAS), FIELD(quota_pages), 0, 1, UINT64_MAX, "N",
     "pages that may be stored in it at once (all)"},
    {"--quota-bytes", KIND_SIZE, BIT(AREAS), FIELD(quota_bytes), 0, 1, UINT64_MAX, "SIZE",
     "what its pages may take, packed (any)"},
    {"--pad", KIND_FLAG, BIT(STORE) | BIT(VERIFY), FIELD(pad), 0, 0, 0, NULL,
     "fill the file's last page with zeros"},
    {"--sparse", KIND_FLAG, BIT(LOAD), FIELD(sparse), 0, 0, 0, NULL,
     "leave a hole for a slot that holds nothing"},
    {"--count", KIND_NUMBER, BIT(LOAD), FIELD(count), FIELD(has_count), 1, UINT64_MAX, "N",
     "load only the first N slots (the area's)"},
    {"--depth", KIND_NUMBER, MOVERS, FIELD(depth), 0, 1, 1024, "N",
     "requests on the way at once, per connection (32)"},
    {"--connections", KIND_NUMBER, MOVERS, FIELD(connections), 0, 1, 64, "N",
     "connections, each with a thread (1)"},
    {"--area", KIND_TEXT, BIT(TRY) | BIT(REPLAY), FIELD(area), 0, 0, 0, "NAME",
     "area to use; it must be new"},
    {"--keep", KIND_FLAG, BIT(TRY), FIELD(keep), 0, 0, 0, NULL,
     "leave the pages on the server afterwards"},
    {"--after", KIND_DURATION, BIT(TRY), FIELD(after_ns), FIELD(has_after), 0,
     86400ull * 1000000000, "TIME",
     "look at the memory after so long (when it has not grown for 1s)"},
    {"--pid", KIND_NUMBER, BIT(TRY), FIELD(pid), FIELD(has_pid), 1, 1 << 30, "PID",
     "take this process; it is stopped for the while and continues"},
    {"--pages", KIND_NUMBER, BIT(ADVISE), FIELD(pages), FIELD(has_pages), 1, 1 << 20, "N",
     "sample at most so many pages (16 MiB of them)"},
    {"--no-wait", KIND_FLAG, BIT(COMPACT) | BIT(DICTIONARY) | BIT(SCRUB) | BIT(SET),
     FIELD(no_wait), 0, 0, 0, NULL, "start it and leave the server to it"},
    {"--to", KIND_TEXT, BIT(DRAIN), FIELD(to), 0, 0, 0, "SERVER|FILE",
     "move the pages to another server, HOST:PORT or unix:/path, or to a file"},
    {"--all", KIND_FLAG, BIT(DRAIN), FIELD(all), 0, 0, 0, NULL,
     "drain every area; --to then names a server or a folder"},
    {"--advertise", KIND_TEXT, BIT(DRAIN), FIELD(advertise), 0, 0, 0, "ADDRESS",
     "where clients find the other server (as --to says)"},
    {"--wait", KIND_DURATION, BIT(DRAIN), FIELD(wait_ns), FIELD(has_wait), 1000000000,
     4294967295ull * 1000000000, "TIME", "without --to: how long the owner may take (60s)"},
    {"--verify", KIND_FLAG, BIT(REPLAY), FIELD(verify), 0, 0, 0, NULL,
     "load every slot at the end and compare it with the page files"},
    {"--connections", KIND_NUMBER, BIT(SWAP), FIELD(connections), FIELD(has_connections), 1, 16,
     "N", "connections to a server (2; 1 of a mirror)"},
    {"--priority", KIND_NUMBER, BIT(SWAP), FIELD(priority), FIELD(has_priority), 0, 32767, "N",
     "which swap is used first, the highest (10)"},
    {"--silence", KIND_DURATION, BIT(SWAP), FIELD(silence_ns), FIELD(has_silence), 1000000000,
     3600ull * 1000000000, "TIME",
     "a connection that is silent for so long is dead, in whole seconds (30s)"},
    {"--dry-run", KIND_FLAG, BIT(SWAP), FIELD(dry_run), 0, 0, 0, NULL,
     "print the commands and run none"},
    {"--force", KIND_FLAG, BIT(SWAP), FIELD(force), 0, 0, 0, NULL,
     "overwrite what an export holds; turn off what may not fit"},
    {"--local", KIND_TEXT, BIT(RUN), FIELD(local), 0, 0, 0, "SIZE|N%",
     "how much of the memory may stay here, 16MiB or more; N% of --total"},
    {"--total", KIND_SIZE, BIT(RUN), FIELD(total_bytes), 0, 1 << 20, UINT64_MAX, "SIZE",
     "what the program needs in all, for a --local in percent (this machine's memory)"},
    {"--remote", KIND_SIZE, BIT(RUN), FIELD(remote_bytes), 0, 1 << 20, 1ull << 44, "SIZE",
     "the most that may go to the server (1TiB)"},
    {"--grace", KIND_DURATION, BIT(RUN), FIELD(grace_ns), 0, 1000000, 4294967295000000ull, "TIME",
     "how long faults wait for a server that does not answer (30s)"},
    {"--stats", KIND_FLAG_OR_DURATION, BIT(RUN), FIELD(stats_ns), FIELD(stats), 100000000,
     86400ull * 1000000000, "[=TIME]", "tell at the end what it cost, and every TIME a line"},
    {"--mode", KIND_TEXT, BIT(RUN), FIELD(mode), 0, 0, 0, "MODE",
     "handler (sleeps between faults), spin (a processor's worth, the quickest), or pinned "
     "(sleeps; pager and program on one processor: for programs of one thread)"},
    {"--evict", KIND_TEXT, BIT(RUN), FIELD(evict), 0, 0, 0, "WAY",
     "move or protect: how pages are taken (move where Linux is 6.8 or newer)"},
    {"--user-mode-only", KIND_FLAG, BIT(RUN), FIELD(user_mode_only), 0, 0, 0, NULL,
     "do without any right: system calls fail on memory that is away (EFAULT)"},
};

struct command_row {
    const char *name, *operands;
    uint32_t fewest, most;
    const char *summary;
};

static const struct command_row commands[] = {
#define X(command, name, operands, fewest, most, run, summary) \
    {name, operands, fewest, most, summary},
    CLI_COMMANDS(X)
#undef X
};

enum cli_command arguments_command(const char *name)
{
    unsigned i = 0;
    while (i < CLI_COMMANDS_COUNT && strcmp(commands[i].name, name) != 0) i++;
    return (enum cli_command)i;
}

const char *arguments_command_name(enum cli_command command)
{
    return commands[command].name;
}

const char *arguments_nearest_command(const char *name)
{
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (unsigned i = 0; i < CLI_COMMANDS_COUNT; i++) nearest_offer(&nearest, commands[i].name);
    return nearest.best;
}

static const char *const sections[] = {
    "areas", "classes", "compaction", "compressors", "conns", "dictionaries", "exports", "items",
    "latency", "maps", "memory", "metrics", "pressure", "recompress", "sessions", "settings",
    "shrink", "sizes", "slabs", "spill", "tenants", "zpool", "zswap",
};

const char *arguments_nearest_section(const char *name)
{
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (size_t i = 0; i < FP_COUNT_OF(sections); i++) nearest_offer(&nearest, sections[i]);
    return nearest.best;
}

/* --- options -------------------------------------------------------------------------------- */

static int unknown_option(const char *argument, size_t name_bytes, enum cli_command command)
{
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)(name_bytes < 31 ? name_bytes : 31), argument);
    const char *of = command < CLI_COMMANDS_COUNT ? commands[command].name : NULL;
    struct nearest nearest;
    nearest_init(&nearest, name);
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        bool fits = command == CLI_COMMANDS_COUNT || (rows[i].commands & BIT_OF(command)) != 0;
        if (fits) nearest_offer(&nearest, rows[i].name);
    }
    if (nearest.best == NULL) return cli_usage(of, "unknown option '%s'", name);
    return cli_usage(of, "unknown option '%s'; did you mean '%s'?", name, nearest.best);
}

static bool is_duration(const struct option_row *row)
{
    return row->kind == KIND_DURATION || row->kind == KIND_FLAG_OR_DURATION;
}

static bool read_number(const struct option_row *row, const char *value, uint64_t *number)
{
    struct slice text = slice_text(value);
    bool good = row->kind == KIND_SIZE       ? number_size(text, number)
                : is_duration(row)           ? number_duration(text, number)
                                             : number_u64(text, number);
    return good && *number >= row->lowest && *number <= row->highest;
}

static int set_option(const struct option_row *row, const char *value, const char *of,
                      struct cli *cli)
{
    static const char *const wants[] = {
        [KIND_NUMBER] = "a number in range",
        [KIND_SIZE] = "a size, such as 64MiB",
        [KIND_DURATION] = "a time, such as 500ms or 5s",
        [KIND_FLAG_OR_DURATION] = "a time, such as 500ms or 5s",
    };
    char *base = (char *)cli;
    uint64_t number = 0;
    if (row->kind == KIND_FLAG) {
        *(bool *)(void *)(base + row->field) = true;
    } else if (row->kind == KIND_TEXT) {
        *(const char **)(void *)(base + row->field) = value;
    } else if (read_number(row, value, &number)) {
        *(uint64_t *)(void *)(base + row->field) = number;
    } else if (row->kind == KIND_NUMBER) {
        return cli_usage(of, "%s: '%s' is not a number from %llu to %llu", row->name, value,
                         (unsigned long long)row->lowest, (unsigned long long)row->highest);
    } else {
        bool bare = is_duration(row) && number_u64(slice_text(value), &number) &&
                    number > 0 && number <= row->highest / 1000000000;
        if (!bare) return cli_usage(of, "%s: '%s' is not %s", row->name, value, wants[row->kind]);
        return cli_usage(of, "%s: '%s' is not %s; did you mean '%ss'?", row->name, value,
                         wants[row->kind], value);
    }
    if (row->given != 0) *(bool *)(void *)(base + row->given) = true;
    return CLI_GOOD;
}

/* Takes the option at argv[*at], and its value behind it where it needs one. */
static int take_option(char **argv, int *at, enum cli_command command, struct cli *cli)
{
    const char *argument = strcmp(argv[*at], "-h") == 0   ? "--help"
                           : strcmp(argv[*at], "-V") == 0 ? "--version"
                                                          : argv[*at];
    size_t name_bytes = strcspn(argument, "=");
    const struct option_row *row = NULL;
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        bool same =
            strlen(rows[i].name) == name_bytes && memcmp(rows[i].name, argument, name_bytes) == 0;
        bool fits = command < CLI_COMMANDS_COUNT && (rows[i].commands & BIT_OF(command)) != 0;
        if (same && (row == NULL || fits)) row = &rows[i]; /* two commands may name one alike */
    }
    if (row == NULL) return unknown_option(argument, name_bytes, command);
    bool named = command < CLI_COMMANDS_COUNT;
    const char *of = named ? commands[command].name : NULL;
    if (!named && row->commands != ALL) {
        return cli_usage(NULL, "option '%s' belongs behind its command", row->name);
    }
    if (named && (row->commands & BIT_OF(command)) == 0) {
        return cli_usage(of, "'%s' has no option '%s'", of, row->name);
    }
    const char *value = argument[name_bytes] == '=' ? argument + name_bytes + 1 : NULL;
    if (row->kind == KIND_FLAG && value != NULL) {
        return cli_usage(of, "option '%s' takes no value", row->name);
    }
    if (row->kind == KIND_FLAG_OR_DURATION && value == NULL) {
        *(bool *)(void *)((char *)cli + row->given) = true;
        return CLI_GOOD;
    }
    if (row->kind != KIND_FLAG && value == NULL) {
        value = argv[++*at];
        if (value == NULL) return cli_usage(of, "option '%s' needs a value", row->name);
    }
    return set_option(row, value, of, cli);
}

/* --- the whole line ------------------------------------------------------------------------- */

static int name_command(const char *name, enum cli_command *command)
{
    *command = arguments_command(name);
    if (*command != CLI_COMMANDS_COUNT) return CLI_GOOD;
    const char *near = arguments_nearest_command(name);
    if (near == NULL) return cli_usage(NULL, "unknown command '%.40s'", name);
    return cli_usage(NULL, "unknown command '%.40s'; did you mean '%s'?", name, near);
}

static int check_operands(const struct cli *cli, enum cli_command command)
{
    const struct command_row *row = &commands[command];
    if (cli->help || cli->version) return CLI_GOOD;
    if (cli->operand_count < row->fewest) {
        return cli_usage(row->name, "'%s' needs %s", row->name, row->operands);
    }
    if (cli->operand_count > row->most) {
        return cli_usage(row->name, "'%s' does not know what to do with '%.60s'", row->name,
                         cli->operands[row->most]);
    }
    return CLI_GOOD;
}

static void take_variable(const char *name, const char **value)
{
    const char *from = getenv(name);
    if (*value == NULL && from != NULL && from[0] != '\0') *value = from;
}

static void take_environment(struct cli *cli)
{
    const char *tls = getenv("FARPAGE_TLS");
    if (tls != NULL && strcmp(tls, "1") == 0) cli->tls = true;
    take_variable("FARPAGE_TLS_CA", &cli->tls_ca);
    take_variable("FARPAGE_TLS_CERT", &cli->tls_certificate);
    take_variable("FARPAGE_TLS_KEY", &cli->tls_key);
    take_variable("FARPAGE_AUTH", &cli->auth_file);
}

int arguments_parse(int argc, char **argv, struct cli *cli, enum cli_command *command)
{
    *cli = (struct cli){.timeout_ns = 10000000000ull, .depth = 32, .connections = 1};
    *command = CLI_COMMANDS_COUNT;
    cli->operands = argv; /* operands never outnumber what was read: argv[0] is free to begin */
    bool only_operands = false;
    for (int at = 1; at < argc; at++) {
        char *argument = argv[at];
        int code = CLI_GOOD;
        if (!only_operands && strcmp(argument, "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argument[0] == '-' && argument[1] != '\0') {
            code = take_option(argv, &at, *command, cli);
        } else if (*command == CLI_COMMANDS_COUNT) {
            code = name_command(argument, command);
        } else {
            cli->operands[cli->operand_count++] = argument;
            /* What follows a program's name belongs to the program. */
            if (*command == CLI_TRY || *command == CLI_RUN) only_operands = true;
        }
        if (code != CLI_GOOD) return code;
    }
    cli->operands[cli->operand_count] = NULL;
    const char *from_environment = getenv("FARPAGE_SERVER");
    if (cli->server == NULL && from_environment != NULL && from_environment[0] != '\0') {
        cli->server = from_environment;
        cli->server_from_environment = true;
    }
    take_environment(cli);
    if (cli->server == NULL || cli->server[0] == '\0') cli->server = "127.0.0.1:11211";
    return *command == CLI_COMMANDS_COUNT ? CLI_GOOD : check_operands(cli, *command);
}

/* --- help ----------------------------------------------------------------------------------- */

static void print_options(uint64_t of, bool common)
{
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        if ((rows[i].commands & of) == 0 || (rows[i].commands == ALL) != common) continue;
        char left[40];
        const char *placeholder = rows[i].placeholder != NULL ? rows[i].placeholder : "";
        snprintf(left, sizeof left, "%s%s%s", rows[i].name, placeholder[0] == '[' ? "" : " ",
                 placeholder);
        printf("  %-18s %s\n", left, rows[i].help);
    }
}

enum { OVERVIEW_LEFT = 30 }; /* columns; a longer usage has a line of its own */

void arguments_print_overview(void)
{
    printf("farpage - keep memory pages on a farpage server\n\n"
           "usage: farpage [--server ADDRESS] COMMAND [OPTION...] ...\n\ncommands:\n");
    for (unsigned i = 0; i < CLI_COMMANDS_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].operands);
        bool fits = strlen(left) < OVERVIEW_LEFT;
        printf("  %-*s%s", fits ? OVERVIEW_LEFT : 0, left, fits ? "" : "\n");
        printf("%*s%s\n", fits ? 0 : OVERVIEW_LEFT + 2, "", commands[i].summary);
    }
    printf("\noptions of every command:\n");
    print_options(ALL, true);
    printf("\nexit codes: 0 good, 1 failed or different, 2 usage, 69 no server\n");
}

static void print_about_stats(void)
{
    printf("\nWithout SECTION, what monitors of memcached read. With it:");
    for (size_t i = 0; i < FP_COUNT_OF(sections); i++)
        printf("%s%s", i % 8 == 0 ? "\n  " : " ", sections[i]);
    printf("\nWhat each number means: docs/statistics.md.\n");
}

static void print_about_compressor(void)
{
    printf("\nThe next page stored is packed with it; what is stored stays readable as it is.\n"
           "ALGORITHM is lz4, lz4hc, zstd or none; without a LEVEL it takes its own. It lasts\n"
           "until the next 'set', or until SIGHUP makes the server read its configuration.\n");
}

static void print_about_dictionary(void)
{
    printf("\nThe server samples stored pages of the area, trains on half of them, packs the\n"
           "other half with and without, and keeps the dictionary where it saves more than 5 %%:\n"
           "then the area's next pages are packed with it. It goes on serving; Ctrl-C ends the\n"
           "watching only. 'farpage advise AREA' tells beforehand what there is to gain.\n");
}

static void print_about_advise(void)
{
    printf("\nStored pages, of one area or of all, are loaded from all over it and packed here,\n"
           "on this machine's processor, with the server's own code: so times are this machine's.\n"
           "Half of them trains a dictionary for each area, the other half is measured. 'memory'\n"
           "is what all stored pages would need: slots and dictionaries included, gaps not.\n"
           "  fast   the least memory of what packs and unpacks a page within 1.5 times the\n"
           "         least time\n"
           "  dense  the quickest of what needs at most 5 %% more than the least memory\n"
           "A dictionary that saves 5 %% or less is 'no gain' and never recommended.\n");
}

static void print_about_drain(void)
{
    printf("\nWithout --to, the clients that have the area open are asked to take their pages.\n"
           "With it, the pages are copied while the area is used, and copied again where they\n"
           "change, until little is left; then stores wait, loads go on, the last pages follow,\n"
           "and the server answers that the area moved, and where to. Whatever ends the drain\n"
           "before leaves the area as it was. A FILE is what 'farpage load --sparse' writes, and\n"
           "stores wait until it is written; its name has a slash, as ./swap.pages has.\n"
           "Once its clients have found the area at the other server, 'farpage areas delete'\n"
           "takes away what tells them.\n");
}

static void print_about_swap(void)
{
    printf("\nADDRESS is nbd://HOST[:PORT]/EXPORT, port 10809, or\n"
           "nbd+unix:///EXPORT?socket=/PATH; --server is not asked. It needs root, nbd-client\n"
           "and a kernel with the nbd module.\n"
           "  on      loads the module, sees to vm.min_free_kbytes, connects as is safe for swap,\n"
           "          makes the swap area, turns it on and looks whether it is. Of several\n"
           "          servers (up to 4) it makes a mirror, and one may die; it needs mdadm.\n"
           "          A step that fails says why, and those before it are undone.\n"
           "  off     brings every page back, then disconnects. Ctrl-C leaves it on.\n"
           "  status  shows what is on, how full, and what endangers it.\n"
           "What a machine may expect, and how it outlives its server: docs/swap.md.\n");
}

static void print_about_health(void)
{
    printf("\nOne line says how it is, and the exit code too:\n"
           "  0  it serves\n"
           "  1  it answers, and refuses: it is being drained, starts, stops, or lets nobody in\n"
           "  2  it does not answer\n");
}

static void print_about_config(void)
{
    printf("\nThe last column is where a value is from: default, FILE:LINE, --set:N of the\n"
           "server's command line, set (farpage set), or command (another one changed it\n"
           "since, such as compressor set). KEY may be the beginning of several, as storage is.\n");
}

static void print_about_set(void)
{
    printf("\nThe change does not outlive a restart, and the next reload takes it back: what\n"
           "is to stay goes into the file. Refused, with the reason: keys that need a restart,\n"
           "values that do not go together, limits below what is used, and what would let\n"
           "nobody in.\n");
}

static void print_about_reload(void)
{
    printf("\nAs SIGHUP: all of it is applied, or nothing is, and the exit code is 1. What was\n"
           "set by commands since goes, for the file wins.\n");
}

static void print_about_run(void)
{
    printf("\nAt most --local of the private anonymous memory of COMMAND and all that it starts\n"
           "is resident here; the rest is on the server, and comes back when it is touched.\n"
           "The program is not changed: a library is loaded into it (LD_PRELOAD), so it must be\n"
           "linked dynamically, with this system's C library, and not gain rights (set-user-ID).\n"
           "Files, shared and locked memory and the main thread's stack stay here.\n"
           "It takes a right to userfaultfd: root, /dev/userfaultfd opened to a group, or\n"
           "vm.unprivileged_userfaultfd=1.\n"
           "A page that the server lost is SIGBUS to who touches it, with a line that says which.\n"
           "Exit codes are the program's; 125 'run' itself failed, 126 COMMAND is no program,\n"
           "127 there is none; its signals are ours. A program whose 'farpage run' is killed is\n"
           "killed too. What it can and cannot do: docs/pager.md.\n");
}

static void print_about_replay(void)
{
    printf("\nTRACE is text, one record a line:\n"
           "  # farpage-trace 1             the first line\n"
           "  # slots N                     slots 0 to N-1\n"
           "  # corpus K NAME PAGES SHA256  the K-th file has so many pages of 4096 bytes\n"
           "  w SLOT K J                    store page J of file K\n"
           "  d SLOT                        forget the slot's page\n"
           "  c                             compact and wait for its end\n"
           "  s LABEL                       tell the figures now\n"
           "  # wait MILLISECONDS           pause; to other programs a comment, as any other #\n"
           "Pages go out 64 at once; two operations on one slot keep their order.\n"
           "One line of JSON is printed. resident_bytes is what the server's process holds beyond\n"
           "what it held before the area was opened: Pss_Anon, Pss_Shmem and SwapPss of\n"
           "/proc/PID/smaps_rollup, so it must run on this machine, we must be allowed to look,\n"
           "and it should be freshly started. compressed_bytes is the area's packed_bytes. The\n"
           "area, 'replay' unless --area says so, is left as the trace ends.\n");
}

void arguments_print_help(enum cli_command command)
{
    const struct command_row *row = &commands[command];
    printf("farpage %s - %s\n\nusage: farpage %s [OPTION...]%s%s\n", row->name, row->summary,
           row->name, row->operands[0] != '\0' ? " " : "", row->operands);
    if (command == CLI_TRY) {
        printf("       farpage try --pid PID [OPTION...]\n\n"
               "The program is stopped, its private anonymous pages are stored one by one, loaded\n"
               "back and compared with its memory. A COMMAND started here is ended afterwards;\n"
               "its output goes nowhere, its error messages to the terminal.\n");
    }
    if (command == CLI_LOAD) {
        printf("\nFILE keeps its old bytes until all of the new ones are there.\n");
    }
    if (command == CLI_COMPACT) {
        printf("\nThe server goes on serving. Ctrl-C ends the watching only.\n");
    }
    if (command == CLI_STATS) print_about_stats();
    if (command == CLI_HEALTH) print_about_health();
    if (command == CLI_CONFIG) print_about_config();
    if (command == CLI_SET) print_about_set();
    if (command == CLI_RELOAD) print_about_reload();
    if (command == CLI_COMPRESSOR) print_about_compressor();
    if (command == CLI_DICTIONARY) print_about_dictionary();
    if (command == CLI_ADVISE) print_about_advise();
    if (command == CLI_DRAIN) print_about_drain();
    if (command == CLI_SWAP) print_about_swap();
    if (command == CLI_REPLAY) print_about_replay();
    if (command == CLI_RUN) print_about_run();
    printf("\noptions:\n");
    print_options(BIT_OF(command), false);
    print_options(BIT_OF(command), true);
}
