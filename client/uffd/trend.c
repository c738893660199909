/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A stream is born from faults that nobody expected, grows as long as each next fault lies where it
 * says, and is forgotten when younger ones need its place. What it fetched and nobody walked past
 * is counted as waste then; until then it is neither.
 *
 * Differences of pages are taken modulo 2^64 and read as signed: what lies before is negative. */
#include "client/uffd/trend.h"

#include <string.h>

#include "base/arith.h"
#include "base/check.h"

enum {
    NEAR_PAGES = 16,    /* farther steps must be the majority's */
    ALIKE_LOOKBACK = 16, /* faults that are searched for steps alike */
    SKIPPED_MAX = 2,    /* steps that may be left out right behind a run */
    STREAM_FAULTS = 256 /* of others, after which nobody goes on with a stream any more */
};
static const uint64_t PAGES_END = 1ull << 52; /* of 64 bits of address */

void trend_init(struct trend *trend, uint32_t window_max)
{
    fp_assert(window_max <= TREND_WINDOW_PAGES_MAX);
    memset(trend, 0, sizeof *trend);
    trend->window_max = window_max;
    trend->first_window = (uint32_t)min_u64(TREND_FIRST_PAGES, window_max);
}

/* --- the last faults that no stream expected -------------------------------------------------- */

static uint64_t remembered_count(const struct trend *trend)
{
    return min_u64(trend->remembered, TREND_HISTORY_FAULTS);
}

static uint64_t remembered(const struct trend *trend, uint64_t back) /* 0: the newest */
{
    return trend->history[(trend->remembered - 1 - back) % TREND_HISTORY_FAULTS];
}

static void remember(struct trend *trend, uint64_t page)
{
    trend->history[trend->remembered % TREND_HISTORY_FAULTS] = page;
    trend->remembered++;
}

static bool is_remembered(const struct trend *trend, uint64_t page)
{
    uint64_t count = min_u64(remembered_count(trend), ALIKE_LOOKBACK);
    for (uint64_t back = 0; back < count; back++)
        if (remembered(trend, back) == page) return true;
    return false;
}

/* The step by which `page` was reached twice in a row, or once where first windows have been worth
 * it; the shortest, whoever else faulted in between. 0: none. */
static int64_t steps_alike(const struct trend *trend, uint64_t page)
{
    bool once = trend->first_window >= TREND_FIRST_PAGES;
    for (int64_t step = 1; step <= NEAR_PAGES; step++)
        for (int sign = 1; sign >= -1; sign -= 2) {
            uint64_t by = (uint64_t)(step * sign);
            if (!is_remembered(trend, page - by)) continue;
            if ((once && step == 1) || is_remembered(trend, page - 2 * by)) return step * sign;
        }
    return 0;
}

static int64_t delta(const struct trend *trend, uint64_t back)
{
    return (int64_t)(remembered(trend, back) - remembered(trend, back + 1));
}

/* Boyer and Moore's vote among the `count` newest deltas, and whether it is a majority. */
static int64_t majority_of(const struct trend *trend, uint64_t count)
{
    int64_t candidate = 0;
    uint64_t votes = 0, held = 0;
    for (uint64_t back = 0; back < count; back++) {
        int64_t one = delta(trend, back);
        if (votes == 0) candidate = one;
        if (one == candidate) votes++;
        else votes--;
    }
    for (uint64_t back = 0; back < count; back++) held += delta(trend, back) == candidate;
    return 2 * held > count ? candidate : 0;
}

static int64_t majority(const struct trend *trend)
{
    uint64_t have = remembered_count(trend);
    for (uint64_t count = TREND_HISTORY_FAULTS / 8; count < have; count *= 2) {
        int64_t stride = majority_of(trend, count);
        if (stride != 0) return stride;
    }
    return have > 2 ? majority_of(trend, have - 1) : 0;
}

/* --- streams ---------------------------------------------------------------------------------- */

/* How many steps of the stream lie between its last fault and `page`; 0 where it is not on its way
 * or too far behind its run. A wide net would catch those who jump about. */
static uint64_t steps_to(const struct trend_stream *stream, uint64_t page)
{
    if (stream->stride == 0) return 0;
    int64_t distance = (int64_t)(page - stream->at);
    if (distance % stream->stride != 0) return 0;
    int64_t steps = distance / stream->stride;
    return steps > 0 && steps <= (int64_t)stream->fetched + 1 + SKIPPED_MAX ? (uint64_t)steps : 0;
}

