/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"
#include "protocol/frame.h"
#include "tests/bench/speech.h"

static size_t ask_one(const struct talk *talk, const struct ask *ask, uint8_t *out)
{
    bool stores = talk->work == WORK_STORE;
    struct frame frame = {.magic = FRAME_MAGIC_REQUEST,
                          .opcode = stores ? FRAME_STORE : FRAME_LOAD,
                          .tag = ask->tag,
                          .slot = ask->slot,
                          .area = talk->area,
                          .count = 1};
    if (stores) {
        frame.body_bytes = PAGESET_PAGE_BYTES;
        frame.body_crc = talk->pages->crcs[ask->page];
        memcpy(out + FRAME_HEADER_BYTES, pageset_page(talk->pages, ask->page), PAGESET_PAGE_BYTES);
    }
    frame_encode(&frame, out);
    return FRAME_HEADER_BYTES + frame.body_bytes;
}

static size_t frames_ask(const struct talk *talk, const struct ask *asks, uint32_t count,
                         uint8_t *out)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) size += ask_one(talk, &asks[i], out + size);
    return size;
}

static enum heard frames_hear(const struct talk *talk, const struct ask *ask, struct slice bytes,
                              size_t *used)
{
    struct frame reply;
    if (bytes.size_bytes < FRAME_HEADER_BYTES) return HEARD_PARTIAL;
    if (!frame_decode(bytes.bytes, FRAME_MAGIC_REPLY, &reply)) return HEARD_BROKEN;
    if (reply.tag != ask->tag || reply.slot != ask->slot) return HEARD_BROKEN;
    *used = FRAME_HEADER_BYTES + reply.body_bytes;
    if (*used > SPEECH_ANSWER_BYTES_MAX) return HEARD_BROKEN;
    if (bytes.size_bytes < *used) return HEARD_PARTIAL;
    if (reply.status != FRAME_OK) return HEARD_REFUSED;
    if (talk->work == WORK_STORE) return HEARD_RIGHT;
    bool right = reply.body_bytes == PAGESET_PAGE_BYTES &&
                 crc32c(bytes.bytes + FRAME_HEADER_BYTES, PAGESET_PAGE_BYTES) ==
                     talk->pages->crcs[ask->page];
    return right ? HEARD_RIGHT : HEARD_WRONG;
}

size_t speech_frames_answer_bytes(const struct talk *talk, const struct ask *ask)
{
    (void)ask;
    return FRAME_HEADER_BYTES + (talk->work == WORK_LOAD ? PAGESET_PAGE_BYTES : 0);
}

const struct speech speech_frames = {frames_ask, frames_hear};
