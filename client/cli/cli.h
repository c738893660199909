/* SPDX-License-Identifier: BSD-3-Clause
 * cli - what the sub-commands of `farpage` share: their rows, their options, how they fail. */
#ifndef FARPAGE_CLIENT_CLI_CLI_H
#define FARPAGE_CLIENT_CLI_CLI_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/include/farpage.h"

enum cli_exit {
    CLI_GOOD = 0,
    CLI_FAILED = 1, /* it did not work, or what was compared differs */
    CLI_USAGE = 2,
    CLI_NO_SERVER = 69, /* EX_UNAVAILABLE */
};

/* What the command line said. Strings are argv's. Zero or NULL where an option is absent. */
struct cli {
    const char *server; /* --server, else FARPAGE_SERVER, else the default; never NULL */
    bool json, help, version;
    bool pad, sparse, keep, no_wait, verify, all, dry_run, force;
    const char *tls_ca, *tls_certificate, *tls_key, *auth_file; /* or from the environment */
    bool tls;
    const char *area, *to, *advertise;
    uint64_t timeout_ns, size_bytes, count, depth, connections, after_ns, pid, pages, wait_ns;
    uint64_t page_bytes, quota_pages, quota_bytes, priority, silence_ns;
    bool has_size, has_count, has_after, has_pid, has_pages, has_wait;
    const char *local, *mode, *evict;
    uint64_t total_bytes, remote_bytes, grace_ns, stats_ns;
    bool stats, user_mode_only;
    bool has_connections, has_priority, has_silence, has_timeout;
    bool server_from_environment;
    char **operands; /* behind the sub-command; ended by NULL */
    unsigned operand_count;
};

/* X(name, operands, fewest, most, run, summary). fewest and most count operands. */
#define CLI_COMMANDS(X)                                                                            \
    X(PING, "ping", "", 0, 0, cli_ping, "ask the server for a sign of life")                       \
    X(STATS, "stats", "[SECTION]", 0, 1, cli_stats, "show the server's statistics")                \
    X(AREAS, "areas", "[create | delete NAME]", 0, 2, cli_areas,                                   \
      "show the server's areas and who has them open, create one, or delete it")                   \
    X(HEALTH, "health", "", 0, 0, cli_health, "say whether the server serves, and exit 0, 1 or 2") \
    X(CONFIG, "config", "[KEY]", 0, 1, cli_config,                                                 \
      "show what the server's configuration is, and where each value is from")                     \
    X(GET, "get", "KEY", 1, 1, cli_get, "print the value of a key of the configuration")           \
    X(SET, "set", "KEY VALUE", 2, 2, cli_set,                                                      \
      "change a key of the configuration until the next reload or restart")                        \
    X(RELOAD, "reload", "", 0, 0, cli_reload,                                                      \
      "have the server read its configuration again, and see what that came to")                   \
    X(SESSIONS, "sessions", "", 0, 0, cli_sessions,                                                \
      "show who is connected, since when, and what he has open")                                   \
    X(TENANTS, "tenants", "", 0, 0, cli_tenants,                                                   \
      "show who shares the server, what each holds, may hold and has borrowed")                    \
    X(MAPS, "maps", "", 0, 0, cli_maps, "show what is mapped, by whom and for how long")           \
    X(STORE, "store", "AREA FILE", 2, 2, cli_store, "keep the pages of a file in an area")         \
    X(LOAD, "load", "AREA FILE", 2, 2, cli_load, "write an area's pages to a file, - for stdout")  \
    X(VERIFY, "verify", "AREA FILE", 2, 2, cli_verify, "compare an area's pages with a file")      \
    X(INVALIDATE, "invalidate", "AREA [FIRST COUNT]", 1, 3, cli_invalidate,                        \
      "forget an area's pages, or COUNT of them from slot FIRST on")                               \
    X(TRY, "try", "[--] COMMAND [ARG...]", 0, UINT32_MAX, cli_try,                                 \
      "send a running program's memory out, bring it back, compare")                               \
    X(RUN, "run", "[--] COMMAND [ARG...]", 1, UINT32_MAX, cli_run,                                 \
      "run a program with part of its memory on a server")                                         \
    X(ADVISE, "advise", "[AREA]", 0, 1, cli_advise,                                                \
      "try every compressor on stored pages, and recommend")                                       \
    X(COMPACT, "compact", "", 0, 0, cli_compact, "close the gaps in the server's memory")      \
    X(COMPRESSOR, "compressor", "[set ALGORITHM[:LEVEL]]", 0, 3, cli_compressor,                   \
      "show what the server packs pages with, or change it while it serves")                       \
    X(DICTIONARY, "dictionary", "[train|drop AREA]", 0, 2, cli_dictionary,                        \
      "show the areas' dictionaries, train one from stored pages, or drop it")                     \
    X(EXPORT, "export", "recreate NAME", 2, 2, cli_export,                                         \
      "make a block device that was lost, or that nobody uses, anew and empty")                    \
    X(RECOMPRESS, "recompress", "[start | pause | resume | cancel]", 0, 1, cli_recompress,         \
      "pack what is stored once more in the background, or see how that goes")                     \
    X(REPLAY, "replay", "TRACE PAGES...", 2, UINT32_MAX, cli_replay,                               \
      "replay a churn trace and tell what each moment costs in RAM")                               \
    X(DRAIN, "drain", "AREA", 0, 1, cli_drain,                                                     \
      "give an area's pages back to their owner, or move them to a server or a file")              \
    X(SCRUB, "scrub", "[start | stop | status]", 0, 1, cli_scrub,                                  \
      "compare all that is stored with its checksums, or see how that goes")                      \
    X(SNAPSHOT, "snapshot", "FILE | inspect FILE", 1, 2, cli_snapshot,                             \
      "write all that the server stores to a file, - for stdout; or see what is in one")           \
    X(SWAP, "swap", "on ADDRESS... | off [DEVICE] | status", 1, 5, cli_swap,                       \
      "have this machine swap onto a server's export, or no longer")                               \
    X(HELP, "help", "[COMMAND]", 0, 1, cli_help, "explain a command")

