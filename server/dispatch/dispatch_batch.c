/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Many pages in one request.
 *
 * Life of a store batch: header -> [ entry arrives -> stored -> answered ]* -> none left
 *                           \-> refused as a whole: one answer   \-> one that cannot be believed:
 *                                                                    it and what follows, refused
 * An entry is carried out as soon as it is there, so that a body is never kept. A load batch goes
 * through its slots in chunks and writes into the output directly; session->resume is the next. */
#include "base/check.h"
#include "base/crc32c.h"
#include "protocol/frame_batch.h"
#include "protocol/limits.h"
#include "server/dispatch/dispatch_frame.h"
#include "storage/store/page/store_packed.h"

_Static_assert((int)PACKED_LZ4 == (int)FRAME_CODEC_LZ4 &&
                   (int)PACKED_ZSTD == (int)FRAME_CODEC_ZSTD &&
                   (int)PACKED_WORD == (int)FRAME_CODEC_WORD &&
                   (int)PACKED_FORMATS == (int)FRAME_CODECS,
               "a codec of the wire is a format of the storage");

enum {
    ENTRIES_PER_STEP = 16,
    LOADS_PER_STEP = 64,
    LOADS_STEP_BYTES = 64 << 10, /* of replies, and one more */
    LOADS_FIRST_ALONE = 16,      /* of more, the first is sent before the others are looked at */
};

/* What this connection may send and be sent packed, a bit for each codec. */
static uint32_t codecs_of(const struct dispatcher *dispatcher, const struct session *session)
{
    const _Atomic uint32_t *setting = &dispatcher->shared->settings.from_clients;
    bool on = atomic_load_explicit(setting, memory_order_relaxed) == CONFIG_SWITCH_ON;
    return on ? session->codecs : 0;
}

static void count_packed(struct dispatcher *dispatcher, enum worker_counter which,
                         uint32_t page_bytes, uint64_t packed_bytes)
{
    counter_add(dispatcher->counters, which, 1);
    counter_add(dispatcher->counters, COUNTER_farpage_packed_saved_bytes,
                page_bytes - packed_bytes);
}

static void count(struct dispatcher *dispatcher, enum worker_counter which, uint64_t delta)
{
    counter_add(dispatcher->counters, which, delta);
}

/* --- stores ----------------------------------------------------------------------------------- */

/* What FP_LATER is between here and dispatch_entries; no wire has it. */
enum { STATUS_LATER = UINT16_MAX };

static enum frame_status status_or_later(enum fp_status status)
{
    return status == FP_LATER ? (enum frame_status)STATUS_LATER : dispatch_status_of(status);
}

static enum frame_status store_plain(struct dispatcher *dispatcher, struct page_place place,
                                     const struct frame_entry *entry, const uint8_t *page)
{
    if (entry->size_bytes != place.area->page_bytes) return FRAME_BAD_LENGTH;
    if (entry->dictionary_id != 0) return FRAME_NO_DICTIONARY;
    if (crc32c(page, entry->size_bytes) != entry->page_crc) return FRAME_BAD_CHECKSUM;
    return status_or_later(store_page_store(dispatcher->shared->store, dispatcher->scratch, place,
                                            page, entry->page_crc));
}

static enum frame_status packed_status(enum fp_status status)
{
    if (status == FP_ABSENT) return FRAME_NO_DICTIONARY;
    if (status == FP_TOO_BIG) return FRAME_BAD_LENGTH;
    return status_or_later(status);
}

static enum frame_status store_packed(struct dispatcher *dispatcher, struct page_place place,
                                      const struct frame_entry *entry, const uint8_t *bytes)
{
    struct page_packed page = {.kind = {.format = (enum packed_format)entry->codec,
                                        .dictionary_id = entry->dictionary_id},
                               .bytes = {.bytes = bytes, .size_bytes = entry->size_bytes},
                               .crc = entry->page_crc};
    enum fp_status status = store_page_store_packed(dispatcher->shared->store, dispatcher->scratch,
                                                    place, &page);
    if (status == FP_OK)
        count_packed(dispatcher, COUNTER_farpage_packed_stores, place.area->page_bytes,
                     entry->size_bytes);
    return packed_status(status);
}

