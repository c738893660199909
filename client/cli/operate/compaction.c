/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The server is asked again after a pause that grows from a millisecond, so that the time of a
 * short compaction is told well and a long one is not disturbed. */
#include "client/cli/operate/compaction.h"

#include <string.h>

#include "base/arith.h"
#include "base/clock.h"
#include "base/number.h"
#include "client/cli/interrupt.h"

enum { PAUSE_FIRST_NS = 500000, PAUSE_LAST_NS = 50000000 };

static void take_line(void *context, const char *name, const char *value)
{
    struct compaction *compaction = context;
    if (strcmp(name, "state") == 0) compaction->running = strcmp(value, "running") == 0;
#define X(field)                                                                         \
    if (strcmp(name, #field) == 0 && !number_u64(slice_text(value), &compaction->field)) \
        compaction->field = 0;
    COMPACTION_FIGURES(X)
#undef X
}

static bool look(struct compaction_watch *watch, bool start, struct compaction *into,
                 struct complaint *complaint)
{
    *into = (struct compaction){0};
    if (farpage_compact(watch->client, start, take_line, into) == FARPAGE_OK) {
        watch->seconds = (double)(clock_monotonic_ns() - watch->begun_ns) / 1e9;
        return true;
    }
    complain(complaint, "%s", farpage_error(watch->client));
    return false;
}

bool compaction_start(struct compaction_watch *watch, struct complaint *complaint)
{
    watch->interrupted = false;
    if (!look(watch, false, &watch->before, complaint)) return false;
    watch->begun_ns = clock_monotonic_ns();
    return look(watch, true, &watch->now, complaint);
}

bool compaction_wait(struct compaction_watch *watch, struct complaint *complaint)
{
    uint64_t pause_ns = PAUSE_FIRST_NS;
    for (;;) {
        if (watch->shown != NULL) watch->shown(watch->context, watch);
        if (!watch->now.running) return true;
        watch->interrupted = !interrupt_sleep(pause_ns);
        if (watch->interrupted) return true;
        pause_ns = min_u64(pause_ns * 3 / 2, PAUSE_LAST_NS);
        if (!look(watch, false, &watch->now, complaint)) return false;
    }
}

uint64_t compaction_since(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now;
}
