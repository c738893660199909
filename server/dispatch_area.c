/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Areas on the wire: OPEN. What is asked for is looked at first, then found or made, then entered
 * in the session, whose number for it the client uses from there on. */
#include "protocol/limits.h"
#include "server/dispatch_frame.h"
#include "storage/store_area.h"
#include "storage/store_dictionary.h"

enum { CODEC_NONE, CODEC_LZ4, CODEC_ZSTD }; /* of OPEN's reply; docs/protocol.md */

static enum frame_status open_status(enum fp_status status)
{
    if (status == FP_ABSENT) return FRAME_NO_AREA;
    if (status == FP_EXISTS) return FRAME_BAD_AREA;
    if (status == FP_TOO_BIG) return FRAME_LIMIT;
    return dispatch_status_of(status);
}

static bool open_sensible(const struct context *context, const struct frame_open *open)
{
    uint32_t page_bytes = store_page_bytes(context->dispatcher->shared->store);
    uint32_t known = FRAME_OPEN_CREATE | FRAME_OPEN_SHARED | FRAME_OPEN_EXPECT;
    if (!frame_area_name_good(open->name) || (open->flags & ~known) != 0 || open->reserved != 0)
        return false;
    if (open->quota_pages != 0 || open->quota_bytes != 0) return false;
    if (open->page_bytes != 0 && open->page_bytes != page_bytes) return false;
    bool creates = (open->flags & FRAME_OPEN_CREATE) != 0;
    return open->slots <= AREA_SLOTS_MAX && (!creates || open->slots > 0);
}

/* False: the client means another area, of that name in another life. */
static bool is_expected(const struct context *context, const struct frame_open *open,
                        const struct area *area)
{
    const uint8_t *boot_id = context->dispatcher->shared->boot_id;
    if ((open->flags & FRAME_OPEN_EXPECT) == 0) return true;
    return memcmp(open->boot_id, boot_id, FRAME_BOOT_ID_BYTES) == 0 && area != NULL &&
           open->generation == area->generation;
}

static uint8_t codec_of(const char *algorithm)
{
    if (strcmp(algorithm, "none") == 0) return CODEC_NONE;
    return strcmp(algorithm, "zstd") == 0 ? CODEC_ZSTD : CODEC_LZ4; /* lz4hc packs for lz4 */
}

static enum dispatch reply_opened(const struct context *context, uint32_t number,
                                  struct area *area)
{
    struct store *store = context->dispatcher->shared->store;
    struct compressor_config current;
    struct store_dictionary dictionary;
    struct frame reply = *context->frame;
    uint8_t body[FRAME_OPENED_BYTES];
    compressor_pool_current(store_compressors(store), &current);
    store_dictionary_look(store, area, &dictionary);
    struct frame_opened opened = {.slots = area->slot_count,
                                  .page_bytes = area->page_bytes,
                                  .dictionary_id = dictionary.packs ? dictionary.id : 0,
                                  .generation = area->generation,
                                  .codec = codec_of(current.algorithm),
                                  .level = (int16_t)current.level,
                                  .flags = FRAME_OPEN_SHARED,
                                  .stored = atomic_load(&area->counters.stored)};
    frame_opened_encode(&opened, body);
    reply.area = number;
    return dispatch_reply(context, &reply, slice_of(body, sizeof body));
}

enum dispatch dispatch_open(const struct context *context)
{
    struct frame_open open;
    struct store *store = context->dispatcher->shared->store;
    if (!frame_open_decode(context->body, &open)) return dispatch_refuse(context, FRAME_BAD_LENGTH);
    if (!open_sensible(context, &open)) return dispatch_refuse(context, FRAME_BAD_AREA);
    struct area *area = NULL;
    enum fp_status status = store_area_open(store, open.name, 0, &area);
    if (!is_expected(context, &open, area)) status = FP_LOST;
    bool room = context->session->area_count < SESSION_AREAS_MAX;
    if (status == FP_ABSENT && (open.flags & FRAME_OPEN_CREATE) && !room) status = FP_TOO_BIG;
    if (status == FP_ABSENT && (open.flags & FRAME_OPEN_CREATE))
        do status = store_area_open(store, open.name, open.slots, &area);
        while (store_may_retry(store, context->dispatcher->scratch, status));
    if (status == FP_OK && open.slots != 0 && open.slots != area->slot_count) status = FP_EXISTS;
    if (status != FP_OK) {
        area_release(&area);
        return dispatch_refuse(context, open_status(status));
    }
    uint32_t number = session_open_area(context->session, area);
    if (number == 0) return dispatch_refuse(context, FRAME_LIMIT);
    return reply_opened(context, number, area);
}
