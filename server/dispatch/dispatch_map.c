/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text commands that map items, so that a person with telnet can play it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/arith.h"
#include "base/check.h"
#include "protocol/reply.h"
#include "server/dispatch/dispatch_await.h"
#include "server/dispatch/dispatch_value_in.h"

_Static_assert((int)REQUEST_MAP_RO == (int)MAP_READ && (int)REQUEST_MAP_RW == (int)MAP_READ_WRITE &&
                   (int)REQUEST_MAP_WO == (int)MAP_OVERWRITE,
               "the wire's modes are the store's");

static const char *text_of(enum maps_answer answer, bool writing)
{
    switch (answer) {
    case MAPS_ABSENT:
    case MAPS_UNKNOWN:
        return REPLY_NOT_FOUND;
    case MAPS_BUSY:
        return REPLY_BUSY;
    case MAPS_CORRUPT:
        return REPLY_CORRUPT;
    case MAPS_OUTSIDE:
        return REPLY_BEYOND;
    case MAPS_TOO_MANY:
        return REPLY_MAPS_MAX;
    case MAPS_TOO_MUCH:
        return REPLY_MAPPED_MAX;
    case MAPS_TOO_MUCH_IN_ALL:
        return REPLY_MAPPED_TOTAL_MAX;
    case MAPS_LEASE:
        return REPLY_LEASE_TOO_LONG;
    case MAPS_EXPIRED:
        return REPLY_EXPIRED;
    case MAPS_MODE:
        return writing ? REPLY_MAPPED_RO : REPLY_MAPPED_WO;
    case MAPS_CHANGED:
        return REPLY_EXISTS;
    case MAPS_QUOTA:
        return REPLY_OVER_QUOTA;
    case MAPS_FROZEN: /* this and the next are said of areas only */
    case MAPS_LOST:
    case MAPS_MOVED:
    case MAPS_DONE:
    case MAPS_NO_MEMORY:
    case MAPS_SPILLED:
    default:
        return REPLY_OUT_OF_MEMORY;
    }
}

static enum dispatch map(struct dispatcher *dispatcher, struct maps *maps,
                         const struct request *request, struct output *output)
{
    char line[REPLY_MAPPED_LINE_BYTES_MAX];
    struct maps_ask ask = {.mode = (enum map_mode)request->mode,
                           .lease_s = request->lease_s,
                           .key = request->key};
    struct maps_map *made;
    enum maps_answer answer = maps_make(maps, &ask, &made);
    enum dispatch again;
    if (answer == MAPS_SPILLED && dispatch_await_key(dispatcher, request->key, &again))
        return again;
    if (answer != MAPS_DONE) {
        output_text(output, answer == MAPS_NO_MEMORY || answer == MAPS_SPILLED
                                ? REPLY_NO_MEMORY_TO_MAP
                                : text_of(answer, false));
        return DISPATCH_DONE;
    }
    struct reply_mapped mapped = {.id = made->row.id,
                                  .flags = made->map->item->flags,
                                  .bytes = made->map->size_bytes,
                                  .cas = made->map->item_cas};
    output_add(output, slice_of(line, reply_mapped_line(line, &mapped)));
    return DISPATCH_DONE;
}

static enum dispatch mread(struct maps *maps, const struct request *request, struct output *output)
{
    char line[REPLY_DATA_LINE_BYTES_MAX];
    struct maps_map *found;
    enum maps_answer answer = maps_find(maps, request->map_id, &found);
    if (answer == MAPS_DONE) answer = maps_look(found, request->offset, request->length, NULL);
    if (answer != MAPS_DONE) {
        output_text(output, text_of(answer, false));
        return DISPATCH_DONE;
    }
    output_add(output, slice_of(line, reply_data_line(line, request->length)));
    maps_send(found, request->offset, request->length, output);
    output_text(output, "\r\n");
    return DISPATCH_DONE;
}

