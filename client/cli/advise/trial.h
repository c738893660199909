/* SPDX-License-Identifier: BSD-3-Clause
 * trial - what one `farpage try` found out, and how it is shown. */
#ifndef FARPAGE_CLIENT_CLI_TRIAL_H
#define FARPAGE_CLIENT_CLI_TRIAL_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/cli/cli.h"
#include "client/cli/operate/subject.h"
#include "client/cli/pages/transfer.h"
#include "client/cli/process.h"

enum { TRIAL_AREA_BYTES = 65 };

/* What the server tells; each number with a flag, for servers that do not tell it. */
#define TRIAL_FIGURES(X)                \
    X(stored, "stored")                 \
    X(same_filled, "same_filled")       \
    X(incompressible, "incompressible") \
    X(packed_bytes, "packed_bytes")

struct figures {
#define X(field, name) \
    uint64_t field;    \
    bool has_##field;
    TRIAL_FIGURES(X)
#undef X
    uint64_t resident_bytes, held_bytes; /* of the whole server */
    bool has_resident, has_held;
};

struct trial {
    struct farpage *client;
    struct farpage_area *open; /* NULL until the area exists */
    struct subject subject;
    struct memory memory;
    pid_t pid;
    char area[TRIAL_AREA_BYTES];
    uint32_t page_bytes;
    uint64_t pages;
    struct figures before, after;
    struct transfer_result stored, loaded, alone;
    _Atomic uint64_t different, different_slot;
};

/* Asks the server; what it does not tell stays unset. */
void trial_measure(const struct trial *trial, struct figures *figures);

void trial_print(const struct cli *cli, const struct trial *trial);

#endif