static enum frame_status store_entry_to(struct dispatcher *dispatcher, uint32_t codecs,
                                        struct page_place place, const struct frame_entry *entry,
                                        const uint8_t *bytes)
{
    if (entry->reserved || entry->codec >= FRAME_CODECS || (codecs >> entry->codec & 1) == 0)
        return FRAME_BAD_CODEC;
    enum frame_status status = entry->codec == FRAME_CODEC_PLAIN
                                   ? store_plain(dispatcher, place, entry, bytes)
                                   : store_packed(dispatcher, place, entry, bytes);
    count(dispatcher, COUNTER_farpage_page_stores, status == FRAME_OK);
    count(dispatcher, COUNTER_farpage_page_refused, status == FRAME_NO_MEMORY);
    return status;
}

static enum frame_status store_entry(struct dispatcher *dispatcher, struct session *session,
                                     const struct frame_entry *entry, const uint8_t *bytes)
{
    struct opener *opener = session_opener(session, session->batch.frame.area);
    if (opener == NULL) return FRAME_NO_AREA;
    if (!opener_enter(opener)) return FRAME_LOST;
    struct page_place place = {.area = opener->area, .slot = entry->slot};
    uint32_t codecs = codecs_of(dispatcher, session) | 1u << FRAME_CODEC_PLAIN;
    dispatcher->scratch->may_wait = true;
    enum frame_status status = store_entry_to(dispatcher, codecs, place, entry, bytes);
    dispatcher->scratch->may_wait = false;
    opener_leave(opener);
    return status;
}

struct replies { /* headers, until the step is done */
    uint8_t headers[ENTRIES_PER_STEP * FRAME_HEADER_BYTES];
    size_t size_bytes;
};

/* Answers the next entry of the batch. */
static void answer(struct session_batch *batch, uint64_t slot, enum frame_status status,
                   uint8_t header[FRAME_HEADER_BYTES])
{
    struct frame reply = {.opcode = batch->frame.opcode,
                          .status = (uint16_t)status,
                          .tag = batch->frame.tag,
                          .slot = slot,
                          .area = batch->frame.area,
                          .count = --batch->frame.count};
    dispatch_write_header(&reply, header);
}

/* Where the next entry is, and how long it is, is not certain any more. */
static void refuse_rest(struct session *session, enum frame_status status, struct output *output)
{
    uint8_t header[FRAME_HEADER_BYTES];
    while (session->batch.frame.count > 0) {
        answer(&session->batch, 0, status, header);
        output_add(output, slice_of(header, sizeof header));
    }
}

/* Whether the entry and as many as follow may be what the body's length says. */
static bool lengths_fit(const struct session_batch *batch, const struct frame_entry *entry)
{
    uint64_t size = FRAME_ENTRY_BYTES + (uint64_t)entry->size_bytes;
    uint64_t follow = batch->frame.count - 1;
    if (entry->size_bytes > batch->page_bytes || size > batch->left_bytes) return false;
    uint64_t rest = batch->left_bytes - size;
    return rest >= follow * FRAME_ENTRY_BYTES &&
           rest <= follow * (FRAME_ENTRY_BYTES + (uint64_t)batch->page_bytes);
}

enum taken { TAKEN, TAKEN_LATER, TAKEN_WRONG };

/* Takes the entry at the front of *input, and answers it in `header`. Not LATER: there is no memory
 * for it yet. WRONG: it is not as it was sent. */
static enum taken take_entry(struct dispatcher *dispatcher, struct session *session,
                       struct slice *input, uint8_t header[FRAME_HEADER_BYTES])
{
    struct frame_entry entry;
    const uint8_t *at = input->bytes;
    frame_entry_decode(at, &entry);
    if (!frame_entry_good(at, &entry)) return TAKEN_WRONG;
    size_t size = FRAME_ENTRY_BYTES + (size_t)entry.size_bytes;
    enum frame_status status = store_entry(dispatcher, session, &entry, at + FRAME_ENTRY_BYTES);
    if ((int)status == STATUS_LATER) return TAKEN_LATER;
    answer(&session->batch, entry.slot, status, header);
    session->batch.left_bytes -= size;
    *input = slice_of(at + size, input->size_bytes - size);
    return TAKEN;
}

