/* SPDX-License-Identifier: BSD-3-Clause
 * reply_meta - the line that answers a meta command: a code, then flags in the order they were
 * asked for. Pure. */
#ifndef FARPAGE_PROTOCOL_REPLY_META_H
#define FARPAGE_PROTOCOL_REPLY_META_H
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "protocol/key_text.h"
#include "protocol/limits.h"

/* Each flag once: a key in base64, an opaque, ten numbers, the marks. */
enum { REPLY_META_BYTES_MAX = 4 + KEY_BASE64_BYTES_MAX + OPAQUE_BYTES_MAX + 10 * 23 + 64 };

struct reply_meta {
    char bytes[REPLY_META_BYTES_MAX];
    size_t size_bytes;
};

void reply_meta_begin(struct reply_meta *reply, const char *code) FP_NONNULL(1, 2);
void reply_meta_value(struct reply_meta *reply, uint64_t value_bytes) FP_NONNULL(1); /* "VA <n>" */
void reply_meta_flag(struct reply_meta *reply, char flag) FP_NONNULL(1);
void reply_meta_number(struct reply_meta *reply, char flag, uint64_t number) FP_NONNULL(1);
/* A time left in seconds; below 0 it is for ever: "t-1". */
void reply_meta_time(struct reply_meta *reply, int64_t seconds) FP_NONNULL(1);
void reply_meta_key(struct reply_meta *reply, struct slice key, bool base64) FP_NONNULL(1);
/* As it was sent. */
void reply_meta_word(struct reply_meta *reply, struct slice word) FP_NONNULL(1);
/* Ends the line; good while the reply is. */
struct slice reply_meta_end(struct reply_meta *reply) FP_NONNULL(1);

#endif
