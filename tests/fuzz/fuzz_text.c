/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text parser on any bytes, as a stream of requests. For each request of the stream:
 *   - a cut before its end is PARTIAL, and what PARTIAL asks for does not pass that end;
 *   - more bytes behind it do not change the answer;
 *   - it takes at least a byte and at most what is there (progress, and no overrun);
 *   - a value that is not awaited but taken as it comes gives the same answer;
 *   - its slices lie within what it took, its key and value within their limits;
 *   - what a meta command asks for are just its flags, once each, and its key can be made plain;
 *   - a hang-up, once decided, stays decided. */
#include "fuzz.h"
#include "protocol/limits.h"
#include "protocol/request.h"

enum { ITEM_MAX = 300, CUTS_MAX = 600 };

static const struct request_limits limits = {.item_bytes_max = ITEM_MAX};
static const struct request_limits streaming = {.item_bytes_max = ITEM_MAX, .whole_bytes_max = 1};

struct answer {
    enum request_parse parse;
    struct request request;
    size_t more_bytes;
    const char *refusal;
};

/* Slices of the answer point into freed memory afterwards: only their sizes may be used. */
static void expect_within(struct slice part, struct slice whole)
{
    if (part.size_bytes == 0) return;
    fp_assert(part.bytes >= whole.bytes);
    fp_assert(part.bytes + part.size_bytes <= whole.bytes + whole.size_bytes);
}

static void expect_keys(struct request *request)
{
    struct slice key = request->key, rest = request->more_keys;
    do {
        fp_assert(key.size_bytes > 0 && key.size_bytes <= KEY_BYTES_MAX);
        fp_assert(memchr(key.bytes, ' ', key.size_bytes) == NULL);
        fp_assert(memchr(key.bytes, '\n', key.size_bytes) == NULL);
    } while (request_next_key(&rest, &key));
}

static void expect_meta(const struct request *request)
{
    uint8_t room[KEY_BYTES_MAX];
    struct slice rest = request->meta.flags, word;
    uint64_t asked = 0;
    bool only_b = request->command == COMMAND_ME;
    while (request_next_word(&rest, &word)) {
        if (only_b && !slice_is(word, "b")) break;
        fp_assert(word.bytes[0] >= 'A' && word.bytes[0] <= 'z');
        fp_assert((asked & REQUEST_META_BIT(word.bytes[0])) == 0);
        asked |= REQUEST_META_BIT(word.bytes[0]);
        if (word.bytes[0] == 'O') fp_assert(word.size_bytes <= OPAQUE_BYTES_MAX);
        if (only_b) break;
    }
    fp_assert(asked == request->meta.asked);
    struct slice key = request_key(request, room);
    fp_assert(key.size_bytes > 0 && key.size_bytes <= KEY_BYTES_MAX);
    if (request_asks(request, 'b')) fp_assert(key.bytes == room);
}

static void expect_sound(struct answer *answer, struct slice buffer)
{
    struct request *request = &answer->request;
    if (answer->parse == REQUEST_PARTIAL) fp_assert(answer->more_bytes >= 1);
    if (answer->parse == REQUEST_REFUSED) fp_assert(answer->refusal[0] != '\0');
    if (answer->refusal != NULL) fp_assert(strpbrk(answer->refusal, "\r\n") == NULL);
    if (answer->parse == REQUEST_READY || answer->parse == REQUEST_REFUSED) {
        fp_assert(request->size_bytes >= 1 && request->size_bytes <= buffer.size_bytes);
        struct slice taken = slice_of(buffer.bytes, request->size_bytes);
        expect_within(request->key, taken);
        if (request->drop_old) fp_assert(request->key.size_bytes > 0);
    }
    if (answer->parse != REQUEST_READY) return;
    fp_assert(request->swallow_bytes == 0 && !request->drop_old);
    if (request->command >= COMMAND_MG && request->command <= COMMAND_ME) expect_meta(request);
    else fp_assert(request->meta.asked == 0);
    struct slice taken = slice_of(buffer.bytes, request->size_bytes);
    expect_within(request->more_keys, taken);
    expect_within(request->value, taken);
    expect_within(request->rest, taken);
    fp_assert(request->value.size_bytes <= ITEM_MAX);
    if (request->key.size_bytes > 0) expect_keys(request);
}

