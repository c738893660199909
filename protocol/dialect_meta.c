/* SPDX-License-Identifier: BSD-3-Clause
 *
 * memcached's meta commands: two letters, a key, for ms a length, and flags. A flag is a word: its
 * first byte says which, what follows is its argument. All commands know all flags; which of them
 * mean anything to which is server/dispatch/dispatch_meta.c's business.
 *
 * The order of the checks is memcached 1.6.45's: a flag twice or unknown ends the reading, a wrong
 * argument does not, and the last one is what is told. */
#include <stddef.h>

#include "base/number.h"
#include "protocol/dialect.h"
#include "protocol/key_text.h"
#include "protocol/limits.h"

enum { LETTERS = 128 };

#define REFUSAL_DUPLICATE "CLIENT_ERROR duplicate flag"
#define REFUSAL_NO_FLAG "CLIENT_ERROR invalid flag"
#define REFUSAL_BAD_FLAGS "CLIENT_ERROR invalid or duplicate flag"
#define REFUSAL_TOO_MANY "CLIENT_ERROR options flags are too long"
#define REFUSAL_OPAQUE "CLIENT_ERROR opaque token too long"
#define REFUSAL_BAD_TOKEN "CLIENT_ERROR bad token in command line format"
#define REFUSAL_BAD_KEY "CLIENT_ERROR error decoding key"

enum argument {
    ARGUMENT_NO_FLAG,
    ARGUMENT_NONE, /* whatever follows is passed over */
    ARGUMENT_BASE64,
    ARGUMENT_MODE,
    ARGUMENT_FLAGS,
    ARGUMENT_TIME,
    ARGUMENT_NUMBER,
};

/* What a flag's argument is, and where in the request it goes. */
static const struct flag_row {
    enum argument argument;
    size_t at;
    const char *refusal;
} flag_rows[LETTERS] = {
#define TIME(member) {ARGUMENT_TIME, offsetof(struct request, member), REFUSAL_BAD_TOKEN}
#define NUMBER(member, why) {ARGUMENT_NUMBER, offsetof(struct request, member), why}
    ['b'] = {ARGUMENT_BASE64, 0, REFUSAL_BAD_KEY},
    ['C'] = NUMBER(cas, REFUSAL_BAD_TOKEN),
    ['D'] = NUMBER(delta, "CLIENT_ERROR invalid numeric delta value"),
    ['E'] = NUMBER(meta.new_cas, REFUSAL_BAD_TOKEN),
    ['F'] = {ARGUMENT_FLAGS, 0, NULL},
    ['I'] = {ARGUMENT_NONE, 0, NULL},
    ['J'] = NUMBER(meta.initial, "CLIENT_ERROR invalid numeric initial value"),
    ['L'] = {ARGUMENT_NONE, 0, NULL},
    ['M'] = {ARGUMENT_MODE, 0, NULL},
    ['N'] = TIME(meta.create_exptime),
    ['O'] = {ARGUMENT_NONE, 0, NULL},
    ['P'] = {ARGUMENT_NONE, 0, NULL},
    ['R'] = TIME(meta.recache_exptime),
    ['T'] = TIME(exptime),
    ['c'] = {ARGUMENT_NONE, 0, NULL},
    ['f'] = {ARGUMENT_NONE, 0, NULL},
    ['h'] = {ARGUMENT_NONE, 0, NULL},
    ['k'] = {ARGUMENT_NONE, 0, NULL},
    ['l'] = {ARGUMENT_NONE, 0, NULL},
    ['q'] = {ARGUMENT_NONE, 0, NULL},
    ['s'] = {ARGUMENT_NONE, 0, NULL},
    ['t'] = {ARGUMENT_NONE, 0, NULL},
    ['u'] = {ARGUMENT_NONE, 0, NULL},
    ['v'] = {ARGUMENT_NONE, 0, NULL},
    ['x'] = {ARGUMENT_NONE, 0, NULL},
#undef TIME
#undef NUMBER
};

static bool read_time(struct slice word, int64_t *time)
{
    return number_wire_i64(word, time) && *time >= INT32_MIN && *time <= INT32_MAX;
}

