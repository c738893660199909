/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The requests of the framed page protocol. docs/protocol.md has the tables; the framing itself
 * (magic, header checksum, length) was checked by the connection. */
#include "base/arith.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "protocol/frame_batch.h"
#include "protocol/limits.h"
#include "server/dispatch/dispatch_frame.h"
#include "server/operate/operate.h"
#include "server/stats/stats.h"

enum { REQUESTS_AHEAD = 256 };

void dispatch_write_header(const struct frame *reply, uint8_t header[FRAME_HEADER_BYTES])
{
    struct frame frame = *reply;
    frame.magic = FRAME_MAGIC_REPLY;
    frame_encode(&frame, header);
}

void dispatch_frame_status(const struct frame *request, enum frame_status status,
                           struct output *output)
{
    uint8_t header[FRAME_HEADER_BYTES];
    struct frame reply = {.opcode = request->opcode,
                          .status = (uint16_t)status,
                          .tag = request->tag,
                          .slot = request->slot,
                          .area = request->area,
                          .count = frame_is_batch(request->opcode) ? 0 : request->count};
    dispatch_write_header(&reply, header);
    output_add(output, slice_of(header, sizeof header));
}

enum frame_status dispatch_status_of(enum fp_status status)
{
    if (status == FP_OK) return FRAME_OK;
    if (status == FP_ABSENT) return FRAME_ABSENT;
    if (status == FP_CORRUPT) return FRAME_CORRUPT;
    if (status == FP_RANGE) return FRAME_RANGE;
    if (status == FP_QUOTA) return FRAME_QUOTA;
    if (status == FP_LOST) return FRAME_LOST;
    if (status == FP_FROZEN) return FRAME_DRAINING;
    if (status == FP_MOVED) return FRAME_MOVED;
    return FRAME_NO_MEMORY;
}

enum dispatch dispatch_refuse(const struct context *context, enum frame_status status)
{
    dispatch_frame_status(context->frame, status, context->output);
    return DISPATCH_DONE;
}

enum dispatch dispatch_reply(const struct context *context, const struct frame *reply,
                             struct slice body)
{
    uint8_t *at = output_reserve(context->output, FRAME_HEADER_BYTES + body.size_bytes);
    if (at == NULL) return DISPATCH_DONE; /* the output is broken, and the connection ends */
    struct frame whole = *reply;
    whole.body_bytes = (uint32_t)body.size_bytes;
    whole.body_crc = crc32c(body.bytes, body.size_bytes);
    dispatch_write_header(&whole, at);
    if (body.size_bytes > 0) memcpy(at + FRAME_HEADER_BYTES, body.bytes, body.size_bytes);
    output_commit(context->output, FRAME_HEADER_BYTES + body.size_bytes);
    return DISPATCH_DONE;
}

enum dispatch dispatch_explain(const struct context *context, enum frame_status status,
                               const char *sentence)
{
    struct frame reply = *context->frame;
    reply.status = (uint16_t)status;
    return dispatch_reply(context, &reply, slice_text(sentence));
}

static enum dispatch hello(const struct context *context)
{
    struct frame_hello hello;
    if (!frame_hello_decode(context->body, &hello))
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (hello.version_lowest > FRAME_VERSION || hello.version_highest < FRAME_VERSION)
        return dispatch_refuse(context, FRAME_BAD_VERSION);
    const struct shared *shared = context->dispatcher->shared;
    bool packed = (hello.features & FRAME_FEATURE_PACKED) != 0 &&
                  atomic_load(&shared->settings.from_clients) == CONFIG_SWITCH_ON;
    context->session->codecs = packed ? FRAME_CODECS_ALL : 0;
    struct frame_welcome welcome = {.version = FRAME_VERSION,
                                    .features = (packed ? FRAME_FEATURE_PACKED : 0u) |
                                                (hello.features & FRAME_FEATURE_NOTICES),
                                    .codecs = context->session->codecs,
                                    .page_bytes = store_page_bytes(shared->store),
                                    .body_bytes_max = FRAME_BODY_BYTES_MAX,
                                    .requests_ahead_max = REQUESTS_AHEAD};
    memcpy(welcome.boot_id, shared->boot_id, sizeof welcome.boot_id);
    uint8_t body[FRAME_WELCOME_BYTES];
    frame_welcome_encode(&welcome, body);
    context->session->greeted = true;
    context->session->notices = (welcome.features & FRAME_FEATURE_NOTICES) != 0;
    return dispatch_reply(context, context->frame, slice_of(body, sizeof body));
}

