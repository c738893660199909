/* SPDX-License-Identifier: BSD-3-Clause
 * options - the command line of farpaged: what was asked for, and the answers that need no server.
 *
 *   options_parse() -> options_answer() -> an exit code, or OPTIONS_GO_ON: load the configuration
 *
 * Threads: options_parse is getopt's, so the main thread's alone.
 */
#ifndef FARPAGE_SERVER_OPTIONS_H
#define FARPAGE_SERVER_OPTIONS_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attrs.h"

#define EXIT_CODES(X)                                                                              \
    X(EXIT_OK, 0, "stopped as asked, or the answer was given")                                     \
    X(EXIT_RUNTIME, 1, "it could not go on; the log says why")                                     \
    X(EXIT_USAGE, 2, "the command line makes no sense")                                            \
    X(EXIT_DATA, 65, "what it was to begin with cannot be taken; the log says why")                \
    X(EXIT_CANNOT_BIND, 69, "a listener's address cannot be had")                                  \
    X(EXIT_CONFIG, 78, "the configuration has errors; nothing was started")

enum exit_code {
#define X(name, code, text) name = code,
    EXIT_CODES(X)
#undef X
};

enum { OPTIONS_SETS_MAX = 64, OPTIONS_GO_ON = -1, OPTIONS_FAULT_BYTES = 160 };

enum options_action {
    OPTIONS_RUN,
    OPTIONS_CHECK,          /* load the configuration and what it names, say what is wrong */
    OPTIONS_DUMP,           /* load and print it */
    OPTIONS_DUMP_ANNOTATED, /* print every key; loads nothing */
    OPTIONS_VERSION,
    OPTIONS_HELP,
    OPTIONS_BAD, /* `fault` says what is wrong */
};

/* Texts are borrowed from argv. */
struct options {
    enum options_action action;
    const char *config_path; /* NULL where there is none */
    const char *sets[OPTIONS_SETS_MAX];
    size_t set_count;
    uint64_t container_bytes; /* the kernel lets it have; 0: all. Of main.c, as the next */
    uint64_t memory_limit_bytes; /* where nobody says */
    const char *restore_path; /* NULL: none */
    char fault[OPTIONS_FAULT_BYTES];
};

/* May reorder argv. */
void options_parse(int argc, char **argv, struct options *options) FP_NONNULL(2, 3);

/* Answers --help, --version, --dump-config=annotated and mistakes. `libraries` is what --version
 * shows in parentheses: "libevent 2.1.12, zstd 1.5.4". Returns the exit code, or OPTIONS_GO_ON. */
int options_answer(const struct options *options, const char *libraries, FILE *out, FILE *err)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

#endif
