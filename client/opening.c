/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/opening.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

static const struct {
    uint32_t ours, wire;
} flags[] = {
    {FARPAGE_AREA_SHARED, FRAME_OPEN_SHARED},
    {FARPAGE_AREA_TRANSIENT, FRAME_OPEN_TRANSIENT},
    {FARPAGE_AREA_ZEROS, FRAME_OPEN_ZEROS},
    {FARPAGE_AREA_DRAIN, FRAME_OPEN_DRAIN},
};

static uint32_t wire_flags(uint32_t ours)
{
    uint32_t wire = 0;
    for (size_t i = 0; i < FP_COUNT_OF(flags); i++) {
        if ((ours & flags[i].ours) != 0) wire |= flags[i].wire;
    }
    return wire;
}

/* Random; where the system has nothing random yet, the time and a place in memory are unlikely
 * enough to be another's: an id keeps nobody out, it lets its owner in again. */
static void make_id(uint8_t id[FRAME_CLIENT_ID_BYTES])
{
    if (getrandom(id, FRAME_CLIENT_ID_BYTES, GRND_NONBLOCK) == FRAME_CLIENT_ID_BYTES) return;
    uint64_t parts[2] = {clock_unix_ns() ^ clock_monotonic_ns() << 20, (uint64_t)(uintptr_t)id};
    _Static_assert(sizeof parts == FRAME_CLIENT_ID_BYTES, "an id is two words");
    memcpy(id, parts, sizeof parts);
}

bool opening_page_bytes_possible(uint32_t bytes)
{
    return bytes == 4 << 10 || bytes == 16 << 10 || bytes == 64 << 10;
}

static enum farpage_status check_options(const struct farpage_area_options *options,
                                         struct reason *reason)
{
    uint32_t known = 0;
    for (size_t i = 0; i < FP_COUNT_OF(flags); i++) known |= flags[i].ours;
    if ((options->flags & ~known) != 0) {
        reason_set(reason, "there is no such flag of an area");
        return FARPAGE_INVALID;
    }
    if (options->slots > AREA_SLOTS_MAX) {
        reason_set(reason, "an area has at most %llu slots", AREA_SLOTS_MAX);
        return FARPAGE_BAD_AREA;
    }
    if (options->page_bytes != 0 && !opening_page_bytes_possible(options->page_bytes)) {
        reason_set(reason, "a page has 4096, 16384 or 65536 bytes");
        return FARPAGE_BAD_AREA;
    }
    return FARPAGE_OK;
}

enum farpage_status opening_init(struct opening *opening, const char *name,
                                 const struct farpage_area_options *options, struct reason *reason)
{
    *opening = (struct opening){0};
    size_t name_bytes = strnlen(name, AREA_NAME_BYTES_MAX + 1);
    if (!frame_area_name_good(slice_of(name, name_bytes))) {
        reason_set(reason,
                   "an area's name is 1 to %d letters, digits and . _ - /, and begins with a "
                   "letter or a digit",
                   AREA_NAME_BYTES_MAX);
        return FARPAGE_BAD_AREA;
    }
    memcpy(opening->name, name, name_bytes);
    struct farpage_area_options none = {0};
    if (options == NULL) options = &none;
    enum farpage_status status = check_options(options, reason);
    if (status != FARPAGE_OK) return status;
    opening->wish = (struct frame_open){
        .flags = wire_flags(options->flags) | (options->slots != 0 ? FRAME_OPEN_CREATE : 0),
        .page_bytes = options->page_bytes,
        .slots = options->slots,
        .quota_pages = options->quota_pages,
        .quota_bytes = options->quota_bytes,
    };
    make_id(opening->wish.client_id);
    return FARPAGE_OK;
}

size_t opening_encode(const struct opening *opening, uint8_t body[OPENING_BODY_BYTES_MAX])
{
    struct frame_open open = opening->wish;
    open.name = slice_text(opening->name);
    if (opening->known) {
        open.flags = (open.flags & ~(uint32_t)FRAME_OPEN_CREATE) | FRAME_OPEN_EXPECT;
        open.page_bytes = opening->is.page_bytes;
        open.slots = opening->is.slots;
        open.quota_pages = open.quota_bytes = 0;
        memcpy(open.boot_id, opening->boot_id, sizeof open.boot_id);
        open.generation = opening->is.generation;
    }
    return frame_open_encode(&open, body);
}

static bool sensible(const struct opening *opening, const struct frame_opened *opened)
{
    if (!opening_page_bytes_possible(opened->page_bytes)) return false;
    if (opened->slots == 0 || opened->slots > AREA_SLOTS_MAX) return false;
    const struct frame_open *wish = &opening->wish;
    if (wish->page_bytes != 0 && wish->page_bytes != opened->page_bytes) return false;
    return wish->slots == 0 || wish->slots == opened->slots;
}

enum farpage_status opening_take(struct opening *opening,
                                 const uint8_t boot_id[FRAME_BOOT_ID_BYTES],
                                 const struct frame *frame, struct slice body)
{
    struct frame_opened opened;
    if (!frame_opened_decode(body, &opened) || frame->area == 0) return FARPAGE_PROTOCOL;
    if (!sensible(opening, &opened)) return FARPAGE_PROTOCOL;
    bool same = memcmp(opening->boot_id, boot_id, FRAME_BOOT_ID_BYTES) == 0 &&
                opened.generation == opening->is.generation &&
                opened.slots == opening->is.slots && opened.page_bytes == opening->is.page_bytes;
    if (opening->known && !same) return FARPAGE_LOST;
    opening->known = true;
    memcpy(opening->boot_id, boot_id, FRAME_BOOT_ID_BYTES);
    opening->is = opened;
    opening->number = frame->area;
    return FARPAGE_OK;
}

void opening_forget(struct opening *opening)
{
    opening->known = false;
    opening->number = 0;
}

void opening_moved(struct opening *opening, const struct frame_moved *moved)
{
    if (!opening->known) return; /* what is opened for the first time is found by its name */
    memcpy(opening->boot_id, moved->boot_id, FRAME_BOOT_ID_BYTES);
    opening->is.generation = moved->generation;
}
