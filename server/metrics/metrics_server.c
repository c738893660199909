/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The program, its connections and what was asked of it. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/health.h"
#include "server/jobs/process.h"
#include "server/metrics/metrics_group.h"

/* --- what it is ------------------------------------------------------------------------------- */

struct build {
    struct metric_labels labels;
    uint64_t one;
};

static const struct metric build_rows[] = {
    {"farpage_build_info", METRIC_GAUGE, METRIC_PLAIN,
     "1; the labels tell which program this is, and which run of it.",
     offsetof(struct build, one)},
};

static size_t fill_build(struct shared *shared, void *items)
{
    struct build *build = items;
    char(*texts)[METRIC_LABEL_BYTES] = build->labels.texts;
    snprintf(texts[0], METRIC_LABEL_BYTES, "%s", FARPAGE_VERSION);
    for (int i = 0; i < FRAME_BOOT_ID_BYTES; i++)
        snprintf(texts[1] + 2 * i, 3, "%02x", shared->boot_id[i]);
    snprintf(texts[2], METRIC_LABEL_BYTES, "%s",
             zpool_properties(store_zpool(shared->store))->name);
    build->one = 1;
    return 1;
}

const struct metric_group metrics_of_build = {
    .metrics = build_rows, .metric_count = FP_COUNT_OF(build_rows),
    .labels = {"version", "boot_id", "allocator"}, .item_bytes = sizeof(struct build),
    .items_max = 1, .fill = fill_build};

/* --- the process ------------------------------------------------------------------------------ */

struct process_item {
    struct metric_labels labels;
    uint64_t cpu_ns, resident_bytes, open_fds, max_fds, start_ns;
};

#define PROCESS_METRICS(X)                                                                         \
    X("process_cpu_seconds_total", COUNTER, NANOSECONDS, "Processor time used.", cpu_ns)           \
    X("process_resident_memory_bytes", GAUGE, PLAIN, "Resident memory, as the kernel counts it.",  \
      resident_bytes)                                                                              \
    X("process_open_fds", GAUGE, PLAIN, "Open file descriptors.", open_fds)                        \
    X("process_max_fds", GAUGE, PLAIN, "How many there may be.", max_fds)                          \
    X("process_start_time_seconds", GAUGE, NANOSECONDS, "When it started, since 1970.", start_ns)

static const struct metric process_rows[] = {
#define X(name, kind, unit, help, member)                                                          \
    METRIC_ROW(process_item, name, kind, unit, help, member)
    PROCESS_METRICS(X)
#undef X
};

static uint64_t timeval_ns(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

static uint64_t count_descriptors(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) return 0;
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count > 3 ? count - 3 : 0; /* itself, "." and ".." */
}

static size_t fill_process(struct shared *shared, void *items)
{
    struct process_item *process = items;
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        process->cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) process->max_fds = limit.rlim_cur;
    process->resident_bytes = process_resident_bytes();
    process->open_fds = count_descriptors();
    process->start_ns = clock_unix_ns() - (clock_monotonic_ns() - shared->started_ns);
    return 1;
}

const struct metric_group metrics_of_process = {
    .metrics = process_rows, .metric_count = FP_COUNT_OF(process_rows),
    .item_bytes = sizeof(struct process_item), .items_max = 1, .fill = fill_process};

/* --- the server ------------------------------------------------------------------------------- */

struct server_item {
    struct metric_labels labels;
    uint64_t ready, threads, connections_max, accepted, rejected, pauses, watchers, lines_sent,
        lines_skipped, certificate_ns, reload_good, reload_ns, reloads, reloads_refused,
        log_lost, log_held_back;
    uint64_t counters[WORKER_COUNTERS_COUNT];
};

