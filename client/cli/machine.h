/* SPDX-License-Identifier: BSD-3-Clause
 * machine - the door to this machine: the kernel's files, devices, and other programs.
 *
 * FARPAGE_ROOT in the environment names a folder that is put before every absolute path, and has
 * nobody asked whether he is root: for tests, which make a machine of files and of programs in
 * their PATH. It grants nothing: a program runs as whoever started it, in his environment. */
#ifndef FARPAGE_CLIENT_CLI_MACHINE_H
#define FARPAGE_CLIENT_CLI_MACHINE_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"
#include "client/cli/say/words.h"

enum {
    MACHINE_PATH_BYTES = 512,
    MACHINE_TEXT_BYTES = 16384, /* of a file of the kernel's, as much as anybody looks at */
    MACHINE_SAID_BYTES = 4096,  /* of what a program says, the last */
};

struct machine {
    const char *root; /* "" but in tests; the environment's */
};

void machine_init(struct machine *machine);

/* May it change the machine? */
bool machine_is_root(const struct machine *machine);

/* Programs are looked for in the folders of PATH, and in /usr/sbin and its like, which a person's
 * PATH often lacks. True where this one is in one of them. */
bool machine_has_program(const struct machine *machine, const char *program);

bool machine_exists(const struct machine *machine, const char *path);

/* The file's text, at most MACHINE_TEXT_BYTES - 1 of it; false with errno. */
bool machine_read(const struct machine *machine, const char *path,
                  char text[MACHINE_TEXT_BYTES]) FP_MUST_CHECK;
bool machine_read_number(const struct machine *machine, const char *path, uint64_t *number)
    FP_MUST_CHECK;

/* The first bytes of a device or file; how many there were, or -1 with errno. */
ssize_t machine_read_bytes(const struct machine *machine, const char *path, uint8_t *bytes,
                           size_t size_bytes);

/* Into a file that is there. False with errno. */
bool machine_write(const struct machine *machine, const char *path, const char *text)
    FP_MUST_CHECK;

/* A new file, readable by all, whole or not at all; folders of its path are made. False, errno. */
bool machine_create(const struct machine *machine, const char *path, const char *text)
    FP_MUST_CHECK;
void machine_remove(const struct machine *machine, const char *path);

/* A program that runs. What it says goes to a file, not a pipe: one that leaves a daemon behind
 * keeps its output open, and must neither be waited for nor die of it later. */
struct child {
    pid_t pid;
    FILE *said; /* owned */
};

/* False with a reason: it could not be started. Otherwise child_end is due. */
bool child_start(const struct machine *machine, struct child *child, const struct words *words,
                 struct complaint *complaint) FP_MUST_CHECK;

/* True once it ended; *code is its exit code, or 128 and the signal. */
bool child_ended(struct child *child, int *code) FP_MUST_CHECK;

/* Asks it to end, or ends it; it is still to be waited for. */
void child_kill(struct child *child, bool hard);

/* What it said so far, at most the last MACHINE_SAID_BYTES - 1. */
void child_said(struct child *child, char said[MACHINE_SAID_BYTES]);
void child_fini(struct child *child); /* after child_ended */

/* Runs it to its end. False with a reason that begins with the program's name: it could not be
 * started, failed, took longer than timeout_ns (and was ended), or, where `interruptible`, a held
 * signal came. */
struct errand {
    const struct words *words;
    uint64_t timeout_ns;
    bool interruptible;
    char *said; /* MACHINE_SAID_BYTES for what it says; NULL where nobody asks */
};
bool machine_run(const struct machine *machine, const struct errand *errand,
                 struct complaint *complaint) FP_MUST_CHECK;

#endif
