/* SPDX-License-Identifier: BSD-3-Clause
 * child - a process under measurement: started, looked at through /proc, and always ended.
 *
 * child_guard() sees to it that no child outlives the benchmark: at exit, on a signal that ends it,
 * and (by the kernel) when it is killed. Threads: one. */
#ifndef FARPAGE_TESTS_BENCH_CHILD_H
#define FARPAGE_TESTS_BENCH_CHILD_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attrs.h"

/* Before the first start. */
void child_guard(void);

/* A directory for sockets of these names, removed with them when the program ends. NULL after a
 * line on stderr. */
enum { CHILD_SOCKETS = 3 };
extern const char *const child_socket_names[CHILD_SOCKETS];
const char *child_directory(void);

/* A command line, put together word by word. */
enum { CHILD_WORDS_MAX = 24, CHILD_WORD_BYTES = 320 };
struct child_words {
    char texts[CHILD_WORDS_MAX][CHILD_WORD_BYTES];
    char *argv[CHILD_WORDS_MAX + 1];
    unsigned count;
};
void child_word(struct child_words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A TCP port of loopback that is free now; another may take it before the server does, which then
 * says so and fails. 0: there is none. */
unsigned child_free_port(void);

/* Runs argv[0] (looked up in PATH), as user nobody where `demote` and we are root. -1 after a line
 * on stderr. */
pid_t child_start(char *const *argv, bool demote);
bool child_could_start(const char *program); /* a file of that name is in PATH, or is it itself */
/* Asks it to end, insists after 5 seconds, and waits. False: it did not end by itself with 0. */
bool child_stop(pid_t pid);
bool child_is_running(pid_t pid); /* false also after it has been waited for */

struct child_cpu {
    uint64_t total_ns;          /* of all its threads, ended ones too */
    uint64_t user_ms, kernel_ms; /* in the kernel's coarser count */
};
bool child_cpu(pid_t pid, struct child_cpu *cpu) FP_MUST_CHECK;
/* Bytes resident now; 0 where /proc does not say. pid 0: this process. */
uint64_t child_resident_bytes(pid_t pid);

#endif