static enum dispatch ping(const struct context *context)
{
    return dispatch_reply(context, context->frame, context->body);
}

struct stats_text { /* the body of a reply, as it grows */
    struct output *lines;
    bool full;
};

static void emit_line(void *opaque, const char *name, const char *value)
{
    struct stats_text *text = opaque;
    size_t line_bytes = strlen(name) + strlen(value) + 2;
    if (output_pending(text->lines) + line_bytes > FRAME_REPLY_BODY_BYTES_MAX) text->full = true;
    if (text->full) return;
    output_text(text->lines, name);
    output_text(text->lines, " ");
    output_text(text->lines, value);
    output_text(text->lines, "\n");
}

static enum dispatch report(const struct context *context, struct slice section)
{
    struct output lines;
    struct stats_text text = {.lines = &lines};
    if (!output_init(&lines, NULL)) return dispatch_refuse(context, FRAME_NO_MEMORY);
    bool known = stats_report(context->dispatcher->shared, section, emit_line, &text);
    struct slice body = output_contiguous(&lines);
    if (!known)
        dispatch_frame_status(context->frame, FRAME_NO_SECTION, context->output);
    else if (lines.broken)
        dispatch_frame_status(context->frame, FRAME_NO_MEMORY, context->output);
    else
        (void)dispatch_reply(context, context->frame, body);
    output_fini(&lines);
    return DISPATCH_DONE;
}

/* count 0 asks for a run, 1 only how it goes; both are answered with how it goes. */
static enum dispatch compact(const struct context *context)
{
    struct shared *shared = context->dispatcher->shared;
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    bool off = atomic_load(&shared->settings.compaction) == CONFIG_COMPACTION_OFF;
    if (context->frame->count == 0 && off) return dispatch_refuse(context, FRAME_OFF);
    if (context->frame->count == 0) (void)compaction_ask(&shared->compaction);
    return report(context, slice_text("compaction"));
}

static void reply_answer(const struct context *context, enum operate how,
                         const struct answer *answer)
{
    struct slice lines = output_contiguous(answer->lines);
    bool fits = !answer->lines->broken && lines.size_bytes <= FRAME_REPLY_BODY_BYTES_MAX;
    if (how == OPERATE_UNKNOWN)
        dispatch_frame_status(context->frame, FRAME_NO_COMMAND, context->output);
    else if (how != OPERATE_DONE)
        (void)dispatch_explain(context, FRAME_REFUSED, answer->refusal);
    else if (!fits)
        dispatch_frame_status(context->frame, FRAME_NO_MEMORY, context->output);
    else
        (void)dispatch_reply(context, context->frame, lines);
}

/* The body is a line as the text dialect has it, without its end. */
static enum dispatch command(const struct context *context)
{
    struct slice rest = context->body, name;
    struct output lines;
    struct answer answer = {.local = conn_row_is_local(context->session->row), .lines = &lines};
    bool fits = rest.size_bytes > 0 && rest.size_bytes <= LINE_BYTES_MAX;
    if (!fits || memchr(rest.bytes, '\n', rest.size_bytes) != NULL)
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (!request_next_word(&rest, &name)) return dispatch_refuse(context, FRAME_NO_COMMAND);
    if (!output_init(&lines, NULL)) return dispatch_refuse(context, FRAME_NO_MEMORY);
    enum operate how = operate(context->dispatcher->shared, name, rest, &answer);
    reply_answer(context, how, &answer);
    output_fini(&lines);
    return DISPATCH_DONE;
}

enum dispatch dispatch_later(struct dispatcher *dispatcher)
{
    spill_state_wake(&dispatcher->shared->spill);
    return DISPATCH_LATER;
}

