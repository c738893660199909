/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `lru_crawler` and `stats cachedump`: what walks over all items and may take long. A piece of the
 * work at a time, and session->resume keeps where it goes on: for a dump the walk's position, for
 * `crawl` the crawler's pass that is awaited. The output's limit holds a dump up, as it does a
 * reply; an item that stays is in a dump exactly once, whatever happens meanwhile. */
#include <inttypes.h>
#include <stdio.h>

#include "base/number.h"
#include "protocol/key_text.h"
#include "protocol/reply.h"
#include "server/dispatch/dispatch.h"
#include "storage/store/store_classes.h"
#include "storage/store/store_walk.h"

enum {
    WALK_STEPS_PER_CALL = 8, /* some hundred items; then others may go first */
    REAP_STEPS_PER_CALL = 4,
    DUMP_LINE_BYTES_MAX = KEY_URI_BYTES_MAX + 256,
    SLEEP_US_MAX = 1000000,
};
#define ALL_CLASSES UINT64_MAX

static enum dispatch done(struct output *output, const char *answer)
{
    output_text(output, answer);
    return DISPATCH_DONE;
}

/* --- walking ---------------------------------------------------------------------------------- */

struct dump {
    struct dispatcher *dispatcher;
    struct output *output;
    uint64_t classes;   /* a bit for each that is wanted */
    uint64_t left;      /* items that may still be written */
    uint64_t unix_of_0; /* Unix seconds of store time 0 */
    void (*write)(struct dump *dump, const struct store_walk_item *row);
};

static void write_step(struct dump *dump, const struct store_walk *walk)
{
    for (unsigned i = 0; i < walk->count; i++) {
        unsigned number = item_class_of(item_memory_bytes(walk->items[i].item));
        if ((dump->classes >> number & 1) == 0 || dump->left == 0) continue;
        dump->write(dump, &walk->items[i]);
        dump->left--;
    }
}

/* False: the walk is over. */
static bool walk_on(struct dump *dump, struct session *session)
{
    struct store *store = dump->dispatcher->shared->store;
    struct store_scratch *scratch = dump->dispatcher->scratch;
    struct store_walk walk = {.position = session->resume};
    dump->unix_of_0 = scratch->unix_s - scratch->now_ms / 1000;
    for (int i = 0; i < WALK_STEPS_PER_CALL; i++) {
        store_walk_step(store, scratch, &walk);
        write_step(dump, &walk);
        store_walk_release(store, scratch, &walk);
        if (walk.position == 0 || dump->left == 0) break;
    }
    session->resume = dump->left == 0 ? 0 : walk.position;
    session->resume_left = dump->left;
    return session->resume != 0;
}

/* --- metadump, mgdump ------------------------------------------------------------------------- */

static void write_meta(struct dump *dump, const struct store_walk_item *row)
{
    const struct item *item = row->item;
    char key[KEY_URI_BYTES_MAX], codec[ITEM_CODEC_TEXT_BYTES], expires[24];
    char line[DUMP_LINE_BYTES_MAX];
    size_t key_bytes = key_uri(item_key(item), key);
    uint64_t memory_bytes = item_memory_bytes(item);
    store_item_codec(dump->dispatcher->shared->store, item, codec);
    snprintf(expires, sizeof expires, "-1");
    if (row->expires_s != 0)
        snprintf(expires, sizeof expires, "%" PRIu64, dump->unix_of_0 + row->expires_s);
    int size = snprintf(line, sizeof line,
                        "key=%.*s exp=%s la=%" PRIu64 " cas=%" PRIu64 " fetch=%s cls=%u"
                        " size=%" PRIu64 " csize=%" PRIu64 " codec=%s\n",
                        (int)key_bytes, key, expires, dump->unix_of_0 + row->accessed_ms / 1000,
                        item_cas(item), row->fetched ? "yes" : "no", item_class_of(memory_bytes),
                        memory_bytes - item->packed_bytes + item->value_bytes,
                        (uint64_t)item->packed_bytes, codec);
    output_add(dump->output, slice_of(line, (size_t)size));
}

static void write_mg(struct dump *dump, const struct store_walk_item *row)
{
    struct slice key = item_key(row->item);
    char text[KEY_BASE64_BYTES_MAX];
    bool encoded = row->item->key_binary || key_breaks_lines(key);
    output_text(dump->output, "mg ");
    output_add(dump->output, encoded ? slice_of(text, key_base64(key, text)) : key);
    output_text(dump->output, encoded ? " b\r\n" : "\r\n");
}

/* "all", "hash", or numbers of classes with commas between. */
static bool read_classes(struct slice text, uint64_t *classes)
{
    *classes = ALL_CLASSES;
    if (slice_is(text, "all") || slice_is(text, "hash")) return true;
    *classes = 0;
    const uint8_t *at = text.bytes, *end = text.bytes + text.size_bytes;
    while (at < end) {
        const uint8_t *comma = memchr(at, ',', (size_t)(end - at));
        const uint8_t *stop = comma != NULL ? comma : end;
        uint64_t number;
        if (!number_wire_u64(slice_of(at, (size_t)(stop - at)), &number) || number < 1 ||
            number > ITEM_CLASSES_MAX)
            return false;
        *classes |= 1ull << number;
        at = stop + 1;
    }
    return true;
}