/* What the entry at the front takes; 0: it is none that can be. */
static size_t entry_bytes(const struct session_batch *batch, struct slice input)
{
    struct frame_entry entry;
    if (input.size_bytes < FRAME_ENTRY_BYTES) return FRAME_ENTRY_BYTES;
    frame_entry_decode(input.bytes, &entry);
    return lengths_fit(batch, &entry) ? FRAME_ENTRY_BYTES + (size_t)entry.size_bytes : 0;
}

enum dispatch dispatch_entries(struct dispatcher *dispatcher, struct session *session,
                               struct slice *input, size_t *need_bytes, struct output *output)
{
    struct replies replies = {.size_bytes = 0};
    enum frame_status lost = FRAME_OK; /* why what follows cannot be read */
    enum taken how = TAKEN;
    uint32_t taken = 0;
    while (lost == FRAME_OK && taken < ENTRIES_PER_STEP && session->batch.frame.count > 0) {
        uint8_t *header = replies.headers + replies.size_bytes;
        *need_bytes = entry_bytes(&session->batch, *input);
        if (*need_bytes > input->size_bytes) break;
        if (*need_bytes != 0) how = take_entry(dispatcher, session, input, header);
        if (how == TAKEN_LATER) break;
        if (*need_bytes == 0) lost = FRAME_BAD_LENGTH;
        else if (how == TAKEN_WRONG) lost = FRAME_BAD_CHECKSUM;
        else replies.size_bytes += FRAME_HEADER_BYTES;
        taken++;
    }
    if (taken > 1) dispatcher->more_pages += taken - 1;
    output_add(output, slice_of(replies.headers, replies.size_bytes));
    if (lost != FRAME_OK) refuse_rest(session, lost, output);
    return how == TAKEN_LATER ? dispatch_later(dispatcher) : DISPATCH_DONE;
}

void dispatch_entries_no_memory(struct session *session, struct output *output)
{
    refuse_rest(session, FRAME_NO_MEMORY, output);
}

/* FRAME_OK: its entries may come. */
static enum frame_status batch_status(const struct session *session, const struct frame *frame,
                                      const struct area *area)
{
    if (!frame_fields_good(frame)) return FRAME_BAD_FIELD;
    if (!session->greeted) return FRAME_NO_HELLO;
    if (area == NULL) return FRAME_NO_AREA;
    uint64_t pairs = frame->count;
    if (pairs == 0 || pairs > FRAME_BATCH_MAX) return FRAME_BAD_LENGTH;
    bool fits = frame->body_bytes >= pairs * FRAME_ENTRY_BYTES &&
                frame->body_bytes <= pairs * (FRAME_ENTRY_BYTES + (uint64_t)area->page_bytes);
    return fits ? FRAME_OK : FRAME_BAD_LENGTH;
}

enum dispatch dispatch_store_batch(struct dispatcher *dispatcher, struct session *session,
                                   const struct frame *frame, struct output *output)
{
    const struct opener *opener = session->greeted ? session_opener(session, frame->area) : NULL;
    const struct area *area = opener != NULL ? opener->area : NULL;
    enum frame_status status = batch_status(session, frame, area);
    if (status == FRAME_OK && opener_drains(opener)) status = FRAME_REFUSED;
    session->batch = (struct session_batch){.frame = *frame, .left_bytes = frame->body_bytes};
    if (status != FRAME_OK) {
        session->batch.frame.count = 0;
        dispatch_frame_status(frame, status, output);
        return frame->body_bytes <= FRAME_BATCH_BODY_BYTES_MAX ? DISPATCH_DONE : DISPATCH_CLOSE;
    }
    session->batch.page_bytes = area->page_bytes;
    count(dispatcher, COUNTER_farpage_batches, 1);
    return DISPATCH_DONE;
}

