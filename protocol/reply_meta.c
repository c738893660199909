/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/reply_meta.h"

#include "base/check.h"
#include "protocol/key_text.h"
#include "protocol/reply.h"

static void put(struct reply_meta *reply, const void *bytes, size_t size_bytes)
{
    fp_assert(size_bytes <= sizeof reply->bytes - reply->size_bytes);
    memcpy(reply->bytes + reply->size_bytes, bytes, size_bytes);
    reply->size_bytes += size_bytes;
}

static void put_number(struct reply_meta *reply, uint64_t number)
{
    char digits[REPLY_DIGITS_MAX];
    put(reply, digits, reply_digits(digits, number));
}

void reply_meta_begin(struct reply_meta *reply, const char *code)
{
    reply->size_bytes = 0;
    put(reply, code, strlen(code));
}

void reply_meta_value(struct reply_meta *reply, uint64_t value_bytes)
{
    reply_meta_begin(reply, "VA ");
    put_number(reply, value_bytes);
}

void reply_meta_flag(struct reply_meta *reply, char flag)
{
    const char text[] = {' ', flag};
    put(reply, text, sizeof text);
}

void reply_meta_number(struct reply_meta *reply, char flag, uint64_t number)
{
    reply_meta_flag(reply, flag);
    put_number(reply, number);
}

void reply_meta_time(struct reply_meta *reply, int64_t seconds)
{
    if (seconds >= 0) {
        reply_meta_number(reply, 't', (uint64_t)seconds);
        return;
    }
    reply_meta_flag(reply, 't');
    put(reply, "-1", 2);
}

void reply_meta_key(struct reply_meta *reply, struct slice key, bool base64)
{
    char text[KEY_BASE64_BYTES_MAX];
    reply_meta_flag(reply, 'k');
    if (!base64) {
        put(reply, key.bytes, key.size_bytes);
        return;
    }
    put(reply, text, key_base64(key, text));
    reply_meta_flag(reply, 'b');
}

void reply_meta_word(struct reply_meta *reply, struct slice word)
{
    put(reply, " ", 1);
    put(reply, word.bytes, word.size_bytes);
}

struct slice reply_meta_end(struct reply_meta *reply)
{
    put(reply, "\r\n", 2);
    return slice_of(reply->bytes, reply->size_bytes);
}
