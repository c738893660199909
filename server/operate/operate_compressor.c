/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `compressor`: which one is current, and another in its place. The next store takes the new one;
 * nobody waits, and what is stored stays as it is. */
#include "server/operate/operate.h"

#include <stdio.h>

#include "protocol/request.h"
#include "codec/compressor_text.h"

#define USAGE "compressor [set ALGORITHM[:LEVEL]]"

/* "zstd:3", or the same in two words; one blank between is made a colon. */
static struct slice joined(struct slice rest, char text[COMPRESSOR_TEXT_BYTES])
{
    struct slice name, level, more;
    if (!request_next_word(&rest, &name)) return name;
    if (!request_next_word(&rest, &level)) return name;
    bool fits = name.size_bytes + level.size_bytes + 2 <= COMPRESSOR_TEXT_BYTES;
    if (request_next_word(&rest, &more) || !fits) return slice_of(NULL, 0);
    int bytes = snprintf(text, COMPRESSOR_TEXT_BYTES, "%.*s:%.*s", (int)name.size_bytes,
                         (const char *)name.bytes, (int)level.size_bytes,
                         (const char *)level.bytes);
    return slice_of(text, (size_t)bytes);
}

static void current_text(struct shared *shared, char text[COMPRESSOR_TEXT_BYTES])
{
    struct compressor_config current;
    compressor_pool_current(store_compressors(shared->store), &current);
    compressor_text(&current, text);
}

static enum operate set(struct shared *shared, struct slice rest, struct answer *answer)
{
    char text[COMPRESSOR_TEXT_BYTES], before[COMPRESSOR_TEXT_BYTES];
    char wrong[COMPRESSOR_WRONG_BYTES];
    struct compressor_config next = {.dictionary = NULL};
    struct slice named = joined(rest, text);
    if (named.size_bytes == 0) return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (compressor_parse(named, &next, wrong) != FP_OK)
        return operate_refuse(answer, OPERATE_WRONG, "%s", wrong);
    current_text(shared, before);
    compressor_text(&next, text);
    enum fp_status status = compressor_pool_swap(store_compressors(shared->store), &next);
    if (status == FP_EXISTS) {
        operate_say(answer, "OK %s already", text);
        return OPERATE_DONE;
    }
    if (status == FP_BUSY)
        return operate_refuse(answer, OPERATE_FAILED,
                              "all %d seats of the compressor still hold objects; %s stays",
                              COMPRESSOR_SEATS, before);
    if (status != FP_OK)
        return operate_refuse(answer, OPERATE_FAILED, "%s; %s stays", fp_status_text(status),
                              before);
    operate_say(answer, "OK %s, was %s", text, before);
    log_event(shared->log, LOG_INFO, "compressor changes", log_text("from", before),
              log_text("to", text));
    return OPERATE_DONE;
}

enum operate operate_compressor(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct slice word;
    if (!request_next_word(&rest, &word)) {
        char text[COMPRESSOR_TEXT_BYTES];
        current_text(shared, text);
        operate_say(answer, "COMPRESSOR %s", text);
        return OPERATE_DONE;
    }
    if (slice_is(word, "set")) return set(shared, rest, answer);
    return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
}