/* A long value came in packed pieces, which are written one at a time. */
static enum maps_answer write_piece(struct dispatcher *dispatcher, const struct store_value *value,
                                    const struct request *request, struct maps_map *map,
                                    uint32_t i)
{
    uint8_t piece[ITEM_PIECE_BYTES];
    uint64_t offset = request->offset + (uint64_t)i * ITEM_PIECE_BYTES;
    enum maps_answer answer = maps_may_write(map, request->offset, store_value_bytes(value));
    if (answer != MAPS_DONE) return answer;
    if (store_value_read(dispatcher->shared->store, dispatcher->scratch, value, i, piece) != FP_OK)
        return MAPS_CORRUPT;
    size_t size = item_piece_bytes_of(store_value_bytes(value), i);
    return maps_write(map, offset, slice_of(piece, size));
}

static enum dispatch mwrite(struct dispatcher *dispatcher, struct session *session,
                            const struct request *request, struct output *output)
{
    struct maps_map *found;
    struct store_value **whole = value_in_whole(session);
    uint32_t i = (uint32_t)session->resume; /* pieces written */
    enum maps_answer answer = maps_find(&session->maps, request->map_id, &found);
    session->resume = 0;
    if (answer == MAPS_DONE && whole != NULL) {
        answer = write_piece(dispatcher, *whole, request, found, i);
        bool last = i + 1 == item_pieces_of(request->value_bytes);
        if (answer == MAPS_DONE && !last) {
            session->resume = i + 1;
            return DISPATCH_MORE;
        }
    } else if (answer == MAPS_DONE) {
        answer = maps_write(found, request->offset, request->value);
    }
    output_text(output, answer == MAPS_DONE ? REPLY_WRITTEN : text_of(answer, true));
    return DISPATCH_DONE;
}

static enum dispatch unmap(struct maps *maps, const struct request *request, struct output *output)
{
    struct maps_map *found;
    enum maps_answer answer = maps_find(maps, request->map_id, &found);
    if (answer == MAPS_DONE && request->discard) maps_discard(found);
    else if (answer == MAPS_DONE) answer = maps_publish(found);
    output_text(output, answer == MAPS_DONE ? REPLY_UNMAPPED : text_of(answer, true));
    return DISPATCH_DONE;
}

/* --- maps ------------------------------------------------------------------------------------- */

struct listing {
    struct output *output;
    uint64_t now_ms;
};

static uint64_t ms_to(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? to_ms - from_ms : 0;
}

/* "MAP <id> <key> <mode> <bytes> <seconds mapped> <seconds left>", the last "-" without a lease. */
static void list_one(void *context, const struct maps_map *map)
{
    static const char *const modes[] = {[MAP_READ] = "ro", [MAP_READ_WRITE] = "rw",
                                        [MAP_OVERWRITE] = "wo"};
    const struct listing *listing = context;
    const struct maps_row *row = &map->row;
    char text[128];
    snprintf(text, sizeof text, "MAP %" PRIu64 " ", row->id);
    output_text(listing->output, text);
    output_add(listing->output, item_key(map->map->item));
    int size = snprintf(text, sizeof text, " %s %" PRIu32 " %" PRIu64 " ", modes[map->map->mode],
                        map->map->size_bytes, ms_to(row->made_ms, listing->now_ms) / 1000);
    uint64_t end_ms = atomic_load(&row->used_ms) + row->lease_ms;
    if (row->lease_ms == 0)
        snprintf(text + size, sizeof text - (size_t)size, "-\r\n");
    else
        snprintf(text + size, sizeof text - (size_t)size, "%" PRIu64 "\r\n",
                 div_up_u64(ms_to(listing->now_ms, end_ms), 1000));
    output_text(listing->output, text);
}

static enum dispatch list(struct dispatcher *dispatcher, const struct maps *maps,
                          struct output *output)
{
    struct listing listing = {.output = output, .now_ms = dispatcher->scratch->now_ms};
    maps_each(maps, list_one, &listing);
    output_text(output, REPLY_END);
    return DISPATCH_DONE;
}

enum dispatch dispatch_map(struct dispatcher *dispatcher, struct session *session,
                           const struct request *request, struct output *output)
{
    struct maps *maps = &session->maps;
    if (request->command == COMMAND_MAP) return map(dispatcher, maps, request, output);
    if (request->command == COMMAND_MREAD) return mread(maps, request, output);
    if (request->command == COMMAND_MWRITE) return mwrite(dispatcher, session, request, output);
    if (request->command == COMMAND_UNMAP) return unmap(maps, request, output);
    fp_assert(request->command == COMMAND_MAPS);
    return list(dispatcher, maps, output);
}
