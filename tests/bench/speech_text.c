/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"
#include "tests/bench/load_wire.h"
#include "tests/bench/speech.h"

/* What the server is to keep of the page: it does not know whether that is packed. */
static struct pack value_of(const struct talk *talk, uint32_t page)
{
    const struct pageset *pages = talk->packs->pages;
    if (talk->form == FORM_PLAIN)
        return (struct pack){.bytes = pageset_page(pages, page),
                             .size_bytes = PAGESET_PAGE_BYTES, .crc = pages->crcs[page]};
    return talk->packs->ahead[page];
}

static size_t ask_sets(const struct talk *talk, const struct ask *asks, uint32_t count,
                       uint8_t *out)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pack value = value_of(talk, asks[i].page);
        size += wire_set(out + size, asks[i].slot, slice_of(value.bytes, value.size_bytes));
    }
    return size;
}

static size_t text_ask(const struct talk *talk, const struct ask *asks, uint32_t count,
                       uint8_t *out)
{
    if (talk->work == WORK_STORE) return ask_sets(talk, asks, count, out);
    size_t size = wire_get_begin(out);
    for (uint32_t i = 0; i < count; i++) size += wire_get_key(out + size, asks[i].slot);
    return size + wire_get_end(out + size);
}

static enum heard text_hear(const struct talk *talk, const struct ask *ask, struct slice bytes,
                            size_t *used)
{
    struct pack value = value_of(talk, ask->page);
    struct wire_wanted wanted = {ask->slot, value.size_bytes, ask->ends_request};
    struct wire_reply reply =
        talk->work == WORK_LOAD ? wire_read_get(bytes, &wanted) : wire_read_set(bytes);
    *used = reply.size_bytes;
    if (reply.kind == WIRE_PARTIAL) return HEARD_PARTIAL;
    if (reply.kind == WIRE_STORED) return HEARD_RIGHT;
    if (reply.kind == WIRE_BROKEN) return HEARD_BROKEN;
    if (reply.kind != WIRE_VALUE) return HEARD_REFUSED;
    bool right = crc32c(reply.value.bytes, reply.value.size_bytes) == value.crc;
    return right ? HEARD_RIGHT : HEARD_WRONG;
}

const struct speech speech_text = {text_ask, text_hear};