/* --- loads ------------------------------------------------------------------------------------ */

struct loads { /* one step of a load batch */
    const struct context *context;
    struct frame_slots slots;
    const struct opener *opener;
    uint32_t formats;   /* that are welcome packed */
    size_t reply_bytes; /* of one page at most */
};

/* Writes the reply for a page that stays packed, which is in its place behind `at` already. */
static void reply_packed(struct dispatcher *dispatcher, const struct page_packed *page,
                         uint32_t page_bytes, struct frame *reply, uint8_t *at)
{
    struct frame_packed packed = {.codec = (uint8_t)page->kind.format,
                                  .dictionary_id = page->kind.dictionary_id,
                                  .page_crc = page->crc};
    uint8_t *body = at + FRAME_HEADER_BYTES;
    frame_packed_encode(&packed, body);
    reply->status = FRAME_PACKED;
    reply->body_bytes = (uint32_t)(FRAME_PACKED_BYTES + page->bytes.size_bytes);
    reply->body_crc = crc32c(body, reply->body_bytes);
    dispatch_write_header(reply, at);
    count_packed(dispatcher, COUNTER_farpage_packed_loads, page_bytes, page->bytes.size_bytes);
}

/* Writes the reply for one slot; how long it is, 0 where it went to the file just now and is asked
 * for. */
static size_t load_one(const struct loads *loads, uint32_t index, uint8_t *at)
{
    struct dispatcher *dispatcher = loads->context->dispatcher;
    const struct frame *frame = loads->context->frame;
    uint64_t slot = frame_slots_at(&loads->slots, index);
    struct page_wish wish = {.formats = loads->formats,
                             .out = at + FRAME_HEADER_BYTES,
                             .packed_at = FRAME_PACKED_BYTES};
    struct page_packed page;
    enum fp_status status = dispatch_load(dispatcher, loads->opener, slot, &wish, &page);
    if (status == FP_SPILLED && dispatch_ask(loads->context, slot, PROMOTE_BY_POLICY)) return 0;
    struct frame reply = {.opcode = frame->opcode,
                          .status = (uint16_t)dispatch_status_of(status),
                          .tag = frame->tag,
                          .slot = slot,
                          .area = frame->area,
                          .count = loads->slots.count - index - 1};
    if (status == FP_OK && page.kind.format != PACKED_PLAIN) {
        reply_packed(dispatcher, &page, loads->opener->area->page_bytes, &reply, at);
        return FRAME_HEADER_BYTES + reply.body_bytes;
    }
    if (status == FP_OK) {
        reply.body_bytes = loads->opener->area->page_bytes;
        reply.body_crc = page.crc;
    }
    dispatch_write_header(&reply, at);
    return FRAME_HEADER_BYTES + reply.body_bytes;
}

/* Behind the last slot that a step from `first` on looks at. */
static uint32_t step_end(const struct loads *loads, uint32_t first)
{
    uint32_t end = loads->slots.count;
    if (end - first > LOADS_PER_STEP) end = first + LOADS_PER_STEP;
    return first == 0 && loads->slots.count > LOADS_FIRST_ALONE ? 1 : end;
}

static size_t step_room(const struct loads *loads, uint32_t first)
{
    size_t room = (step_end(loads, first) - first) * loads->reply_bytes;
    size_t most = LOADS_STEP_BYTES + loads->reply_bytes;
    return room < most ? room : most;
}

/* True: pages that will surely be answered in this step are to be read first, all at once. */
static bool ask_some(const struct loads *loads, uint32_t first)
{
    bool any = false;
    size_t count = step_room(loads, first) / loads->reply_bytes;
    for (size_t i = 0; i < count; i++)
        any |= dispatch_ask(loads->context, frame_slots_at(&loads->slots, first + (uint32_t)i),
                            PROMOTE_BY_POLICY);
    return any;
}