static struct trend_stream *stream_of(struct trend *trend, uint64_t page)
{
    struct trend_stream *best = NULL;
    uint64_t fewest = UINT64_MAX;
    for (int i = 0; i < TREND_STREAMS; i++) {
        uint64_t steps = steps_to(&trend->streams[i], page);
        if (steps == 0 || steps >= fewest) continue;
        best = &trend->streams[i];
        fewest = steps;
    }
    return best;
}

static struct trend_run run_of(struct trend *trend, struct trend_stream *stream, uint32_t room)
{
    stream->fetched = (uint32_t)min_u64(stream->window, room);
    stream->moved = trend->faults;
    trend->fetched += stream->fetched;
    return (struct trend_run){.first = stream->at + (uint64_t)stream->stride,
                              .stride = stream->stride,
                              .count = stream->fetched};
}

static uint32_t doubled(uint32_t window, uint32_t most)
{
    return (uint32_t)min_u64(window == 0 ? 1 : 2ull * window, most);
}

/* The page lies behind the last run: all of that was walked over. Within it: pages that were
 * fetched are gone again before they were wanted, and fewer must do. */
static struct trend_run go_on(struct trend *trend, struct trend_stream *stream, uint64_t page,
                              uint32_t room)
{
    uint64_t steps = steps_to(stream, page);
    trend->used += min_u64(steps - 1, stream->fetched);
    if (steps > stream->fetched) {
        bool held_back = stream->fetched < stream->window;
        if (!held_back) stream->window = doubled(stream->window, trend->window_max);
        uint32_t most = (uint32_t)min_u64(TREND_FIRST_PAGES_MAX, trend->window_max);
        if (!stream->went_on) trend->first_window = doubled(trend->first_window, most);
        stream->went_on = true;
    } else {
        trend->wasted += stream->fetched - (steps - 1);
        stream->window /= 2;
    }
    stream->at = page;
    return run_of(trend, stream, room);
}

static void end_stream(struct trend *trend, struct trend_stream *stream)
{
    trend->wasted += stream->fetched;
    if (stream->stride != 0 && !stream->went_on) trend->first_window /= 2;
    *stream = (struct trend_stream){.stride = 0};
}

static void end_stale(struct trend *trend)
{
    for (int i = 0; i < TREND_STREAMS; i++) {
        struct trend_stream *stream = &trend->streams[i];
        bool stale = trend->faults - stream->moved > STREAM_FAULTS;
        if (stream->stride != 0 && stale) end_stream(trend, stream);
    }
}

static struct trend_run begin(struct trend *trend, uint64_t page, int64_t stride, uint32_t room)
{
    struct trend_stream *oldest = &trend->streams[0];
    for (int i = 1; i < TREND_STREAMS && oldest->stride != 0; i++) {
        struct trend_stream *other = &trend->streams[i];
        if (other->stride == 0 || other->moved < oldest->moved) oldest = other;
    }
    end_stream(trend, oldest);
    *oldest = (struct trend_stream){.stride = stride, .at = page, .window = trend->first_window};
    return run_of(trend, oldest, room);
}

/* --- for the pager ---------------------------------------------------------------------------- */

struct trend_run trend_fault(struct trend *trend, uint64_t page, uint32_t room)
{
    static const struct trend_run none = {0};
    fp_assert(page < PAGES_END);
    if (trend->window_max == 0) return none;
    trend->faults++;
    struct trend_stream *stream = stream_of(trend, page);
    if (stream != NULL) return go_on(trend, stream, page, room);
    end_stale(trend);
    int64_t stride = steps_alike(trend, page);
    remember(trend, page);
    if (stride == 0) stride = majority(trend);
    return stride == 0 ? none : begin(trend, page, stride, room);
}

void trend_wasted(struct trend *trend, uint64_t page)
{
    for (int i = 0; i < TREND_STREAMS; i++) {
        struct trend_stream *stream = &trend->streams[i];
        uint64_t steps = steps_to(stream, page);
        if (steps == 0 || steps > stream->fetched) continue;
        stream->window /= 2;
        return;
    }
    trend->first_window /= 2;
}

void trend_move(struct trend *trend, int64_t pages)
{
    for (int i = 0; i < TREND_HISTORY_FAULTS; i++) trend->history[i] += (uint64_t)pages;
    for (int i = 0; i < TREND_STREAMS; i++) trend->streams[i].at += (uint64_t)pages;
}
