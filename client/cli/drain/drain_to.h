/* SPDX-License-Identifier: BSD-3-Clause
 * drain_to - the places that `farpage drain` moves an area to: another server, or a file. */
#ifndef FARPAGE_CLIENT_CLI_DRAIN_TO_H
#define FARPAGE_CLIENT_CLI_DRAIN_TO_H
#include <stdbool.h>

#include "client/cli/cli.h"
#include "client/cli/drain/mover.h"
#include "client/cli/say/complaint.h"

/* "unix:/path" and "HOST:PORT" are servers, what else has a slash is a file. A word that is neither
 * is refused by the command: a server whose port was forgotten must not become a file's name. */
bool drain_to_a_server(const char *to);
bool drain_to_a_file(const char *to);

struct drain_source {
    struct farpage_area *area; /* opened to drain it */
    const char *name;
    uint64_t quota_pages, quota_bytes;
};

struct drained { /* what a drain did */
    uint64_t pages, copied_pages;
    uint32_t rounds;
    double seconds, frozen_seconds; /* in all; while stores had to wait */
};

/* Moves an area's pages to the server --to, or to a file, and lets its server say so to whoever
 * asks for them. False, with a reason: the area is where it was, and what was begun at the other
 * end is taken back. */
bool drain_to_server(const struct cli *cli, const struct drain_source *source,
                     struct drained *drained, struct complaint *complaint) FP_MUST_CHECK;
bool drain_to_file(const struct drain_source *source, const char *path, struct drained *drained,
                   struct complaint *complaint) FP_MUST_CHECK;

#endif
