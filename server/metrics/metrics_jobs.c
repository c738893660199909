/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What goes over all that is stored, beside those who use it: scrub, and snapshots. */
#include "server/metrics/metrics_group.h"

#define NS_PER_S ((uint64_t)1000000000)

struct job_item {
    struct metric_labels labels;
    struct scrub_counts scrubbed;
    uint64_t scrubs, scrubbing, looked, to_look, scrub_ended_ns;
    uint64_t snapshots, snapshots_taken, snapshots_given_up, snapshot_bytes, snapshot_ended_ns;
};

#define JOB_METRICS(X)                                                                             \
    X("farpage_scrub_running", GAUGE, PLAIN, "1 while a run of scrub is under way.", scrubbing)    \
    X("farpage_scrub_runs_total", COUNTER, PLAIN, "Runs that came to their end.", scrubs)          \
    X("farpage_scrub_last_run_timestamp_seconds", GAUGE, NANOSECONDS,                              \
      "When the last of them did, since 1970; 0: none did.", scrub_ended_ns)                       \
    X("farpage_scrub_run_looked", GAUGE, PLAIN,                                                    \
      "Pages and items looked at in the run under way, or the last one.", looked)                  \
    X("farpage_scrub_run_to_look", GAUGE, PLAIN, "Those there are for it.", to_look)               \
    X("farpage_scrub_pages_total", COUNTER, PLAIN, "Pages looked at.", scrubbed.pages)             \
    X("farpage_scrub_spilled_pages_total", COUNTER, PLAIN,                                         \
      "Of those, read from the file below memory.", scrubbed.spilled_pages)                        \
    X("farpage_scrub_items_total", COUNTER, PLAIN, "Items looked at.", scrubbed.items)             \
    X("farpage_scrub_plain_bytes_total", COUNTER, PLAIN,                                           \
      "What all that unpacks to, and of what is spilled its object's.", scrubbed.plain_bytes)      \
    X("farpage_scrub_damaged_pages_total", COUNTER, PLAIN,                                         \
      "Pages that are not what was stored, in each run again.", scrubbed.damaged_pages)            \
    X("farpage_scrub_damaged_items_total", COUNTER, PLAIN, "Items that are not.",                  \
      scrubbed.damaged_items)                                                                      \
    X("farpage_scrub_unread_pages_total", COUNTER, PLAIN,                                          \
      "Spilled pages that the system refused to read.", scrubbed.unread_pages)                     \
    X("farpage_snapshot_running", GAUGE, PLAIN, "1 while a snapshot is taken.", snapshots)         \
    X("farpage_snapshots_taken_total", COUNTER, PLAIN, "Snapshots taken to their end.",            \
      snapshots_taken)                                                                             \
    X("farpage_snapshots_given_up_total", COUNTER, PLAIN,                                          \
      "Given up: too much was stored over, or who took it went.", snapshots_given_up)              \
    X("farpage_snapshot_bytes_total", COUNTER, PLAIN, "Composed for them.", snapshot_bytes)        \
    X("farpage_snapshot_last_timestamp_seconds", GAUGE, NANOSECONDS,                               \
      "When the last one was taken, since 1970; 0: none was.", snapshot_ended_ns)

static const struct metric job_rows[] = {
#define X(name, kind, unit, help, member) METRIC_ROW(job_item, name, kind, unit, help, member)
    JOB_METRICS(X)
#undef X
};

static size_t fill_jobs(struct shared *shared, void *items)
{
    struct job_item *item = items;
    const struct scrub *scrub = &shared->scrub;
    const struct snapshot_counts *snapshots = &shared->snapshots;
#define X(name, text) item->scrubbed.name = atomic_load(&scrub->counts.name);
    SCRUB_COUNTS(X)
#undef X
    item->scrubbing = atomic_load(&scrub->running);
    item->scrubs = atomic_load(&scrub->runs);
    item->looked = atomic_load(&scrub->looked);
    item->to_look = atomic_load(&scrub->to_look);
    item->scrub_ended_ns = atomic_load(&scrub->ended_unix_s) * NS_PER_S;
    item->snapshots = atomic_load(&snapshots->running);
    item->snapshots_taken = atomic_load(&snapshots->taken);
    item->snapshots_given_up = atomic_load(&snapshots->given_up);
    item->snapshot_bytes = atomic_load(&snapshots->bytes);
    item->snapshot_ended_ns = atomic_load(&snapshots->taken_unix_ns);
    return 1;
}

const struct metric_group metrics_of_jobs = {
    .metrics = job_rows, .metric_count = FP_COUNT_OF(job_rows),
    .item_bytes = sizeof(struct job_item), .items_max = 1, .fill = fill_jobs};