/* Goes on with slots from `first` on; returns behind the last one answered. Pages that are smaller
 * packed leave room for more, unless those might have to be read. */
static uint32_t load_some(const struct loads *loads, uint32_t first)
{
    struct output *output = loads->context->output;
    uint32_t end = step_end(loads, first);
    size_t room = step_room(loads, first), used = 0;
    if (atomic_load_explicit(&loads->opener->area->counters.spilled, memory_order_relaxed) != 0)
        end = first + (uint32_t)(room / loads->reply_bytes);
    uint8_t *at = output_reserve(output, room);
    if (at == NULL) return loads->slots.count; /* the output is broken, and the connection ends */
    uint32_t next = first;
    while (next < end && room - used >= loads->reply_bytes) {
        size_t size = load_one(loads, next, at + used);
        if (size == 0) break;
        used += size;
        next++;
    }
    output_commit(output, used);
    return next;
}

enum dispatch dispatch_load_batch(const struct context *context)
{
    struct session *session = context->session;
    struct loads loads = {.context = context, .opener = context->opener};
    if (!frame_slots_decode(context->body, context->frame->count, &loads.slots))
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if ((loads.slots.flags & FRAME_LOAD_PACKED) != 0)
        loads.formats = codecs_of(context->dispatcher, session) & ~(1u << PACKED_PLAIN);
    loads.reply_bytes = FRAME_HEADER_BYTES + FRAME_PACKED_BYTES + loads.opener->area->page_bytes;
    uint32_t first = (uint32_t)session->resume;
    if (ask_some(&loads, first)) return DISPATCH_WAIT;
    uint32_t next = load_some(&loads, first);
    if (next > first) context->dispatcher->more_pages += next - first - 1;
    session->resume = next < loads.slots.count ? next : 0;
    if (context->dispatcher->asked.first != NULL) return DISPATCH_WAIT;
    count(context->dispatcher, COUNTER_farpage_batches, first == 0);
    return session->resume != 0 ? DISPATCH_MORE : DISPATCH_DONE;
}

/* --- invalidations ---------------------------------------------------------------------------- */

enum dispatch dispatch_invalidate_batch(const struct context *context)
{
    struct dispatcher *dispatcher = context->dispatcher;
    struct area *area = context->opener->area;
    struct frame_slots slots;
    if (opener_drains(context->opener)) return dispatch_refuse(context, FRAME_REFUSED);
    if (!frame_slots_decode(context->body, context->frame->count, &slots))
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    for (uint32_t i = 0; i < slots.count; i++)
        if (frame_slots_at(&slots, i) >= area->slot_count)
            return dispatch_refuse(context, FRAME_RANGE);
    enum fp_status status = FP_OK;
    for (uint32_t i = 0; i < slots.count && status == FP_OK; i++) {
        uint64_t slot = frame_slots_at(&slots, i), end = slot + 1;
        do status = store_page_invalidate_some(dispatcher->shared->store, dispatcher->scratch,
                                               area, &slot, end);
        while (status == FP_OK && slot < end);
    }
    dispatcher->more_pages += slots.count - 1;
    count(dispatcher, COUNTER_farpage_page_invalidations, status == FP_OK);
    count(dispatcher, COUNTER_farpage_batches, 1);
    return dispatch_refuse(context, dispatch_status_of(status));
}

/* --- dictionaries ----------------------------------------------------------------------------- */

enum dispatch dispatch_dictionary(const struct context *context)
{
    const struct frame *frame = context->frame;
    const struct area *area = context->opener->area;
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (frame->slot == 0 || frame->slot > UINT32_MAX)
        return dispatch_refuse(context, FRAME_NO_DICTIONARY);
    struct dictionary *dictionary = store_page_dictionary(context->dispatcher->shared->store, area,
                                                          (uint32_t)frame->slot);
    if (dictionary == NULL) return dispatch_refuse(context, FRAME_NO_DICTIONARY);
    (void)dispatch_reply(context, frame, dictionary_bytes(dictionary));
    dictionary_release(&dictionary);
    return DISPATCH_DONE;
}