/* What is counted about single requests is in REQUEST_METRICS. */
#define SERVER_METRICS(X)                                                                          \
    X("farpage_ready", GAUGE, PLAIN, "1 where /readyz says yes.", ready)                           \
    X("farpage_worker_threads", GAUGE, PLAIN, "Worker threads.", threads)                          \
    X("farpage_connections_max", GAUGE, PLAIN, "Connections that may be open.", connections_max)   \
    X("farpage_connections_accepted_total", COUNTER, PLAIN, "Connections accepted.", accepted)     \
    X("farpage_connections_rejected_total", COUNTER, PLAIN,                                        \
      "Connections refused because of server.max_connections.", rejected)                          \
    X("farpage_accept_pauses_total", COUNTER, PLAIN,                                               \
      "Times accepting had to pause for want of descriptors.", pauses)                             \
    X("farpage_connections_idle_closed_total", COUNTER, PLAIN,                                     \
      "Connections closed because they asked nothing for too long.",                               \
      counters[COUNTER_idle_kicks])                                                                \
    X("farpage_connections_slow_closed_total", COUNTER, PLAIN,                                     \
      "Connections closed because a request, a login or a reply took too long.",                   \
      counters[COUNTER_farpage_slow_kicks])                                                        \
    X("farpage_connections_protocol_errors_total", COUNTER, PLAIN,                                 \
      "Connections closed because framing was lost.", counters[COUNTER_farpage_protocol_errors])   \
    X("farpage_connection_yields_total", COUNTER, PLAIN,                                           \
      "Times a connection had to let others go first.", counters[COUNTER_conn_yields])             \
    X("farpage_received_bytes_total", COUNTER, PLAIN, "Bytes received from clients.",              \
      counters[COUNTER_bytes_read])                                                                \
    X("farpage_sent_bytes_total", COUNTER, PLAIN, "Bytes sent to clients.",                        \
      counters[COUNTER_bytes_written])                                                             \
    X("farpage_tls_handshakes_total", COUNTER, PLAIN, "Connections over TLS.",                     \
      counters[COUNTER_farpage_tls_handshakes])                                                    \
    X("farpage_tls_handshake_errors_total", COUNTER, PLAIN,                                        \
      "Connections closed because TLS could not be agreed on.",                                    \
      counters[COUNTER_ssl_handshake_errors])                                                      \
    X("farpage_tls_certificate_not_after_seconds", GAUGE, NANOSECONDS,                             \
      "When the server's certificate ends, since 1970; 0: it has none.", certificate_ns)           \
    X("farpage_logins_total", COUNTER, PLAIN, "Attempts to authenticate.",                         \
      counters[COUNTER_auth_cmds])                                                                 \
    X("farpage_login_errors_total", COUNTER, PLAIN,                                                \
      "Those that failed, and requests of who had not.", counters[COUNTER_auth_errors])            \
    X("farpage_watchers", GAUGE, PLAIN, "Connections that watch.", watchers)                       \
    X("farpage_watcher_lines_total", COUNTER, PLAIN, "Lines told to them.", lines_sent)            \
    X("farpage_watcher_lines_lost_total", COUNTER, PLAIN,                                          \
      "Lines lost because a watcher did not read.", lines_skipped)                                 \
    X("farpage_log_lines_lost_total", COUNTER, PLAIN,                                              \
      "Lines of the log that nobody read in time.", log_lost)                                      \
    X("farpage_log_lines_held_back_total", COUNTER, PLAIN,                                         \
      "Lines not written because there were too many like them.", log_held_back)                   \
    X("farpage_config_last_reload_successful", GAUGE, PLAIN,                                       \
      "1 where the last reload was applied, or there was none.", reload_good)                      \
    X("farpage_config_last_reload_success_timestamp_seconds", GAUGE, NANOSECONDS,                  \
      "When the configuration in force was read, since 1970.", reload_ns)                          \
    X("farpage_config_reloads_total", COUNTER, PLAIN, "Reloads.", reloads)                         \
    X("farpage_config_reloads_refused_total", COUNTER, PLAIN, "Reloads that changed nothing.",     \
      reloads_refused)                                                                             \
    X("farpage_page_stores_total", COUNTER, PLAIN, "Pages stored.",                                \
      counters[COUNTER_farpage_page_stores])                                                       \
    X("farpage_page_loads_total", COUNTER, PLAIN, "Pages loaded.",                                 \
      counters[COUNTER_farpage_page_loads])                                                        \
    X("farpage_page_absent_total", COUNTER, PLAIN, "Loads of slots that hold nothing.",            \
      counters[COUNTER_farpage_page_absent])                                                       \
    X("farpage_page_invalidations_total", COUNTER, PLAIN, "Invalidate requests.",                  \
      counters[COUNTER_farpage_page_invalidations])                                                \
    X("farpage_page_refused_total", COUNTER, PLAIN,                                                \
      "Stores of pages refused because memory was full.", counters[COUNTER_farpage_page_refused])  \
    X("farpage_batches_total", COUNTER, PLAIN, "Batches of stores, loads or invalidations.",       \
      counters[COUNTER_farpage_batches])                                                           \
    X("farpage_packed_stores_total", COUNTER, PLAIN, "Pages stored as a client packed them.",      \
      counters[COUNTER_farpage_packed_stores])                                                     \
    X("farpage_packed_loads_total", COUNTER, PLAIN, "Pages given as they are packed.",             \
      counters[COUNTER_farpage_packed_loads])                                                      \
    X("farpage_packed_saved_bytes_total", COUNTER, PLAIN,                                          \
      "What those pages would have been longer on the wire.",                                      \
      counters[COUNTER_farpage_packed_saved_bytes])                                                \
    X("farpage_item_flushes_total", COUNTER, PLAIN, "flush_all requests.",                         \
      counters[COUNTER_cmd_flush])                                                                 \
    X("farpage_item_looks_total", COUNTER, PLAIN, "me requests, which look at an item.",           \
      counters[COUNTER_cmd_meta])                                                                  \
    X("farpage_item_values_cut_total", COUNTER, PLAIN,                                             \
      "Connections closed because the rest of a value was damaged.",                               \
      counters[COUNTER_farpage_values_cut])                                                        \
    X("farpage_maps_made_total", COUNTER, PLAIN, "Maps of pages and items.",                       \
      counters[COUNTER_farpage_maps_made])                                                         \
    X("farpage_maps_busy_total", COUNTER, PLAIN, "Maps refused because another wrote.",            \
      counters[COUNTER_farpage_maps_busy])                                                         \
    X("farpage_maps_refused_total", COUNTER, PLAIN,                                                \
      "Maps refused because of a limit or for want of memory.",                                    \
      counters[COUNTER_farpage_maps_refused])                                                      \
    X("farpage_maps_expired_total", COUNTER, PLAIN, "Maps that ended because of their lease.",     \
      counters[COUNTER_farpage_maps_expired])                                                      \
    X("farpage_maps_published_total", COUNTER, PLAIN, "Unmaps that stored what was written.",      \
      counters[COUNTER_farpage_maps_published])                                                    \
    X("farpage_maps_changed_total", COUNTER, PLAIN,                                                \
      "Unmaps of writers that stored nothing, because it had changed.",                            \
      counters[COUNTER_farpage_maps_changed])

