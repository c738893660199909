/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"
#include "protocol/frame_batch.h"
#include "tests/bench/speech.h"

_Static_assert((int)PACKED_LZ4 == (int)FRAME_CODEC_LZ4, "the numbers are those of the wire");
_Static_assert((int)PACKED_WORD == (int)FRAME_CODEC_WORD, "as above");
_Static_assert((int)SPEECH_BATCH_MAX <= (int)FRAME_BATCH_MAX, "a request is one frame");

static const struct pageset *pages_of(const struct talk *talk)
{
    return talk->packs->pages;
}

static bool goes_in_batches(const struct talk *talk, uint32_t count)
{
    return count > 1 || talk->form != FORM_PLAIN;
}

/* --- asking ----------------------------------------------------------------------------------- */

static struct frame request_of(const struct talk *talk, const struct ask *ask,
                               enum frame_opcode opcode)
{
    return (struct frame){.magic = FRAME_MAGIC_REQUEST,
                          .opcode = (uint8_t)opcode,
                          .tag = ask->tag,
                          .area = talk->area,
                          .count = 1};
}

static size_t ask_one(const struct talk *talk, const struct ask *ask, uint8_t *out)
{
    bool stores = talk->work == WORK_STORE;
    struct frame frame = request_of(talk, ask, stores ? FRAME_STORE : FRAME_LOAD);
    frame.slot = ask->slot;
    if (stores) {
        frame.body_bytes = PAGESET_PAGE_BYTES;
        frame.body_crc = pages_of(talk)->crcs[ask->page];
        memcpy(out + FRAME_HEADER_BYTES, pageset_page(pages_of(talk), ask->page),
               PAGESET_PAGE_BYTES);
    }
    frame_encode(&frame, out);
    return FRAME_HEADER_BYTES + frame.body_bytes;
}

static struct pack pack_of(const struct talk *talk, uint32_t page)
{
    if (talk->form == FORM_PACKED) return talk->packs->ahead[page];
    if (talk->form == FORM_PACKED_NOW) return packs_pack(talk->packs, page);
    return (struct pack){.format = PACKED_PLAIN, .size_bytes = PAGESET_PAGE_BYTES,
                         .bytes = pageset_page(pages_of(talk), page)};
}

static size_t put_entry(const struct talk *talk, const struct ask *ask, uint8_t *out)
{
    struct pack pack = pack_of(talk, ask->page);
    struct frame_entry entry = {.slot = ask->slot,
                                .page_crc = pages_of(talk)->crcs[ask->page],
                                .size_bytes = pack.size_bytes,
                                .codec = (uint8_t)pack.format};
    frame_entry_encode(&entry, pack.bytes, out);
    memcpy(out + FRAME_ENTRY_BYTES, pack.bytes, pack.size_bytes);
    return FRAME_ENTRY_BYTES + pack.size_bytes;
}

static size_t ask_store_batch(const struct talk *talk, const struct ask *asks, uint32_t count,
                              uint8_t *out)
{
    struct frame frame = request_of(talk, asks, FRAME_STORE_BATCH);
    size_t size = FRAME_HEADER_BYTES;
    for (uint32_t i = 0; i < count; i++) size += put_entry(talk, &asks[i], out + size);
    frame.count = count;
    frame.body_bytes = (uint32_t)(size - FRAME_HEADER_BYTES);
    frame_encode(&frame, out);
    return size;
}

static size_t ask_load_batch(const struct talk *talk, const struct ask *asks, uint32_t count,
                             uint8_t *out)
{
    uint64_t slots[SPEECH_BATCH_MAX];
    uint32_t flags = talk->form == FORM_PLAIN ? 0 : FRAME_LOAD_PACKED;
    struct frame frame = request_of(talk, asks, FRAME_LOAD_BATCH);
    for (uint32_t i = 0; i < count; i++) slots[i] = asks[i].slot;
    uint8_t *body = out + FRAME_HEADER_BYTES;
    frame.count = count;
    frame.body_bytes = (uint32_t)frame_slots_encode(flags, slots, count, body);
    frame.body_crc = crc32c(body, frame.body_bytes);
    frame_encode(&frame, out);
    return FRAME_HEADER_BYTES + frame.body_bytes;
}

static size_t frames_ask(const struct talk *talk, const struct ask *asks, uint32_t count,
                         uint8_t *out)
{
    if (!goes_in_batches(talk, count)) return ask_one(talk, asks, out);
    if (talk->work == WORK_STORE) return ask_store_batch(talk, asks, count, out);
    return ask_load_batch(talk, asks, count, out);
}

/* --- hearing ---------------------------------------------------------------------------------- */

static bool is_plain_page(const struct talk *talk, uint32_t page, struct slice body)
{
    return body.size_bytes == PAGESET_PAGE_BYTES &&
           crc32c(body.bytes, body.size_bytes) == pages_of(talk)->crcs[page];
}

/* Packed ahead, the packed bytes are compared with those that were sent; should the server have
 * packed the page anew, it is unpacked after all. */
static bool is_packed_page(const struct talk *talk, uint32_t page, struct slice body)
{
    struct frame_packed packed;
    struct slice bytes;
    if (!frame_packed_decode(body, &packed, &bytes)) return false;
    const struct pack *ahead = &talk->packs->ahead[page];
    if (talk->form == FORM_PACKED && packed.codec == ahead->format &&
        bytes.size_bytes == ahead->size_bytes &&
        crc32c(bytes.bytes, bytes.size_bytes) == ahead->crc)
        return true;
    struct packed as_come = {bytes.bytes, bytes.size_bytes};
    return packs_is_page(talk->packs, (enum packed_format)packed.codec, as_come, page);
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
    struct slice body = slice_of(bytes.bytes + FRAME_HEADER_BYTES, reply.body_bytes);
    if (reply.status != FRAME_OK && reply.status != FRAME_PACKED) return HEARD_REFUSED;
    if (talk->work == WORK_STORE) return HEARD_RIGHT;
    bool right = reply.status == FRAME_OK ? is_plain_page(talk, ask->page, body)
                                          : is_packed_page(talk, ask->page, body);
    return right ? HEARD_RIGHT : HEARD_WRONG;
}

size_t speech_frames_answer_bytes(const struct talk *talk, const struct ask *ask)
{
    const struct pack *ahead = &talk->packs->ahead[ask->page];
    if (talk->work == WORK_STORE) return FRAME_HEADER_BYTES;
    if (talk->form == FORM_PLAIN || ahead->format == PACKED_PLAIN)
        return FRAME_HEADER_BYTES + PAGESET_PAGE_BYTES;
    return FRAME_HEADER_BYTES + FRAME_PACKED_BYTES + ahead->size_bytes;
}

const struct speech speech_frames = {frames_ask, frames_hear};