static enum dispatch store_page(const struct context *context)
{
    if (opener_drains(context->opener)) return dispatch_refuse(context, FRAME_REFUSED);
    struct dispatcher *dispatcher = context->dispatcher;
    const struct frame *frame = context->frame;
    struct page_place place = {.area = context->opener->area, .slot = frame->slot};
    if (context->body.size_bytes != place.area->page_bytes)
        return dispatch_refuse(context, FRAME_BAD_LENGTH);
    dispatcher->scratch->may_wait = true;
    enum fp_status status = store_page_store(dispatcher->shared->store, dispatcher->scratch, place,
                                             context->body.bytes, frame->body_crc);
    dispatcher->scratch->may_wait = false;
    if (status == FP_LATER) return dispatch_later(dispatcher);
    counter_add(dispatcher->counters, COUNTER_farpage_page_stores, status == FP_OK);
    counter_add(dispatcher->counters, COUNTER_farpage_page_refused, status == FP_NO_MEMORY);
    return dispatch_refuse(context, dispatch_status_of(status));
}

/* What an absent slot is to a session that wants it to be there. */
static void give_zeros(const struct page_wish *wish, uint32_t page_bytes, struct page_packed *page)
{
    bool word = (wish->formats >> PACKED_WORD & 1) != 0;
    uint8_t *at = word ? wish->out + wish->packed_at : wish->out;
    memset(wish->out, 0, page_bytes);
    *page = (struct page_packed){
        .kind = {.format = word ? PACKED_WORD : PACKED_PLAIN},
        .bytes = {.bytes = at, .size_bytes = word ? PACKED_WORD_BYTES : page_bytes},
        .crc = crc32c(wish->out, page_bytes)};
}

enum fp_status dispatch_load(struct dispatcher *dispatcher, const struct opener *opener,
                             uint64_t slot, const struct page_wish *wish,
                             struct page_packed *page)
{
    struct page_place place = {.area = opener->area, .slot = slot};
    if (opener_lost(opener)) return FP_LOST;
    enum fp_status status = store_page_load_packed(dispatcher->shared->store, dispatcher->scratch,
                                                   place, wish, page);
    counter_add(dispatcher->counters, COUNTER_farpage_page_loads, status == FP_OK);
    counter_add(dispatcher->counters, COUNTER_farpage_page_absent, status == FP_ABSENT);
    if (status != FP_ABSENT || (opener->flags & FRAME_OPEN_ZEROS) == 0) return status;
    give_zeros(wish, opener->area->page_bytes, page);
    return FP_OK;
}

bool dispatch_ask(const struct context *context, uint64_t slot, enum store_promote how)
{
    struct dispatcher *dispatcher = context->dispatcher;
    struct page_place place = {.area = context->opener->area, .slot = slot};
    return spill_ask(&dispatcher->asked, dispatcher->shared->store, dispatcher->scratch, place,
                     how);
}

static enum dispatch load_page(const struct context *context)
{
    uint32_t page_bytes = context->opener->area->page_bytes;
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (dispatch_ask(context, context->frame->slot, PROMOTE_BY_POLICY)) return DISPATCH_WAIT;
    uint8_t *at = output_reserve(context->output, FRAME_HEADER_BYTES + page_bytes);
    if (at == NULL) return DISPATCH_CLOSE;
    struct page_wish plain = {.out = at + FRAME_HEADER_BYTES};
    struct page_packed page;
    enum fp_status status = dispatch_load(context->dispatcher, context->opener,
                                          context->frame->slot, &plain, &page);
    if (status == FP_SPILLED && dispatch_ask(context, context->frame->slot, PROMOTE_BY_POLICY))
        return DISPATCH_WAIT; /* it went there just now */
    if (status != FP_OK) return dispatch_refuse(context, dispatch_status_of(status));
    struct frame reply = *context->frame;
    reply.status = FRAME_OK;
    reply.body_crc = page.crc;
    reply.body_bytes = page_bytes;
    dispatch_write_header(&reply, at);
    output_commit(context->output, FRAME_HEADER_BYTES + page_bytes);
    return DISPATCH_DONE;
}