static const struct metric server_rows[] = {
#define X(name, kind, unit, help, member)                                                          \
    METRIC_ROW(server_item, name, kind, unit, help, member)
    SERVER_METRICS(X)
#undef X
};

static size_t fill_server(struct shared *shared, void *items)
{
    struct server_item *item = items;
    struct health health;
    health_look(shared, &health);
    item->ready = health.ready;
    item->threads = shared->worker_count;
    item->connections_max = atomic_load(&shared->settings.max_connections);
    item->accepted = atomic_load(&shared->conns.accepted);
    item->rejected = atomic_load(&shared->conns.rejected);
    item->pauses = atomic_load(&shared->listen_pauses);
    item->watchers = watchers_count(&shared->watchers);
    item->lines_sent = atomic_load(&shared->watchers.sent);
    item->lines_skipped = atomic_load(&shared->watchers.skipped);
    item->certificate_ns = credentials_expire_s(&shared->credentials) * 1000000000;
    item->reload_good = atomic_load(&shared->reloads.good);
    item->reload_ns = atomic_load(&shared->reloads.good_ns);
    item->log_lost = atomic_load(&shared->log->lost);
    item->log_held_back = atomic_load(&shared->log->held_back);
    item->reloads = atomic_load(&shared->reloads.count);
    item->reloads_refused = atomic_load(&shared->reloads.refused);
    for (int i = 0; i < WORKER_COUNTERS_COUNT; i++)
        item->counters[i] = shared_counted(shared, (enum worker_counter)i);
    return 1;
}

const struct metric_group metrics_of_server = {
    .metrics = server_rows, .metric_count = FP_COUNT_OF(server_rows),
    .item_bytes = sizeof(struct server_item), .items_max = 1, .fill = fill_server};

