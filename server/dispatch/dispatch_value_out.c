/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/dispatch/dispatch_value_out.h"

#include <string.h>

#include "base/check.h"
#include "protocol/reply.h"
#include "server/dispatch/dispatch_await.h"

enum { PIECES_AT_ONCE = 8 }; /* half of the output's desk, which is then sent */

void value_out_drop(struct dispatcher *dispatcher, struct session *session)
{
    if (!value_out_is_under_way(session)) return;
    store_item_release(dispatcher->shared->store, dispatcher->scratch, &session->value_out.item);
}

/* Unpacks the next piece into the output, behind `head` and before the line end where it is the
 * last. False: nothing was written. */
static bool write_piece(struct dispatcher *dispatcher, struct value_out *out, struct slice head,
                        struct output *output)
{
    bool last = out->next_piece + 1 == item_piece_count(out->item);
    size_t size = item_piece_bytes(out->item, out->next_piece);
    size_t all = head.size_bytes + size + (last ? 2 : 0);
    uint8_t *at = output_reserve(output, all);
    if (at == NULL) return false;
    if (store_item_read_piece(dispatcher->shared->store, dispatcher->scratch, out->item,
                              out->next_piece, at + head.size_bytes) != FP_OK)
        return false;
    if (head.size_bytes > 0) memcpy(at, head.bytes, head.size_bytes);
    if (last) memcpy(at + head.size_bytes + size, "\r\n", 2);
    output_commit(output, all);
    out->next_piece++;
    return true;
}

static bool write_whole(struct dispatcher *dispatcher, const struct item *item, struct slice head,
                        struct output *output)
{
    size_t all = head.size_bytes + item->value_bytes + 2;
    uint8_t *at = output_reserve(output, all);
    if (at == NULL) return false;
    uint8_t *value = at + head.size_bytes;
    if (store_item_read(dispatcher->shared->store, dispatcher->scratch, item, value) != FP_OK)
        return false;
    memcpy(at, head.bytes, head.size_bytes);
    memcpy(value + item->value_bytes, "\r\n", 2);
    output_commit(output, all);
    return true;
}

bool dispatch_value(struct dispatcher *dispatcher, struct session *session, struct item **item,
                    struct slice line, struct output *output)
{
    fp_assert(!value_out_is_under_way(session));
    struct value_out out = {.item = *item};
    bool whole = out.item->value_bytes <= ITEM_WHOLE_BYTES_MAX;
    bool written = whole ? write_whole(dispatcher, out.item, line, output)
                         : write_piece(dispatcher, &out, line, output);
    if (written && !whole) session->value_out = out;
    else store_item_release(dispatcher->shared->store, dispatcher->scratch, &out.item);
    *item = NULL;
    /* Not a miss: the client must learn that the value was there and is lost. */
    if (!written) output_text(output, REPLY_CORRUPT);
    return written;
}

static void log_cut(struct dispatcher *dispatcher, const struct session *session)
{
    const struct value_out *out = &session->value_out;
    counter_add(dispatcher->counters, COUNTER_farpage_values_cut, 1);
    log_event(dispatcher->shared->log, LOG_ERROR,
              "connection closed: a value is damaged, and part of it was sent",
              log_text("peer", session->row->peer),
              log_number("value_bytes", out->item->value_bytes),
              log_number("sent_bytes", (uint64_t)out->next_piece * ITEM_PIECE_BYTES));
}

/* There was no memory to bring it back to: it goes from the file, a few pieces at a time. */
static bool awaits_pieces(struct dispatcher *dispatcher, const struct value_out *out)
{
    struct store *store = dispatcher->shared->store;
    struct spill_wish wish = {.how = PROMOTE_BY_POLICY,
                              .piece = out->next_piece,
                              .pieces_max = PIECES_AT_ONCE};
    if (!store_piece_is_due(store, dispatcher->scratch, out->item, out->next_piece)) return false;
    return spill_ask_item(&dispatcher->asked, store, dispatcher->scratch, out->item, &wish) ==
           SPILL_ITEM_ASKED;
}

enum dispatch value_out_more(struct dispatcher *dispatcher, struct session *session,
                             struct output *output)
{
    struct value_out *out = &session->value_out;
    uint32_t count = item_piece_count(out->item);
    for (int i = 0; i < PIECES_AT_ONCE && out->next_piece < count; i++) {
        if (awaits_pieces(dispatcher, out)) return DISPATCH_WAIT;
        if (write_piece(dispatcher, out, slice_of(NULL, 0), output)) continue;
        if (!output->broken) log_cut(dispatcher, session);
        value_out_drop(dispatcher, session);
        return DISPATCH_CLOSE;
    }
    if (out->next_piece < count) return DISPATCH_MORE;
    value_out_drop(dispatcher, session);
    return DISPATCH_DONE;
}
