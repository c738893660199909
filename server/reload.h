/* SPDX-License-Identifier: BSD-3-Clause
 * reload - the configuration changed while the server runs: read again whole (SIGHUP, `config
 * reload`), or one key (`config set`). All of it is applied or nothing is.
 *
 * A file with errors, or one that changes a key which needs a restart, leaves the running
 * configuration in force, and the log says why, as who asked is told. So does a certificate, a key
 * or a list of users that cannot be read: these files are read again whether the configuration has
 * changed or not.
 *
 * The file wins: a compressor chosen by `compressor set` since goes, and so does what was set, also
 * where the file is as it was. A set changes its key and nothing else, and is forgotten by a
 * restart.
 *
 * Threads: any; one at a time, the next is told CHANGE_BUSY. Locks: RANK_CONFIG_RELOAD, for
 * moments. Blocks: on reading files of this machine: the configuration, certificates, users.
 */
#ifndef FARPAGE_SERVER_RELOAD_H
#define FARPAGE_SERVER_RELOAD_H
#include "server/shared.h"

enum change {
    CHANGE_DONE,
    CHANGE_REFUSED, /* not as things are */
    CHANGE_WRONG,   /* of a set: no such key, or it cannot have that value */
    CHANGE_BUSY,
};

struct change_report {
    /* NULL: nobody but the log. Lines begin with what they are: "CHANGED log.level: info -> debug",
     * "RESTART storage.page_size: 4KiB -> 16KiB", "ERROR farpaged.yaml:3:5: error: ...". */
    void (*tell)(void *context, const char *line);
    void *context;
    unsigned changes; /* lines that began with CHANGED */
    char refusal[CREDENTIALS_REASON_BYTES]; /* why nothing was changed, of REFUSED and WRONG */
};

enum change reload(struct shared *shared, struct change_report *report)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* `pair` is "KEY=VALUE". Refused too: what would keep everybody out, and limits below what is
 * used. */
enum change reload_set(struct shared *shared, const char *pair, struct change_report *report)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);

/* For who watches: the configuration in force is good from now on, or a reload was refused. */
void reload_note(struct shared *shared, bool good) FP_NONNULL(1);

/* The storage's name for the configured compressor. */
struct compressor_config reload_compressor(const struct config *config) FP_NONNULL(1);

#endif