/* --- requests about items --------------------------------------------------------------------- */

/* X(command, result, counter) */
#define REQUEST_METRICS(X)                                                                         \
    X("get", "hit", get_hits)                                                                      \
    X("get", "miss", get_misses)                                                                   \
    X("set", "asked", cmd_set)                                                                     \
    X("set", "too_large", store_too_large)                                                         \
    X("set", "no_memory", store_no_memory)                                                         \
    X("cas", "stored", cas_hits)                                                                   \
    X("cas", "miss", cas_misses)                                                                   \
    X("cas", "changed", cas_badval)                                                                \
    X("delete", "hit", delete_hits)                                                                \
    X("delete", "miss", delete_misses)                                                             \
    X("incr", "hit", incr_hits)                                                                    \
    X("incr", "miss", incr_misses)                                                                 \
    X("decr", "hit", decr_hits)                                                                    \
    X("decr", "miss", decr_misses)                                                                 \
    X("touch", "hit", touch_hits)                                                                  \
    X("touch", "miss", touch_misses)

struct request_item {
    struct metric_labels labels;
    uint64_t count;
};

static const struct metric request_rows[] = {
    {"farpage_item_requests_total", METRIC_COUNTER, METRIC_PLAIN,
     "Requests about items. set: those asked include the ones refused.",
     offsetof(struct request_item, count)},
};

static const struct {
    const char *command, *result;
    enum worker_counter counter;
} requests[] = {
#define X(command, result, counter) {command, result, COUNTER_##counter},
    REQUEST_METRICS(X)
#undef X
};

static size_t fill_requests(struct shared *shared, void *items)
{
    struct request_item *item = items;
    for (size_t i = 0; i < FP_COUNT_OF(requests); i++, item++) {
        snprintf(item->labels.texts[0], METRIC_LABEL_BYTES, "%s", requests[i].command);
        snprintf(item->labels.texts[1], METRIC_LABEL_BYTES, "%s", requests[i].result);
        item->count = shared_counted(shared, requests[i].counter);
    }
    return FP_COUNT_OF(requests);
}

const struct metric_group metrics_of_requests = {
    .metrics = request_rows, .metric_count = FP_COUNT_OF(request_rows),
    .labels = {"command", "result"}, .item_bytes = sizeof(struct request_item),
    .items_max = FP_COUNT_OF(requests), .fill = fill_requests};

/* --- connections ------------------------------------------------------------------------------ */

struct connection_item {
    struct metric_labels labels;
    uint64_t count, pending_bytes, mapped_bytes;
};

enum { DIALECTS = DIALECT_NBD + 1 };

static const struct metric connection_rows[] = {
    {"farpage_connections", METRIC_GAUGE, METRIC_PLAIN, "Connections open now, by what they speak.",
     offsetof(struct connection_item, count)},
    {"farpage_connections_pending_bytes", METRIC_GAUGE, METRIC_PLAIN,
     "Bytes that wait to be read by them.", offsetof(struct connection_item, pending_bytes)},
    {"farpage_connections_mapped_bytes", METRIC_GAUGE, METRIC_PLAIN, "Bytes that they have mapped.",
     offsetof(struct connection_item, mapped_bytes)},
};

static void count_connection(void *context, const struct conn_row *row)
{
    struct connection_item *item = (struct connection_item *)context + atomic_load(&row->dialect);
    item->count++;
    item->pending_bytes += atomic_load(&row->pending_bytes);
    item->mapped_bytes += atomic_load(&row->mapped_bytes);
}

static size_t fill_connections(struct shared *shared, void *items)
{
    struct connection_item *item = items;
    for (int i = 0; i < DIALECTS; i++)
        snprintf(item[i].labels.texts[0], METRIC_LABEL_BYTES, "%s", conn_dialect_name(i));
    conns_each(&shared->conns, count_connection, items);
    return DIALECTS;
}

const struct metric_group metrics_of_connections = {
    .metrics = connection_rows, .metric_count = FP_COUNT_OF(connection_rows),
    .labels = {"protocol"}, .item_bytes = sizeof(struct connection_item), .items_max = DIALECTS,
    .fill = fill_connections};
