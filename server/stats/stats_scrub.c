/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/stats/stats_internal.h"

void stats_scrub(struct shared *shared, const struct stats_sink *sink)
{
    const struct scrub *scrub = &shared->scrub;
    stats_text(sink, "state", scrub_state(scrub));
    stats_text(sink, "last", scrub_end_name(atomic_load(&scrub->end)));
    stats_number(sink, "progress_percent", scrub_percent(scrub));
    stats_number(sink, "run_to_look", atomic_load(&scrub->to_look));
    stats_number(sink, "run_looked", atomic_load(&scrub->looked));
    stats_number(sink, "run_damaged", atomic_load(&scrub->damaged));
    stats_number(sink, "seconds_left", scrub_seconds_left(scrub));
    stats_number(sink, "runs", atomic_load(&scrub->runs));
    stats_number(sink, "last_unix_s", atomic_load(&scrub->ended_unix_s));
#define X(name, text) stats_number(sink, #name, atomic_load(&scrub->counts.name));
    SCRUB_COUNTS(X)
#undef X
    stats_number(sink, "interval_s",
                 setting(&shared->settings.scrub_interval_ns) / 1000000000);
    stats_number(sink, "duty_percent", atomic_load(&shared->settings.scrub_duty_percent));
}
