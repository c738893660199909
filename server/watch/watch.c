/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/watch/watch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/clock.h"

enum { SKIPPED_LINE_BYTES = 40 };

struct watcher {
    struct watcher *next;
    uint32_t kinds;
    int fd;           /* eventfd */
    bool awake;       /* it has been written to and not been looked at */
    uint64_t skipped; /* lines lost since the last that was written */
    size_t start, size_bytes; /* of what waits, in the ring */
    uint8_t ring[WATCHER_RING_BYTES];
};

void watchers_init(struct watchers *watchers)
{
    *watchers = (struct watchers){0};
    lock_init(&watchers->lock, RANK_WATCHERS);
}

void watchers_fini(struct watchers *watchers)
{
    fp_assert(watchers->first == NULL);
    lock_fini(&watchers->lock);
}

uint32_t watchers_count(struct watchers *watchers)
{
    lock_take(&watchers->lock);
    uint32_t count = watchers->count;
    lock_drop(&watchers->lock);
    return count;
}

uint32_t watch_kind_named(struct slice name)
{
#define X(kind, text, meaning) \
    if (slice_is(name, text)) return kind;
    WATCH_KINDS(X)
#undef X
    return 0;
}

/* --- the ring --------------------------------------------------------------------------------- */

static void ring_write(struct watcher *watcher, const char *bytes, size_t size_bytes)
{
    size_t end = (watcher->start + watcher->size_bytes) % WATCHER_RING_BYTES;
    size_t first = min_u64(size_bytes, WATCHER_RING_BYTES - end);
    memcpy(watcher->ring + end, bytes, first);
    memcpy(watcher->ring, bytes + first, size_bytes - first);
    watcher->size_bytes += size_bytes;
}

static void wake_locked(struct watcher *watcher)
{
    uint64_t one = 1;
    if (watcher->awake) return;
    watcher->awake = write(watcher->fd, &one, sizeof one) == sizeof one;
}

/* False: it is lost. */
static bool line_locked(struct watcher *watcher, const char *line, size_t size_bytes)
{
    if (WATCHER_RING_BYTES - watcher->size_bytes < size_bytes + SKIPPED_LINE_BYTES) {
        watcher->skipped++;
        return false;
    }
    if (watcher->skipped > 0) {
        char lost[SKIPPED_LINE_BYTES];
        int lost_bytes = snprintf(lost, sizeof lost, "skipped=%" PRIu64 "\n", watcher->skipped);
        ring_write(watcher, lost, (size_t)lost_bytes);
        watcher->skipped = 0;
    }
    ring_write(watcher, line, size_bytes);
    wake_locked(watcher);
    return true;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void tell_locked(struct watchers *watchers, uint32_t kind, const char *text)
{
    char line[WATCH_LINE_BYTES_MAX];
    uint64_t now_us = clock_unix_ns() / 1000;
    int size = snprintf(line, sizeof line, "ts=%" PRIu64 ".%06" PRIu64 " gid=%" PRIu64 " %s\n",
                        now_us / 1000000, now_us % 1000000, ++watchers->last_gid, text);
    fp_assert(size > 0 && (size_t)size < sizeof line);
    for (struct watcher *watcher = watchers->first; watcher != NULL; watcher = watcher->next) {
        if ((watcher->kinds & kind) == 0) continue;
        bool written = line_locked(watcher, line, (size_t)size);
        count(written ? &watchers->sent : &watchers->skipped);
    }
}

void watch_tell(struct watchers *watchers, enum watch_kind kind, const char *format, ...)
{
    char text[WATCH_LINE_BYTES_MAX - 80];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    fp_assert(size >= 0 && (size_t)size < sizeof text);
    lock_take(&watchers->lock);
    tell_locked(watchers, (uint32_t)kind, text);
    lock_drop(&watchers->lock);
}

/* --- a watcher -------------------------------------------------------------------------------- */

static void sum_wanted_locked(struct watchers *watchers)
{
    uint32_t wanted = 0;
    for (const struct watcher *w = watchers->first; w != NULL; w = w->next) wanted |= w->kinds;
    atomic_store_explicit(&watchers->wanted, wanted, memory_order_relaxed);
}

static void watcher_free(struct watchers *watchers, struct watcher *watcher)
{
    if (watcher->fd >= 0) close(watcher->fd);
    free(watcher);
    budget_return(watchers->budget, BUDGET_CONNECTIONS, sizeof *watcher);
}

static enum fp_status watcher_create(struct watchers *watchers, struct watcher **out)
{
    if (watchers_count(watchers) < WATCHERS_ALWAYS)
        budget_charge_anyway(watchers->budget, BUDGET_CONNECTIONS, sizeof **out);
    else if (!budget_charge(watchers->budget, BUDGET_CONNECTIONS, sizeof **out))
        return FP_NO_MEMORY;
    struct watcher *watcher = malloc(sizeof *watcher);
    if (watcher == NULL) {
        budget_return(watchers->budget, BUDGET_CONNECTIONS, sizeof *watcher);
        return FP_NO_MEMORY;
    }
    watcher->awake = false;
    watcher->skipped = watcher->start = watcher->size_bytes = 0;
    watcher->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *out = watcher;
    if (watcher->fd >= 0) return FP_OK;
    watcher_free(watchers, watcher);
    return FP_IO;
}

enum fp_status watcher_open(struct watchers *watchers, uint32_t kinds, struct watcher **out)
{
    struct watcher *watcher;
    enum fp_status status = watcher_create(watchers, &watcher);
    if (status != FP_OK) return status;
    watcher->kinds = kinds;
    lock_take(&watchers->lock);
    bool room = watchers->count < WATCHERS_MAX;
    if (room) {
        watcher->next = watchers->first;
        watchers->first = watcher;
        watchers->count++;
        sum_wanted_locked(watchers);
    }
    lock_drop(&watchers->lock);
    if (room) *out = watcher;
    else watcher_free(watchers, watcher);
    return room ? FP_OK : FP_BUSY;
}

void watcher_close(struct watchers *watchers, struct watcher **watcher_ptr)
{
    struct watcher *watcher = *watcher_ptr;
    if (watcher == NULL) return;
    lock_take(&watchers->lock);
    struct watcher **link = &watchers->first;
    while (*link != watcher) link = &(*link)->next;
    *link = watcher->next;
    watchers->count--;
    sum_wanted_locked(watchers);
    lock_drop(&watchers->lock);
    watcher_free(watchers, watcher);
    *watcher_ptr = NULL;
}

int watcher_fd(const struct watcher *watcher)
{
    return watcher->fd;
}

/* Whole lines or not does not matter here: what follows comes with the next piece. */
void watcher_take(struct watchers *watchers, struct watcher *watcher, struct output *output)
{
    uint64_t ignored;
    lock_take(&watchers->lock);
    ssize_t got = read(watcher->fd, &ignored, sizeof ignored);
    (void)got; /* only clears it */
    watcher->awake = false;
    for (size_t left = WATCHER_TAKE_BYTES; left > 0 && watcher->size_bytes > 0;) {
        size_t part = min_u64(left, WATCHER_RING_BYTES - watcher->start);
        part = min_u64(part, watcher->size_bytes);
        output_add(output, slice_of(watcher->ring + watcher->start, part));
        watcher->start = (watcher->start + part) % WATCHER_RING_BYTES;
        watcher->size_bytes -= part;
        left -= part;
    }
    if (watcher->size_bytes > 0) wake_locked(watcher);
    lock_drop(&watchers->lock);
}