static enum dispatch dump_items(struct dispatcher *dispatcher, struct session *session,
                                struct slice which, bool meta, struct output *output)
{
    if (atomic_load(&dispatcher->shared->settings.dump_commands) != CONFIG_SWITCH_ON)
        return done(output, meta ? "ERROR metadump not allowed\r\n"
                                 : "ERROR key dump not allowed\r\n");
    struct dump dump = {.dispatcher = dispatcher,
                        .output = output,
                        .left = UINT64_MAX,
                        .write = meta ? write_meta : write_mg};
    if (!read_classes(which, &dump.classes)) return done(output, REPLY_BAD_CLASS);
    if (session->resume == 0) output_text(output, REPLY_OK);
    if (walk_on(&dump, session)) return DISPATCH_AGAIN;
    return done(output, meta ? REPLY_END : REPLY_EN);
}

/* --- stats cachedump -------------------------------------------------------------------------- */

static void write_cached(struct dump *dump, const struct store_walk_item *row)
{
    char line[128], key[KEY_URI_BYTES_MAX];
    uint64_t expires = row->expires_s != 0 ? dump->unix_of_0 + row->expires_s : 0;
    int size = snprintf(line, sizeof line, " [%" PRIu64 " b; %" PRIu64 " s]\r\n",
                        (uint64_t)row->item->value_bytes, expires);
    output_text(dump->output, "ITEM ");
    output_add(dump->output, key_of_line(item_key(row->item), key));
    output_add(dump->output, slice_of(line, (size_t)size));
}

/* Tools ask for each class in turn; most are empty. */
static bool is_empty(struct dispatcher *dispatcher, uint64_t number)
{
    return store_class_items(dispatcher->shared->store, (unsigned)number) == 0;
}

enum dispatch dispatch_cachedump(struct dispatcher *dispatcher, struct session *session,
                                 struct slice rest, struct output *output)
{
    struct slice class_word, limit_word;
    uint64_t number, limit;
    if (atomic_load(&dispatcher->shared->settings.dump_commands) != CONFIG_SWITCH_ON)
        return done(output, "CLIENT_ERROR stats cachedump not allowed\r\n");
    if (!request_next_word(&rest, &class_word) || !request_next_word(&rest, &limit_word))
        return done(output, "CLIENT_ERROR bad command line\r\n");
    if (!number_wire_u64(class_word, &number) || !number_wire_u64(limit_word, &limit))
        return done(output, REPLY_BAD_LINE);
    if (number > ITEM_CLASSES_MAX) return done(output, "CLIENT_ERROR Illegal slab id\r\n");
    if (number == 0 || (session->resume == 0 && is_empty(dispatcher, number)))
        return done(output, REPLY_END);
    struct dump dump = {.dispatcher = dispatcher,
                        .output = output,
                        .classes = 1ull << number,
                        .left = session->resume_left,
                        .write = write_cached};
    if (session->resume == 0) dump.left = limit == 0 ? UINT64_MAX : limit;
    return walk_on(&dump, session) ? DISPATCH_AGAIN : done(output, REPLY_END);
}

/* --- lru_crawler ------------------------------------------------------------------------------ */

/* A whole pass of the crawler, whatever classes were named; OK when all that had died by now is
 * gone. */
static enum dispatch crawl(struct dispatcher *dispatcher, struct session *session,
                           struct slice which, struct output *output)
{
    struct store *store = dispatcher->shared->store;
    uint64_t classes;
    if (!read_classes(which, &classes)) return done(output, REPLY_BAD_CLASS);
    if (session->resume == 0) session->resume = store_reap_whole(store);
    for (int i = 0; i < REAP_STEPS_PER_CALL; i++) store_reap_step(store, dispatcher->scratch);
    if (atomic_load(&store_counters(store)->crawler_passes) < session->resume)
        return DISPATCH_AGAIN;
    session->resume = 0;
    return done(output, REPLY_OK);
}

static const char *set_number(struct slice word, bool sleep)
{
    uint64_t number;
    if (!number_wire_u64(word, &number) || number > UINT32_MAX) return REPLY_BAD_LINE;
    if (sleep && number > SLEEP_US_MAX)
        return "CLIENT_ERROR sleep must be one second or less\r\n";
    return REPLY_OK;
}

enum dispatch dispatch_lru_crawler(struct dispatcher *dispatcher, struct session *session,
                                   const struct request *request, struct output *output)
{
    struct slice rest = request->rest, what, word, more;
    if (!request_next_word(&rest, &what)) return done(output, REPLY_ERROR);
    if (!request_next_word(&rest, &word)) {
        bool known = slice_is(what, "enable") || slice_is(what, "disable");
        return done(output, known ? REPLY_OK : REPLY_ERROR);
    }
    if (request_next_word(&rest, &more)) return done(output, REPLY_ERROR);
    bool meta = slice_is(what, "metadump"), sleep = slice_is(what, "sleep");
    if (meta || slice_is(what, "mgdump"))
        return dump_items(dispatcher, session, word, meta, output);
    if (slice_is(what, "crawl")) return crawl(dispatcher, session, word, output);
    if (sleep || slice_is(what, "tocrawl")) return done(output, set_number(word, sleep));
    return done(output, REPLY_ERROR);
}
