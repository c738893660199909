/* SPDX-License-Identifier: BSD-3-Clause
 * agent_door - where the agents of paged programs come in: a unix socket in a folder of its own.
 *
 * Whoever knows the token may come in; it is in the environment of the programs that were started
 * with it, which their user alone can read. What they say is checked.
 *
 * Threads: one. Blocks: never.
 */
#ifndef FARPAGE_CLIENT_AGENT_AGENT_DOOR_H
#define FARPAGE_CLIENT_AGENT_AGENT_DOOR_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attrs.h"
#include "client/agent/agent_wire.h"

enum { AGENT_PATH_BYTES = 100, AGENT_VARIABLE_BYTES = 192 };

struct agent_door {
    int fd; /* readable: somebody knocks */
    enum agent_how how;
    uint8_t token[AGENT_TOKEN_BYTES];
    char folder[AGENT_PATH_BYTES - 16], path[AGENT_PATH_BYTES];
};

/* Who came in. The descriptors are the caller's; gifts are all there, or all -1. */
struct agent_guest {
    int socket, gifts[AGENT_GIFTS];
    pid_t pid; /* as the kernel knows it */
    struct agent_hello hello;
};

/* 0, or an errno; then nothing is left of it. */
int agent_door_open(struct agent_door *door, enum agent_how how) FP_MUST_CHECK FP_NONNULL(1);
void agent_door_close(struct agent_door *door) FP_NONNULL(1); /* the folder goes too */

/* What FARPAGE_AGENT is to say. */
void agent_door_variable(const struct agent_door *door, char text[AGENT_VARIABLE_BYTES])
    FP_NONNULL(1, 2);

/* The socket of who knocks, which becomes readable when he speaks; -1: nobody. */
int agent_door_answer(struct agent_door *door) FP_MUST_CHECK FP_NONNULL(1);

/* What he says. The socket is the guest's; or it is closed, and false: he does not know the token,
 * or speaks another language. */
bool agent_door_hear(const struct agent_door *door, int socket, struct agent_guest *guest)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* Closes what the guest brought and nobody took. */
void agent_guest_forget(struct agent_guest *guest) FP_NONNULL(1);

/* Sends a welcome other than AGENT_TAKEN and closes what the guest brought. */
void agent_guest_refuse(struct agent_guest *guest, enum agent_verdict verdict) FP_NONNULL(1);

#endif
