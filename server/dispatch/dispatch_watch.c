/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `watch` and `stats detail`: to be told, or have counted, what everybody asks for. */
#include <inttypes.h>
#include <stdio.h>

#include "protocol/key_text.h"
#include "protocol/reply.h"
#include "server/dispatch/dispatch.h"

static enum dispatch done(struct output *output, const char *answer)
{
    output_text(output, answer);
    return DISPATCH_DONE;
}

/* 0: one of them is unknown. */
static uint32_t read_kinds(struct slice rest)
{
    struct slice word;
    uint32_t kinds = 0;
    if (rest.size_bytes == 0) return WATCH_FETCHERS;
    while (request_next_word(&rest, &word)) {
        uint32_t kind = watch_kind_named(word);
        if (kind == 0) return 0;
        kinds |= kind;
    }
    return kinds;
}

enum dispatch dispatch_watch(struct dispatcher *dispatcher, struct session *session,
                             const struct request *request, struct output *output)
{
    struct shared *shared = dispatcher->shared;
    uint32_t kinds = read_kinds(request->rest);
    if (atomic_load(&shared->settings.watch_command) != CONFIG_SWITCH_ON)
        return done(output, "CLIENT_ERROR watch commands not allowed\r\n");
    if (kinds == 0) return done(output, REPLY_ERROR);
    enum fp_status status = watcher_open(&shared->watchers, kinds, &session->watcher);
    if (status == FP_OK) return done(output, REPLY_OK);
    return done(output, status == FP_BUSY ? "WATCHER_TOO_MANY log watcher limit reached\r\n"
                                          : "WATCHER_FAILED failed to add log watcher\r\n");
}

/* --- stats detail ----------------------------------------------------------------------------- */

static void write_prefix(void *context, const struct prefix_row *row)
{
    struct output *output = context;
    char counts[120], prefix[KEY_URI_BYTES_MAX];
    snprintf(counts, sizeof counts,
             " get %" PRIu64 " hit %" PRIu64 " set %" PRIu64 " del %" PRIu64 "\r\n", row->gets,
             row->hits, row->sets, row->deletes);
    output_text(output, "PREFIX ");
    output_add(output, key_of_line(row->prefix, prefix));
    output_text(output, counts);
}

enum dispatch dispatch_detail(struct dispatcher *dispatcher, struct slice rest,
                              struct output *output)
{
    struct prefixes *prefixes = &dispatcher->shared->prefixes;
    struct slice word = slice_of(NULL, 0);
    bool there = request_next_word(&rest, &word);
    if (there && slice_is(word, "dump")) {
        prefixes_each(prefixes, write_prefix, output);
        return done(output, REPLY_END);
    }
    if (!there || (!slice_is(word, "on") && !slice_is(word, "off")))
        return done(output, "CLIENT_ERROR usage: stats detail on|off|dump\r\n");
    prefixes_switch(prefixes, slice_is(word, "on"));
    return done(output, REPLY_OK);
}