static struct answer parse(const uint8_t *bytes, size_t size_bytes)
{
    struct answer answer = {.refusal = NULL};
    struct slice buffer = tight_create(bytes, size_bytes);
    answer.parse = request_parse(buffer, &limits, &answer.request, &answer.more_bytes,
                                 &answer.refusal);
    expect_sound(&answer, buffer);
    tight_destroy(&buffer);
    return answer;
}

static void expect_same(const struct answer *a, const struct answer *b)
{
    fp_assert(a->parse == b->parse);
    if (a->parse == REQUEST_PARTIAL) return;
    fp_assert(a->refusal == b->refusal || strcmp(a->refusal, b->refusal) == 0);
    if (a->parse == REQUEST_LOST) return;
    fp_assert(a->request.size_bytes == b->request.size_bytes);
    fp_assert(a->request.swallow_bytes == b->request.swallow_bytes);
    fp_assert(a->request.value.size_bytes == b->request.value.size_bytes);
    fp_assert(a->request.key.size_bytes == b->request.key.size_bytes);
    fp_assert(a->request.noreply == b->request.noreply);
}

/* All cuts of short requests; of long ones those near both ends. */
static void try_cuts(const uint8_t *bytes, size_t size_bytes, const struct answer *whole)
{
    bool decided = false;
    for (size_t cut = 0; cut < size_bytes; cut++) {
        if (cut == CUTS_MAX && size_bytes > 2 * CUTS_MAX) cut = size_bytes - CUTS_MAX;
        struct answer part = parse(bytes, cut);
        if (part.parse == REQUEST_PARTIAL) {
            fp_assert(!decided);
            if (whole->parse == REQUEST_READY || whole->parse == REQUEST_REFUSED)
                fp_assert(cut + part.more_bytes <= whole->request.size_bytes);
            continue;
        }
        fp_assert(whole->parse != REQUEST_PARTIAL);
        if (whole->parse != REQUEST_LOST) fp_assert(cut >= whole->request.size_bytes);
        expect_same(&part, whole);
        if (decided) return; /* two that agree are enough */
        decided = true;
    }
}

/* What a server does that packs a value as it comes. */
static void try_in_pieces(const uint8_t *bytes, size_t size_bytes, const struct answer *whole)
{
    struct answer line = {.refusal = NULL};
    struct slice buffer = tight_create(bytes, size_bytes);
    line.parse = request_parse(buffer, &streaming, &line.request, &line.more_bytes, &line.refusal);
    tight_destroy(&buffer);
    if (line.parse != REQUEST_VALUE) {
        expect_same(&line, whole);
        return;
    }
    size_t at = line.request.size_bytes + (size_t)line.request.value_bytes, end_bytes = 0;
    fp_assert(line.request.value_bytes > 1 && line.request.value_bytes <= ITEM_MAX);
    struct answer end = {.parse = REQUEST_PARTIAL};
    if (at < size_bytes) {
        buffer = tight_create(bytes + at, size_bytes - at);
        end.parse = request_value_end(buffer, line.request.bare, &end_bytes, &end.refusal);
        tight_destroy(&buffer);
    }
    fp_assert(end.parse == whole->parse);
    if (end.parse == REQUEST_PARTIAL) return;
    end.request = line.request;
    end.request.size_bytes = at + end_bytes;
    end.request.value.size_bytes =
        end.parse == REQUEST_READY ? (size_t)line.request.value_bytes : 0;
    expect_same(&end, whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    size_t at = 0;
    while (at < size_bytes) {
        struct answer whole = parse(data + at, size_bytes - at);
        try_cuts(data + at, size_bytes - at, &whole);
        try_in_pieces(data + at, size_bytes - at, &whole);
        if (whole.parse == REQUEST_PARTIAL || whole.parse == REQUEST_LOST) break;
        at += whole.request.size_bytes;
        if (whole.parse != REQUEST_REFUSED) continue;
        if (whole.request.swallow_bytes >= size_bytes - at) break;
        at += whole.request.swallow_bytes;
    }
    return 0;
}
