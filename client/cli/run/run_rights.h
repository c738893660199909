/* SPDX-License-Identifier: BSD-3-Clause
 * run_rights - what this machine lets us do with userfaultfd, found out by trying. */
#ifndef FARPAGE_CLIENT_CLI_RUN_RIGHTS_H
#define FARPAGE_CLIENT_CLI_RUN_RIGHTS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/agent/agent_wire.h"
#include "client/cli/say/complaint.h"

struct run_rights {
    enum agent_how how;
    uint32_t abilities; /* of client/uffd/uffd.h */
};

/* Makes a userfaultfd as the agents will. `user_mode`: one that sees the program's own faults only
 * will do. False with what would help, a line each. */
bool run_rights_find(bool user_mode, struct run_rights *rights, struct complaint *complaint)
    FP_MUST_CHECK FP_NONNULL(2, 3);

/* What a kernel answered: an errno of making a userfaultfd, or what it can do. */
struct run_rights_answer {
    int error; /* 0: one was made */
    bool user_mode;
    uint32_t abilities;
};

/* Whether that will do; the reason where not. */
bool run_rights_judge(const struct run_rights_answer *answer, struct complaint *complaint)
    FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