static bool read_argument(const struct flag_row *row, struct slice word, struct request *request)
{
    void *at = (uint8_t *)request + row->at;
    uint64_t flags;
    size_t key_bytes;
    switch (row->argument) {
    case ARGUMENT_BASE64:
        return key_from_base64(request->key, NULL, &key_bytes);
    case ARGUMENT_MODE:
        request->meta.mode = word.size_bytes > 0 ? word.bytes[0] : ' ';
        return true;
    case ARGUMENT_FLAGS:
        if (!number_wire_u64(word, &flags) || flags > UINT32_MAX) return false;
        request->flags = (uint32_t)flags;
        return true;
    case ARGUMENT_TIME:
        return read_time(word, at);
    case ARGUMENT_NUMBER:
        return number_wire_u64(word, at);
    case ARGUMENT_NO_FLAG:
    case ARGUMENT_NONE:
    default:
        return true;
    }
}

static const char *read_flags(struct request *request)
{
    struct slice rest = request->meta.flags, word;
    const char *why = NULL;
    while (request_next_word(&rest, &word)) {
        uint8_t letter = word.bytes[0];
        if (letter >= LETTERS - 1) return REFUSAL_DUPLICATE; /* as memcached has it */
        const struct flag_row *row = &flag_rows[letter];
        if (row->argument == ARGUMENT_NO_FLAG) return REFUSAL_NO_FLAG;
        if (request_asks(request, (char)letter)) return REFUSAL_DUPLICATE;
        request->meta.asked |= REQUEST_META_BIT(letter);
        if (letter == 'T') request->meta.touch_last = request_asks(request, 'N');
        if (letter == 'R') request->meta.recache_last = request_asks(request, 'T');
        struct slice argument = slice_of(word.bytes + 1, word.size_bytes - 1);
        if (read_argument(row, argument, request)) continue;
        if (row->refusal != NULL) why = row->refusal;
        else if (why == NULL) why = REFUSAL_BAD_LINE; /* F has no words of its own */
    }
    return why;
}

/* What is refused for its size though memcached finds out only while it writes the answer. */
static const char *check_opaque(const struct request *request)
{
    struct slice rest = request->meta.flags, word;
    while (request_next_word(&rest, &word))
        if (word.bytes[0] == 'O' && word.size_bytes > OPAQUE_BYTES_MAX) return REFUSAL_OPAQUE;
    return NULL;
}

static const char *check_mode(const struct request *request)
{
    bool counts = request->command == COMMAND_MA;
    if (request->command != COMMAND_MS && !counts) return NULL;
    if (!request_asks(request, 'M')) return NULL;
    const char *modes = counts ? "I+D-" : "EAPRS";
    if (strchr(modes, request->meta.mode) != NULL && request->meta.mode != '\0') return NULL;
    return counts ? "CLIENT_ERROR invalid mode for ma M token"
                  : "CLIENT_ERROR invalid mode for ms M token";
}

static const char *read_key_and_flags(struct request *request, size_t word_count)
{
    const char *why = NULL;
    if (request->key.size_bytes > KEY_BYTES_MAX) why = REFUSAL_BAD_LINE;
    else if (word_count > META_WORDS_MAX) why = REFUSAL_TOO_MANY;
    else why = read_flags(request);
    if (why != NULL) return request->command == COMMAND_MA ? REFUSAL_BAD_FLAGS : why;
    why = check_mode(request);
    return why != NULL ? why : check_opaque(request);
}

/* me takes just one flag, and passes over all else. */
static const char *read_debug(struct request *request)
{
    struct slice rest = request->meta.flags, word;
    size_t key_bytes;
    if (request->key.size_bytes > KEY_BYTES_MAX) return REFUSAL_BAD_LINE;
    if (!request_next_word(&rest, &word) || !slice_is(word, "b")) return NULL;
    request->meta.asked = REQUEST_META_BIT('b');
    return key_from_base64(request->key, NULL, &key_bytes) ? NULL : REFUSAL_BAD_LINE;
}

const char *dialect_meta_words(struct slice words, size_t word_count, struct request *request,
                               uint64_t *value_bytes)
{
    struct slice word;
    uint64_t announced;
    if (!request_next_word(&words, &request->key)) return REFUSAL_BAD_LINE;
    if (request->command == COMMAND_MS) {
        if (!request_next_word(&words, &word) || !number_wire_u64(word, &announced) ||
            announced > VALUE_BYTES_MAX)
            return REFUSAL_BAD_LINE;
        *value_bytes = announced; /* from here on a refusal swallows */
    }
    request->meta.flags = words;
    request->delta = 1;
    if (request->command == COMMAND_ME) return read_debug(request);
    return read_key_and_flags(request, word_count);
}
