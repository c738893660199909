/* SPDX-License-Identifier: BSD-3-Clause
 * complaint - the sentence that says why something failed, for cli_fail to print. The command has
 * one of its own because it sees of the library no more than any program does: farpage.h. */
#ifndef FARPAGE_CLIENT_CLI_COMPLAINT_H
#define FARPAGE_CLIENT_CLI_COMPLAINT_H
#include "base/attrs.h"

enum { COMPLAINT_BYTES = 320 };

struct complaint {
    char text[COMPLAINT_BYTES];
};

/* What does not fit is cut off. */
void complain(struct complaint *complaint, const char *format, ...) FP_PRINTF(2, 3);

/* The same, followed by the system's words for `error`, an errno. */
void complain_errno(struct complaint *complaint, int error, const char *format, ...)
    FP_PRINTF(3, 4);

#endif