enum cli_command {
#define X(command, name, operands, fewest, most, run, summary) CLI_##command,
    CLI_COMMANDS(X)
#undef X
    CLI_COMMANDS_COUNT
};

#define X(command, name, operands, fewest, most, run, summary) int run(const struct cli *cli);
CLI_COMMANDS(X)
#undef X

/* One line to stderr, "farpage: ...", and with --json {"error": ...} to stdout. Returns `code`. */
int cli_fail(const struct cli *cli, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints what is wrong with the command line and where help is; returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Another connection as the command line says, to `server`. */
struct farpage_options cli_options(const struct cli *cli, const char *server) FP_NONNULL(1, 2);

/* Connects as the options say. False: a line was printed and *code is the exit code. */
bool cli_connect(const struct cli *cli, struct farpage **client, int *code) FP_MUST_CHECK;

/* Opens an area as a command does: shared, so that it keeps nobody out who shares it. It is created
 * where `slots` is not 0. Its pages may have any size, and travel plain: what the server makes of
 * them is what commands are to show. */
enum farpage_status cli_area_open(struct farpage *client, const char *name, uint64_t slots,
                                  struct farpage_area **area) FP_MUST_CHECK;

/* Says what became of an area: a sentence, or with --json its name, slots and bytes of a page. */
int cli_areas_create(const struct cli *cli);
int cli_areas_delete(const struct cli *cli);

/* Flushes stdout: output that did not reach its reader is a failure too. Returns `code` or 1. */
int cli_finish(const struct cli *cli, int code);

/* Colour on stdout: a terminal, no NO_COLOR, no --json. */
bool cli_colour(const struct cli *cli);

#endif
