/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text commands that only builds for tests know; others answer ERROR. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/number.h"
#include "protocol/reply.h"
#include "server/dispatch/dispatch.h"
#include "server/sandbox.h"
#include "storage/store/page/store_area.h"

#if FARPAGE_DEBUG_HOOKS

enum {
    SHIFT_MAX_S = 2000000000, /* far beyond any expiry; what follows cannot overflow */
    HANG_MAX_MS = 60000,
};

static enum fp_status damage(struct dispatcher *dispatcher, struct slice rest)
{
    struct store *store = dispatcher->shared->store;
    struct slice what, name, slot_text;
    uint64_t slot;
    struct area *area;
    if (!request_next_word(&rest, &what) || !request_next_word(&rest, &name)) return FP_INVALID;
    if (slice_is(what, "corrupt-item")) return store_damage_item(store, dispatcher->scratch, name);
    if (!slice_is(what, "corrupt") || !request_next_word(&rest, &slot_text)) return FP_INVALID;
    if (!number_u64(slot_text, &slot)) return FP_INVALID;
    enum fp_status status = store_area_acquire(store, name, &area);
    if (status != FP_OK) return status;
    status = store_damage_page(store, area, slot);
    area_release(&area);
    return status;
}

/* Of several shifts the sum counts, as memcached has it. Time may go backwards, not before its
 * start. */
static bool change_time(struct dispatcher *dispatcher, struct slice what)
{
    struct debug_clock *clock = &dispatcher->shared->debug_clock;
    uint64_t now_ns = clock_monotonic_ns(), running = 0;
    int64_t seconds;
    if (slice_is(what, "p")) {
        (void)atomic_compare_exchange_strong(&clock->paused_ms, &running,
                                             shared_true_ms(dispatcher->shared, now_ns));
    } else if (slice_is(what, "r")) {
        atomic_store(&clock->paused_ms, 0);
    } else {
        if (!number_wire_i64(what, &seconds)) return false;
        if (seconds > SHIFT_MAX_S || seconds < -SHIFT_MAX_S) return false;
        int64_t shifted_ms = atomic_load(&clock->shift_ms) + seconds * 1000;
        if (shifted_ms / 1000 > SHIFT_MAX_S || shifted_ms / 1000 < -SHIFT_MAX_S) return false;
        atomic_store(&clock->shift_ms, shifted_ms);
    }
    dispatcher_tick(dispatcher, now_ns); /* what was sent in the same go sees it too */
    return true;
}

/* As a worker whose loop is stuck. False: nothing of the kind is asked for. */
static bool hang(struct slice rest)
{
    struct slice what, ms_text;
    uint64_t ms;
    if (!request_next_word(&rest, &what) || !slice_is(what, "hang") ||
        !request_next_word(&rest, &ms_text) || !number_u64(ms_text, &ms) || ms > HANG_MAX_MS)
        return false;
    (void)poll(NULL, 0, (int)ms);
    return true;
}

/* The next asks of this worker, for pages in the file below memory, come just too early. */
static bool unseen(struct dispatcher *dispatcher, struct slice rest)
{
    struct slice what, count_text;
    uint64_t count;
    if (!request_next_word(&rest, &what) || !slice_is(what, "unseen") ||
        !request_next_word(&rest, &count_text) || !number_u64(count_text, &count) ||
        count > UINT32_MAX)
        return false;
    dispatcher->asked.unseen = (uint32_t)count;
    return true;
}

static void tell_misdeed(void *context, const char *what, int error)
{
    char line[64];
    snprintf(line, sizeof line, "%s %s\r\n", what, error == 0 ? "done" : strerrorname_np(error));
    output_text(context, line);
}

enum dispatch dispatch_debug(struct dispatcher *dispatcher, const struct request *request,
                             struct output *output)
{
    if (slice_is(request->rest, "misbehave")) {
        sandbox_misbehave(tell_misdeed, output);
        output_text(output, REPLY_END);
    } else if (hang(request->rest) || unseen(dispatcher, request->rest))
        output_text(output, REPLY_OK);
    else if (request->command == COMMAND_DEBUGTIME)
        output_text(output, change_time(dispatcher, request->rest) ? REPLY_OK : REPLY_ERROR);
    else
        output_text(output, damage(dispatcher, request->rest) == FP_OK ? REPLY_OK
                                                                       : REPLY_NOT_FOUND);
    return DISPATCH_DONE;
}

#else

enum dispatch dispatch_debug(struct dispatcher *dispatcher, const struct request *request,
                             struct output *output)
{
    (void)dispatcher, (void)request;
    output_text(output, REPLY_ERROR);
    return DISPATCH_DONE;
}

#endif
