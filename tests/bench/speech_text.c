/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"
#include "tests/bench/load_wire.h"
#include "tests/bench/speech.h"

static size_t text_ask(const struct talk *talk, const struct ask *asks, uint32_t count,
                       uint8_t *out)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += talk->work == WORK_LOAD
                    ? wire_get(out + size, asks[i].slot)
                    : wire_set(out + size, asks[i].slot, pageset_page(talk->pages, asks[i].page));
    return size;
}

static enum heard text_hear(const struct talk *talk, const struct ask *ask, struct slice bytes,
                            size_t *used)
{
    struct wire_reply reply = talk->work == WORK_LOAD
                                  ? wire_read_get(bytes.bytes, bytes.size_bytes, ask->slot)
                                  : wire_read_set(bytes.bytes, bytes.size_bytes);
    *used = reply.size_bytes;
    if (reply.kind == WIRE_PARTIAL) return HEARD_PARTIAL;
    if (reply.kind == WIRE_STORED) return HEARD_RIGHT;
    if (reply.kind == WIRE_BROKEN) return HEARD_BROKEN;
    if (reply.kind != WIRE_VALUE) return HEARD_REFUSED;
    bool right = crc32c(reply.page, PAGESET_PAGE_BYTES) == talk->pages->crcs[ask->page];
    return right ? HEARD_RIGHT : HEARD_WRONG;
}

const struct speech speech_text = {text_ask, text_hear};
