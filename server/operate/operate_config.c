/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `config`: what is in force and where it is from; one key changed; the file read again. */
#include <stdio.h>

#include "base/arith.h"
#include "base/number.h"
#include "codec/compressor_text.h"
#include "protocol/request.h"
#include "server/config/config_compare.h"
#include "server/operate/operate.h"
#include "server/reload.h"

#define USAGE "config get [KEY] | set KEY VALUE | reload"

enum { PAIR_BYTES = 2048, VALUE_BYTES = CONFIG_PATH_BYTES, WORD_SHOWN_BYTES = 64 };

/* --- get -------------------------------------------------------------------------------------- */

struct getting {
    struct shared *shared;
    struct answer *answer;
    struct slice wanted; /* a key, or what keys begin with up to a dot or a bracket */
    uint64_t found;
};

static bool is_wanted(struct slice wanted, const char *key)
{
    size_t size = strlen(key);
    if (wanted.size_bytes == 0) return true;
    if (wanted.size_bytes > size || memcmp(wanted.bytes, key, wanted.size_bytes) != 0) return false;
    return wanted.size_bytes == size || key[wanted.size_bytes] == '.' ||
           key[wanted.size_bytes] == '[';
}

/* What commands and the system have made of a key since; false: what the configuration says. */
static bool is_otherwise(struct shared *shared, const char *key, char value[VALUE_BYTES])
{
    static const char *const modes[] = {"auto", "manual", "off"};
    struct compressor_config current;
    compressor_pool_current(store_compressors(shared->store), &current);
    if (strcmp(key, "storage.memory_limit") == 0)
        number_size_text(atomic_load(&shared->limit_bytes), value);
    else if (strcmp(key, "storage.compaction") == 0)
        snprintf(value, VALUE_BYTES, "%s", modes[atomic_load(&shared->settings.compaction) % 3]);
    else if (strcmp(key, "server.max_connections") == 0)
        snprintf(value, VALUE_BYTES, "%u",
                 (unsigned)atomic_load(&shared->settings.max_connections));
    else if (strcmp(key, "compressor.algorithm") == 0)
        snprintf(value, VALUE_BYTES, "%s", current.algorithm);
    else return false;
    return true;
}

static void get_one(void *opaque, const char *key, const char *value,
                    const struct config_origin *origin)
{
    struct getting *getting = opaque;
    char from[CONFIG_ORIGIN_BYTES], other[VALUE_BYTES];
    if (!is_wanted(getting->wanted, key)) return;
    getting->found++;
    config_origin_text(getting->shared->config, origin, from);
    if (is_otherwise(getting->shared, key, other) && strcmp(other, value) != 0)
        operate_say(getting->answer, "CONFIG %s command %s", key, other);
    else
        operate_say(getting->answer, "CONFIG %s %s %s", key, from, value);
}

static enum operate get(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct getting getting = {.shared = shared, .answer = answer};
    struct slice more;
    (void)!request_next_word(&rest, &getting.wanted);
    if (request_next_word(&rest, &more))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    lock_take(&shared->config_lock);
    config_visit(shared->config, get_one, &getting);
    lock_drop(&shared->config_lock);
    int shown = (int)min_u64(getting.wanted.size_bytes, WORD_SHOWN_BYTES);
    if (getting.found == 0)
        return operate_refuse(answer, OPERATE_WRONG, "no key '%.*s'; config get lists them", shown,
                              (const char *)getting.wanted.bytes);
    operate_say(answer, "END");
    return OPERATE_DONE;
}

/* --- set -------------------------------------------------------------------------------------- */

static void say_line(void *context, const char *line)
{
    operate_say(context, "%s", line);
}

static enum operate busy(struct answer *answer)
{
    return operate_refuse(answer, OPERATE_FAILED,
                          "the configuration is being changed already: try again");
}

static struct slice trimmed(struct slice text)
{
    while (text.size_bytes > 0 && *text.bytes == ' ')
        text = slice_of(text.bytes + 1, text.size_bytes - 1);
    while (text.size_bytes > 0 && text.bytes[text.size_bytes - 1] == ' ') text.size_bytes--;
    return text;
}

static enum operate set(struct shared *shared, struct slice rest, struct answer *answer)
{
    char pair[PAIR_BYTES];
    struct slice key;
    struct change_report report = {.tell = say_line, .context = answer};
    bool there = request_next_word(&rest, &key);
    rest = trimmed(rest);
    if (!there || memchr(key.bytes, '=', key.size_bytes) != NULL ||
        memchr(key.bytes, 0, key.size_bytes) != NULL ||
        (rest.size_bytes > 0 && memchr(rest.bytes, 0, rest.size_bytes) != NULL))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (key.size_bytes + rest.size_bytes + 2 > sizeof pair)
        return operate_refuse(answer, OPERATE_WRONG, "the value is too long");
    snprintf(pair, sizeof pair, "%.*s=%.*s", (int)key.size_bytes, (const char *)key.bytes,
             (int)rest.size_bytes, rest.size_bytes > 0 ? (const char *)rest.bytes : "");
    enum change done = reload_set(shared, pair, &report);
    if (done == CHANGE_BUSY) return busy(answer);
    if (done != CHANGE_DONE)
        return operate_refuse(answer, done == CHANGE_WRONG ? OPERATE_WRONG : OPERATE_FAILED, "%s",
                              report.refusal);
    operate_say(answer, report.changes > 0 ? "OK until the next reload or restart"
                                           : "OK it was so already");
    return OPERATE_DONE;
}

/* --- reload ----------------------------------------------------------------------------------- */

static enum operate read_again(struct shared *shared, struct answer *answer)
{
    struct change_report report = {.tell = say_line, .context = answer};
    enum change done = reload(shared, &report);
    if (done == CHANGE_BUSY) return busy(answer);
    if (done == CHANGE_REFUSED) operate_say(answer, "REFUSED %s", report.refusal);
    else operate_say(answer, "OK %u changed", report.changes);
    return OPERATE_DONE;
}

enum operate operate_config(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct slice word, more;
    if (!request_next_word(&rest, &word))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (slice_is(word, "get")) return get(shared, rest, answer);
    uint32_t whose = atomic_load(&shared->settings.config_command);
    if (whose == CONFIG_NOBODYS || (whose == CONFIG_LOCAL && !answer->local))
        return operate_refuse(answer, OPERATE_FAILED, "server.config_command forbids it");
    if (slice_is(word, "set")) return set(shared, rest, answer);
    if (!slice_is(word, "reload") || request_next_word(&rest, &more))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    return read_again(shared, answer);
}