/* session->resume is the next slot to look at, counted from the first one. */
static enum dispatch invalidate(const struct context *context)
{
    const struct frame *frame = context->frame;
    struct session *session = context->session;
    struct area *area = context->opener->area;
    if (opener_drains(context->opener)) return dispatch_refuse(context, FRAME_REFUSED);
    if (context->body.size_bytes != 0) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    uint64_t end = area->slot_count;
    if (frame->slot >= end) return dispatch_refuse(context, FRAME_RANGE);
    if (frame->count != 0 && (!add_u64(frame->slot, frame->count, &end) || end > area->slot_count))
        return dispatch_refuse(context, FRAME_RANGE);
    uint64_t slot = frame->slot + session->resume;
    struct dispatcher *dispatcher = context->dispatcher;
    enum fp_status status = store_page_invalidate_some(dispatcher->shared->store,
                                                       dispatcher->scratch, area, &slot, end);
    if (status == FP_OK && slot < end) {
        session->resume = slot - frame->slot;
        return DISPATCH_AGAIN;
    }
    session->resume = 0;
    counter_add(dispatcher->counters, COUNTER_farpage_page_invalidations, status == FP_OK);
    return dispatch_refuse(context, dispatch_status_of(status));
}

/* --- one of them ------------------------------------------------------------------------------ */

static enum dispatch statistics(const struct context *context)
{
    return report(context, context->body);
}

/* By opcode; FRAME_STORE_BATCH is not here: its body does not come with it. */
static enum dispatch (*const requests[])(const struct context *context) = {
    [FRAME_HELLO] = hello,
    [FRAME_PING] = ping,
    [FRAME_STATS] = statistics,
    [FRAME_OPEN] = dispatch_open,
    [FRAME_STORE] = store_page,
    [FRAME_LOAD] = load_page,
    [FRAME_INVALIDATE] = invalidate,
    [FRAME_COMPACT] = compact,
    [FRAME_COMMAND] = command,
    [FRAME_CLOSE] = dispatch_close,
    [FRAME_DICTIONARY] = dispatch_dictionary,
    [FRAME_MAP] = dispatch_map_page,
    [FRAME_MREAD] = dispatch_mread,
    [FRAME_MWRITE] = dispatch_mwrite,
    [FRAME_UNMAP] = dispatch_unmap,
    [FRAME_LOAD_BATCH] = dispatch_load_batch,
    [FRAME_INVALIDATE_BATCH] = dispatch_invalidate_batch,
    [FRAME_UNUSE_ANSWER] = dispatch_unuse_answer,
    [FRAME_DRAIN] = dispatch_drain,
    [FRAME_STORED] = dispatch_stored,
    [FRAME_SNAPSHOT] = dispatch_snapshot,
};

/* A request for an area: nobody else gets it while this goes on. */
static enum dispatch with_area(const struct context *context)
{
    struct opener *opener = session_opener(context->session, context->frame->area);
    if (opener == NULL) return dispatch_refuse(context, FRAME_NO_AREA);
    struct context within = *context;
    within.opener = opener;
    if (context->frame->opcode == FRAME_CLOSE) return dispatch_close(&within);
    /* What has begun to answer one by one ends so: dispatch_load says that each is lost. */
    bool begun = context->frame->opcode == FRAME_LOAD_BATCH && context->session->resume != 0;
    if (!opener_enter(opener) && !begun) {
        context->session->resume = 0;
        return dispatch_refuse(context, FRAME_LOST);
    }
    enum dispatch done = requests[within.frame->opcode](&within);
    opener_leave(opener);
    return done;
}

enum dispatch dispatch_frame(struct dispatcher *dispatcher, struct session *session,
                             const struct frame *frame, struct slice body, struct output *output)
{
    const struct context context = {dispatcher, session, frame, body, output, NULL};
    if (frame->opcode >= FP_COUNT_OF(requests) || requests[frame->opcode] == NULL)
        return dispatch_refuse(&context, FRAME_BAD_OPCODE);
    if (!frame_fields_good(frame)) return dispatch_refuse(&context, FRAME_BAD_FIELD);
    if (!frame_body_good(frame, body)) return dispatch_refuse(&context, FRAME_BAD_CHECKSUM);
    if (!session->greeted && frame->opcode != FRAME_HELLO)
        return dispatch_refuse(&context, FRAME_NO_HELLO);
    if (frame_uses_area(frame->opcode)) return with_area(&context);
    return requests[frame->opcode](&context);
}
