/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/server.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/number.h"
#include "server/config/config_doors.h"
#include "server/door/descriptors.h"
#include "server/door/handed.h"
#include "server/http/http.h"
#include "server/door/listener.h"
#include "server/jobs/maintainer.h"
#include "server/memory/memory_limit.h"
#include "server/notify.h"
#include "server/jobs/process.h"
#include "server/pulse.h"
#include "server/jobs/recompressor.h"
#include "server/spill/spiller.h"
#include "server/spill/spilled.h"
#include "server/reload.h"
#include "server/restart/resume.h"
#include "server/sandbox.h"
#include "server/jobs/scrubber.h"
#include "server/restart/snapshots.h"
#include "server/peer/tenancy.h"
#include "server/jobs/trainer.h"
#include "server/watch/watch_events.h"
#include "server/worker.h"
#include "storage/store/page/store_area.h"

static const int handled_signals[] = {SIGTERM, SIGINT, SIGHUP};
enum { HANDLED_SIGNALS = FP_COUNT_OF(handled_signals) };

struct server {
    const struct options *options;
    struct log log;
    struct shared shared;
    struct event_base *base;
    struct event *signals[HANDLED_SIGNALS];
    struct event *again; /* a reload that had to wait */
    struct maintainer *maintainer;
    struct recompressor *recompressor;
    struct scrubber *scrubber;
    struct spiller *spiller; /* NULL: there is no file below memory */
    struct worker *workers[WORKERS_MAX];
    struct http *http; /* NULL: no listener is for monitors */
    struct listener *listeners[CONFIG_LISTENERS_MAX];
    struct handed handed;
    struct notify notify;
    struct pulse *pulse;
    struct resume resume;
    bool stopping;
};

const char *server_libraries(void)
{
    return "libevent " LIBEVENT_VERSION ", zstd " ZSTD_VERSION ", lz4 " LZ4_VERSION
           ", libyaml " YAML_VERSION ", isa-l " ISAL_VERSION ", OpenSSL " OPENSSL_VERSION
           ", libseccomp " SECCOMP_VERSION
#if FARPAGE_SYSTEMD
           ", libsystemd " SYSTEMD_VERSION
#endif
        ;
}

static enum exit_code fail(struct server *server, enum exit_code code, const char *what,
                           const char *why)
{
    log_event(&server->log, LOG_ERROR, "cannot start", log_text("what", what),
              log_text("why", why));
    notify_tell(&server->notify, "STATUS=cannot start: %s: %s", what, why);
    return code;
}

/* --- signals ---------------------------------------------------------------------------------- */

/* Who looks is told that it stops until it has. */
static void close_listeners(struct server *server, bool all)
{
    for (uint32_t i = 0; i < CONFIG_LISTENERS_MAX; i++) {
        struct listener **listener = &server->listeners[i];
        if (*listener == NULL) continue;
        bool monitors = listener_config(*listener)->protocol == CONFIG_HTTP;
        if (all || !(monitors || listener_tells(*listener))) listener_close(listener);
    }
}

static void begin_stop(struct server *server, const char *signal_name)
{
    struct shared *shared = &server->shared;
    if (server->resume.path[0] != '\0') openers_keep_transient(&shared->openers);
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t deadline = now_ns; /* a second signal: no more patience */
    lock_take(&shared->config_lock);
    if (!server->stopping) add_u64(now_ns, shared->config->server.stop_timeout_ns, &deadline);
    lock_drop(&shared->config_lock);
    atomic_store(&shared->stop_deadline_ns, deadline);
    log_event(&server->log, LOG_INFO, server->stopping ? "stopping at once" : "stopping",
              log_text("signal", signal_name),
              log_number("connections", atomic_load(&shared->conns.count)));
    server->stopping = true;
    notify_tell(&server->notify, "STOPPING=1\nSTATUS=sending the replies on their way");
    close_listeners(server, false);
    for (uint32_t i = 0; i < shared->worker_count; i++) worker_stop(server->workers[i]);
    event_base_loopbreak(server->base);
}

static void tell_ready(struct server *server)
{
    char status[PULSE_STATUS_BYTES];
    pulse_status(&server->shared, status);
    notify_ready(&server->notify, status);
}

/* While a client changes the configuration, the signal waits for its turn. */
static void read_again(struct server *server)
{
    static const struct timeval soon = {0, 10000};
    struct change_report report = {0};
    notify_reloading(&server->notify);
    bool busy = reload(&server->shared, &report) == CHANGE_BUSY;
    tell_ready(server);
    if (busy) (void)event_add(server->again, &soon);
}

static void on_signal(evutil_socket_t number, short what, void *opaque)
{
    (void)what;
    struct server *server = opaque;
    if (server->resume.saving) {
        server->resume.gives_up |= number != SIGHUP;
        return;
    }
    if (number == SIGHUP) read_again(server);
    else begin_stop(server, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void on_again(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    read_again(opaque);
}

static bool handle_signals(struct server *server)
{
    server->again = event_new(server->base, -1, 0, on_again, server);
    if (server->again == NULL) return false;
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) return false;
    for (unsigned i = 0; i < HANDLED_SIGNALS; i++) {
        server->signals[i] = evsignal_new(server->base, handled_signals[i], on_signal, server);
        if (server->signals[i] == NULL || event_add(server->signals[i], NULL) != 0) return false;
    }
    return true;
}

/* --- the parts -------------------------------------------------------------------------------- */

static bool random_bytes(void *bytes, size_t size_bytes)
{
    return getrandom(bytes, size_bytes, 0) == (ssize_t)size_bytes;
}

/* What the operator wants of the memory itself. */
static enum exit_code prepare_memory(struct server *server)
{
    const struct config *config = server->shared.config;
    struct arena *arena = zpool_arena(store_zpool(server->shared.store));
    if (config->storage.huge_pages == CONFIG_SWITCH_ON && arena_use_huge_pages(arena) != FP_OK)
        return fail(server, EXIT_RUNTIME, "storage.huge_pages",
                    "this kernel has no transparent huge pages; set it to off");
    if (config->storage.lock_memory == CONFIG_SWITCH_ON && pages_lock_all() != FP_OK)
        return fail(server, EXIT_RUNTIME, "storage.lock_memory",
                    "the system refuses to lock memory; lift RLIMIT_MEMLOCK (ulimit -l unlimited, "
                    "systemd: LimitMEMLOCK=infinity) or set it to off");
    return EXIT_OK;
}

static void tell_spill(struct server *server)
{
    struct spill_file_fill fill = spill_file_fill(store_spill_file(server->shared.store));
    log_event(&server->log, LOG_INFO, "cold pages are spilled",
              log_text("path", server->shared.config->storage.spill_path),
              log_number("bytes", fill.size_bytes),
              log_text("past_page_cache", fill.direct ? "yes" : "no"));
}

static enum exit_code open_spill(struct server *server)
{
    const struct config *config = server->shared.config;
    char why[SPILL_WHY_BYTES] = "out of memory";
    struct spill_file_options options = {.path = config->storage.spill_path,
                                         .size_bytes = config->storage.spill_size_bytes};
    server->shared.spill.wake_fd = -1;
    if (options.path[0] == '\0') return EXIT_OK;
    if (!spill_file_check(options.path, options.size_bytes, why) ||
        store_spill_open(server->shared.store, &options, why) != FP_OK)
        return fail(server, EXIT_RUNTIME, "storage.spill_path", why);
    memory_spill_set(server->shared.store, config);
    tell_spill(server);
    return EXIT_OK;
}

static enum exit_code create_store(struct server *server)
{
    const struct config *config = server->shared.config;
    struct store_options options = {.memory_limit_bytes = config->storage.memory_limit_bytes,
                                    .page_bytes = (uint32_t)config->storage.page_bytes,
                                    .allocator = config_allocator_name(config->storage.allocator),
                                    .compressor = reload_compressor(config)};
    if (!random_bytes(&options.hash_seed, sizeof options.hash_seed) ||
        !random_bytes(server->shared.boot_id, sizeof server->shared.boot_id))
        return fail(server, EXIT_RUNTIME, "random numbers", strerror(errno));
    enum fp_status status = store_create(&options, &server->shared.store);
    if (status == FP_NO_MEMORY)
        return fail(server, EXIT_RUNTIME, "storage",
                    "the system refuses the address space (ulimit -v, vm.overcommit_memory=2)");
    if (status != FP_OK) return fail(server, EXIT_CONFIG, "storage", fp_status_text(status));
    enum exit_code spilling = open_spill(server);
    if (spilling != EXIT_OK) return spilling;
    atomic_store(&server->shared.limit_bytes, config->storage.memory_limit_bytes);
    memory_limit_compare(&server->shared, config->storage.memory_limit_bytes);
    memory_watermarks_set(server->shared.store, config);
    tenancy_apply(&server->shared, config);
    store_set_eviction(server->shared.store, config->storage.eviction == CONFIG_SWITCH_ON);
    store_set_refuses_poor(server->shared.store,
                           config->storage.incompressible == CONFIG_INCOMPRESSIBLE_REFUSE);
    server->shared.watchers.budget = server->shared.prefixes.budget =
        store_budget(server->shared.store);
    store_on_eviction(server->shared.store, watch_eviction, &server->shared.watchers);
    return prepare_memory(server);
}

static enum exit_code take_up(struct server *server)
{
    struct resume *resume = &server->resume;
    char reason[RESTART_REASON_BYTES];
    resume->base = server->base;
    resume->notify = &server->notify;
    resume->stopping = &server->stopping;
    resume->restore = server->options->restore_path;
    enum fp_status status = resume_begin(resume, reason);
    server->shared.restored_generation = resume->taken.last_generation;
    if (status == FP_OK) return EXIT_OK;
    return fail(server, EXIT_DATA, resume->restore != NULL ? "--restore" : "server.restart_file",
                reason);
}

/* It may be there from the run before: then it must be what the configuration says. */
static enum fp_status make_area(struct store *store, const struct area_options *wanted)
{
    struct area *area;
    enum fp_status status = store_area_create(store, wanted, &area);
    if (status == FP_EXISTS) status = store_area_acquire(store, wanted->name, &area);
    if (status != FP_OK) return status;
    bool alike = area->slot_count == wanted->slot_count && area->page_bytes == wanted->page_bytes;
    if (alike) {
        area->quota_pages = wanted->quota_pages;
        area->quota_bytes = wanted->quota_bytes;
        area->as_they_are = wanted->as_they_are;
        area->lifetime = wanted->lifetime;
        store_area_give(store, area, wanted->tenant);
    }
    area_release(&area);
    return alike ? FP_OK : FP_EXISTS;
}

static enum exit_code create_areas(struct server *server)
{
    const struct config *config = server->shared.config;
    for (uint32_t i = 0; i < config->areas_count; i++) {
        const struct config_area *area = &config->areas[i];
        uint64_t page_bytes = config_area_page_bytes(config, area);
        struct area_options wanted = {.name = slice_text(area->name),
                                      .slot_count = area->size_bytes / page_bytes,
                                      .page_bytes = (uint32_t)page_bytes,
                                      .quota_pages = area->quota_pages,
                                      .quota_bytes = area->quota_bytes,
                                      .tenant = tenancy_number(&server->shared, area->tenant),
                                      .as_they_are = area->compressor == CONFIG_AREA_NONE,
                                      .lifetime = AREA_CONFIGURED};
        enum fp_status status = make_area(server->shared.store, &wanted);
        if (status == FP_EXISTS)
            return fail(server, EXIT_DATA, area->name,
                        "it was kept with another size or page size; give areas[] as it was");
        if (status != FP_OK) return fail(server, EXIT_RUNTIME, area->name, fp_status_text(status));
    }
    return EXIT_OK;
}

/* Who swaps here may be this very machine. Before there are threads, which inherit it. */
static void stay_out_of_swap(struct server *server)
{
    const struct config *config = server->shared.config;
    if (!config_serves_devices(config)) return;
    if (config->storage.lock_memory != CONFIG_SWITCH_ON)
        log_event(&server->log, LOG_WARN, "a machine that swaps to its own server may lock up",
                  log_text("cure", "storage.lock_memory: on"));
    if (!process_flushes_io())
        log_event(&server->log, LOG_WARN,
                  "the kernel does not mark this process as one that storage depends on",
                  log_text("cure", "CAP_SYS_RESOURCE; needed where a machine swaps to itself"));
}

/* It may turn out to be too much, some day. */
static void tell_overcommit(struct server *server)
{
    const struct config *config = server->shared.config;
    char worst[NUMBER_TEXT_BYTES], room[NUMBER_TEXT_BYTES];
    if (config_exports_worst_bytes(config) <= config_exports_room_bytes(config)) return;
    number_size_short(config_exports_worst_bytes(config), worst);
    number_size_short(config_exports_room_bytes(config), room);
    log_event(&server->log, LOG_WARN,
              "exports are overcommitted: what packs badly will be refused with ENOSPC",
              log_text("at_worst", worst), log_text("room", room));
}

static void tell_closed_exports(struct server *server)
{
    const struct config *config = server->shared.config;
    if (config->exports_count == 0 || config_serves_devices(config)) return;
    log_event(&server->log, LOG_WARN, "nobody can reach the exports: no listener speaks nbd",
              log_text("cure", "a listener with protocol: nbd"));
}

static enum exit_code create_exports(struct server *server)
{
    struct shared *shared = &server->shared;
    char reason[EXPORTS_REASON_BYTES];
    struct exports_place place = {.store = shared->store,
                                  .openers = &shared->openers,
                                  .boot_id = shared->boot_id,
                                  .config = shared->config,
                                  .last_generation = server->resume.taken.last_generation};
    stay_out_of_swap(server);
    tell_overcommit(server);
    tell_closed_exports(server);
    enum fp_status status = exports_start(&shared->exports, &place, reason);
    if (status != FP_OK) return fail(server, EXIT_RUNTIME, "exports", reason);
    resume_exports(&server->resume);
    return EXIT_OK;
}

static uint32_t count_workers(const struct config *config)
{
    if (config->server.threads != 0) return config->server.threads;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1 ? 1 : (uint32_t)min_u64((uint64_t)processors, WORKERS_MAX);
}

static enum exit_code create_workers(struct server *server)
{
    struct shared *shared = &server->shared;
    uint32_t count = count_workers(shared->config);
    size_t size = (count + 1) * sizeof *shared->counters;
    shared->counters = aligned_alloc(64, div_up_u64(size, 64) * 64);
    if (shared->counters == NULL) return fail(server, EXIT_RUNTIME, "workers", "out of memory");
    memset(shared->counters, 0, size);
    shared->latencies = calloc(count, sizeof *shared->latencies);
    if (shared->latencies == NULL) return fail(server, EXIT_RUNTIME, "workers", "out of memory");
    for (shared->worker_count = 0; shared->worker_count < count; shared->worker_count++) {
        uint32_t i = shared->worker_count;
        if (worker_create(shared, i, &server->workers[i]) != FP_OK)
            return fail(server, EXIT_RUNTIME, "workers", "out of memory");
    }
    return EXIT_OK;
}

/* What the program itself holds counts too, and must leave room for data. */
static enum exit_code charge_fixed(struct server *server)
{
    struct budget *budget = store_budget(server->shared.store);
    uint64_t fixed = process_resident_bytes() + server->shared.worker_count * CONFIG_THREAD_BYTES;
    char text[NUMBER_TEXT_BYTES], why[128];
    budget_charge_anyway(budget, BUDGET_FIXED, fixed);
    if (fixed + MEMORY_ROOM_BYTES <= budget_limit(budget)) return EXIT_OK;
    number_size_short(fixed + MEMORY_ROOM_BYTES, text);
    snprintf(why, sizeof why, "the server needs %s to start with %u threads", text,
             server->shared.worker_count);
    return fail(server, EXIT_CONFIG, "storage.memory_limit", why);
}

static enum exit_code start_threads(struct server *server)
{
    for (uint32_t i = 0; i < server->shared.worker_count; i++)
        if (worker_start(server->workers[i]) != FP_OK)
            return fail(server, EXIT_RUNTIME, "workers", "the system refuses a thread");
    if (maintainer_start(server->maintainer) != FP_OK)
        return fail(server, EXIT_RUNTIME, "maintainer", "the system refuses a thread");
    if (recompressor_start(server->recompressor) != FP_OK)
        return fail(server, EXIT_RUNTIME, "recompressor", "the system refuses a thread");
    if (scrubber_start(server->scrubber) != FP_OK)
        return fail(server, EXIT_RUNTIME, "scrubber", "the system refuses a thread");
    if (server->spiller != NULL && (spill_reads_start(server->shared.spill_reads) != FP_OK ||
                                    spiller_start(server->spiller) != FP_OK))
        return fail(server, EXIT_RUNTIME, "storage.spill", "the system refuses a thread");
    if (server->http != NULL && http_start(server->http) != FP_OK)
        return fail(server, EXIT_RUNTIME, "http", "the system refuses a thread");
    return EXIT_OK;
}

static enum exit_code read_credentials(struct server *server)
{
    struct shared *shared = &server->shared;
    struct credentials_read read;
    char reason[CREDENTIALS_REASON_BYTES];
    if (credentials_read(shared->config, &read, reason) != FP_OK)
        return fail(server, EXIT_CONFIG, "credentials", reason);
    credentials_log(&read, &server->log);
    credentials_replace(&shared->credentials, &read);
    return EXIT_OK;
}

static void warn_of(struct server *server, const struct config_listener *listener,
                    const char *where)
{
    bool in_the_clear = listener->tls == CONFIG_SWITCH_OFF;
    if (config_is_local(&listener->address)) return;
    if (listener->insecure == CONFIG_SWITCH_ON)
        log_event(&server->log, LOG_WARN, "anybody who reaches this address may use the server",
                  log_text("address", where));
    else if (in_the_clear)
        log_event(&server->log, LOG_WARN,
                  "passwords and all else travel in the clear here: tls: on hides them",
                  log_text("address", where));
}

/* Of one that was handed over it is not known earlier where it is bound. */
static enum exit_code check_handed(struct server *server, const struct config_listener *configured,
                                   const struct config_listener *listener)
{
    char text[CONFIG_ADDRESS_TEXT_BYTES], why[CONFIG_ADDRESS_TEXT_BYTES + 160];
    if (configured->address.kind != CONFIG_HANDED ||
        config_is_protected(server->shared.config, listener))
        return EXIT_OK;
    config_address_text(&listener->address, text);
    snprintf(why, sizeof why, "anybody who reaches %s could use the server; set %stls: on with "
             "tls.verify_clients: required, or insecure: on if that is meant", text,
             listener->protocol == CONFIG_MEMCACHED ? "auth.file, or " : "");
    return fail(server, EXIT_CONFIG, "listener", why);
}

static void tell_left(struct server *server)
{
    const struct handed_socket *left = handed_left(&server->handed);
    char text[CONFIG_ADDRESS_TEXT_BYTES];
    if (left == NULL) return;
    config_address_text(&left->address, text);
    log_event(&server->log, LOG_WARN, "a socket that systemd handed over is no listener's",
              log_text("name", left->name), log_text("address", text),
              log_text("cure", "a listener with its address, or with systemd: and its name"));
    handed_close(&server->handed);
}

static enum exit_code meet_supervisor(struct server *server)
{
    char notify_reason[NOTIFY_REASON_BYTES], reason[HANDED_REASON_BYTES];
    if (notify_open(&server->notify, notify_reason) != FP_OK)
        log_event(&server->log, LOG_WARN, "nobody is told how the server stands",
                  log_text("reason", notify_reason));
    if (handed_collect(&server->handed, reason) == FP_OK) return EXIT_OK;
    return fail(server, EXIT_RUNTIME, "socket activation", reason);
}

static enum exit_code create_pulse(struct server *server)
{
    struct pulse_options options = {.shared = &server->shared,
                                    .base = server->base,
                                    .workers = server->workers,
                                    .notify = &server->notify};
    if (pulse_create(&options, &server->pulse) == FP_OK) return EXIT_OK;
    return fail(server, EXIT_RUNTIME, "pulse", "out of memory");
}

static enum exit_code open_listeners(struct server *server)
{
    const struct config *config = server->shared.config;
    for (uint32_t i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        struct listener_options options = {.shared = &server->shared,
                                           .base = server->base,
                                           .workers = server->workers,
                                           .http = server->http,
                                           .config = listener,
                                           .handed = &server->handed};
        char reason[LISTENER_REASON_BYTES];
        if (listener_open(&options, &server->listeners[i], reason) != FP_OK)
            return fail(server, EXIT_CANNOT_BIND, "listener", reason);
        const char *where = listener_address(server->listeners[i]);
        log_event(&server->log, LOG_INFO, "listening", log_text("address", where),
                  log_text("protocol", config_protocol_name(listener->protocol)),
                  log_text("tls", listener->tls == CONFIG_SWITCH_ON ? "on" : "off"));
        enum exit_code checked =
            check_handed(server, listener, listener_config(server->listeners[i]));
        if (checked != EXIT_OK) return checked;
        warn_of(server, listener_config(server->listeners[i]), where);
    }
    tell_left(server);
    return EXIT_OK;
}

static enum exit_code enter_sandbox(struct server *server)
{
    enum config_sandbox wanted = server->shared.config->server.sandbox;
    char reason[SANDBOX_REASON_BYTES];
    if (wanted == CONFIG_SANDBOX_OFF || sandbox_enter(reason) == FP_OK) return EXIT_OK;
    if (wanted == CONFIG_SANDBOX_ON) return fail(server, EXIT_RUNTIME, "server.sandbox", reason);
    log_event(&server->log, LOG_INFO, "no sandbox", log_text("reason", reason));
    return EXIT_OK;
}

static enum exit_code create_maintainer(struct server *server)
{
    if (maintainer_create(&server->shared, &server->maintainer) != FP_OK)
        return fail(server, EXIT_RUNTIME, "maintainer", "out of memory");
    if (trainer_create(&server->shared, &server->shared.trainer) == FP_OK) return EXIT_OK;
    return fail(server, EXIT_RUNTIME, "trainer", "out of memory");
}

static enum exit_code create_recompressor(struct server *server)
{
    if (recompressor_create(&server->shared, &server->recompressor) == FP_OK &&
        scrubber_create(&server->shared, &server->scrubber) == FP_OK)
        return EXIT_OK;
    return fail(server, EXIT_RUNTIME, "recompressor", "out of memory");
}

static enum exit_code create_spiller(struct server *server)
{
    struct shared *shared = &server->shared;
    if (store_spill_file(shared->store) == NULL) return EXIT_OK;
    if (spill_reads_create(shared, &shared->spill_reads) == FP_OK &&
        spiller_create(shared, &server->spiller) == FP_OK)
        return EXIT_OK;
    return fail(server, EXIT_RUNTIME, "storage.spill", "out of memory");
}

static enum exit_code create_http(struct server *server)
{
    if (!config_serves_monitors(server->shared.config)) return EXIT_OK;
    if (http_create(&server->shared, &server->http) == FP_OK) return EXIT_OK;
    return fail(server, EXIT_RUNTIME, "http", "out of memory");
}

static enum exit_code create_base(struct server *server)
{
    server->base = event_base_new();
    if (server->base == NULL || !handle_signals(server))
        return fail(server, EXIT_RUNTIME, "event loop", strerror(errno));
    return EXIT_OK;
}

/* The last step but one. */
static enum exit_code serve(struct server *server)
{
    atomic_store(&server->shared.started, true);
    for (uint32_t i = 0; i < CONFIG_LISTENERS_MAX; i++)
        if (server->listeners[i] != NULL && listener_serve(server->listeners[i]) != FP_OK)
            return fail(server, EXIT_RUNTIME, "listener", "out of memory");
    return EXIT_OK;
}

/* The last step: whatever went wrong before leaves the file for the next try. */
static enum exit_code finish_taking(struct server *server)
{
    char reason[RESTART_REASON_BYTES];
    if (resume_done(&server->resume, reason) == FP_OK) return EXIT_OK;
    return fail(server, EXIT_DATA, "server.restart_file", reason);
}

/* --- in order, and in the mirror -------------------------------------------------------------- */

/* malloc adapts its threshold upwards and keeps large buffers in its heaps then, where one small
 * survivor holds them resident; and a heap a thread would hold free memory many times over. */
static void tame_malloc(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 128 << 10);
    (void)mallopt(M_ARENA_MAX, 2);
}

enum exit_code server_create(struct config **config, const struct options *options,
                             struct server **out)
{
    static enum exit_code (*const steps[])(struct server *server) = {
        meet_supervisor, create_base, create_store, create_workers, create_maintainer,
        create_recompressor, create_spiller, create_http, read_credentials, charge_fixed,
        open_listeners, take_up, create_areas, create_exports, start_threads, create_pulse,
        enter_sandbox, serve, finish_taking};
    tame_malloc();
    sandbox_begin();
    struct server *server = aligned_alloc(64, div_up_u64(sizeof *server, 64) * 64);
    if (server == NULL) return EXIT_RUNTIME;
    memset(server, 0, sizeof *server);
    *out = server;
    server->options = options;
    server->shared.options = options;
    server->notify.fd = -1;
    log_init(&server->log, STDERR_FILENO, (*config)->log.level, (*config)->log.format);
    log_find_journal(&server->log, getenv("JOURNAL_STREAM"));
    struct shared *shared = &server->shared;
    shared->log = &server->log;
    shared->started_ns = clock_monotonic_ns();
    lock_init(&shared->config_lock, RANK_CONFIG_RELOAD);
    shared->config = *config;
    *config = NULL;
    resume_init(&server->resume, shared);
    settings_apply(&shared->settings, shared->config);
    reload_note(shared, true);
    conns_init(&shared->conns);
    watchers_init(&shared->watchers);
    prefixes_init(&shared->prefixes);
    credentials_init(&shared->credentials);
    openers_init(&shared->openers);
    exports_init(&shared->exports);
    maps_register_init(&shared->maps);
    descriptors_fit(&shared->settings, &server->log);
    enum exit_code code = EXIT_OK;
    for (size_t i = 0; i < FP_COUNT_OF(steps) && code == EXIT_OK && !server->stopping; i++)
        code = steps[i](server);
    if (code == EXIT_OK && !server->stopping) {
        tell_ready(server);
        log_event(&server->log, LOG_INFO, "ready", log_text("version", FARPAGE_VERSION),
                  log_number("threads", shared->worker_count),
                  log_number("memory_limit_bytes", shared->config->storage.memory_limit_bytes),
                  log_text("compressor", reload_compressor(shared->config).algorithm));
    }
    return code;
}

enum exit_code server_check(const struct config *config, FILE *err)
{
    struct credentials_read read;
    char reason[CREDENTIALS_REASON_BYTES];
    char why[SPILL_WHY_BYTES];
    enum fp_status status = credentials_read(config, &read, reason);
    if (status != FP_OK) fprintf(err, "farpaged: %s\n", reason);
    credentials_drop(&read);
    bool spills = config->storage.spill_path[0] == '\0' ||
                  spill_file_check(config->storage.spill_path, config->storage.spill_size_bytes,
                                   why);
    if (!spills) fprintf(err, "farpaged: storage.spill_path: %s\n", why);
    return status == FP_OK && spills ? EXIT_OK : EXIT_CONFIG;
}

/* Those who change what is stored. */
static void end_threads(struct server *server)
{
    const struct shared *shared = &server->shared;
    for (uint32_t i = 0; i < shared->worker_count; i++) worker_stop(server->workers[i]);
    for (uint32_t i = 0; i < shared->worker_count; i++) worker_join(server->workers[i]);
    snapshots_wait(&server->shared); /* their sessions have ended */
    if (server->recompressor != NULL) recompressor_stop(server->recompressor);
    if (server->scrubber != NULL) scrubber_stop(server->scrubber);
    if (server->maintainer != NULL) maintainer_stop(server->maintainer);
    if (server->spiller != NULL) spiller_stop(server->spiller);
    if (shared->spill_reads != NULL) spill_reads_stop(shared->spill_reads);
}

enum exit_code server_run(struct server *server)
{
    if (!atomic_load(&server->shared.started)) return EXIT_OK; /* a signal came before */
    event_base_dispatch(server->base);
    /* The workers send what is on its way. A second signal must still be heard meanwhile. */
    while (atomic_load(&server->shared.conns.count) > 0) {
        struct timeval soon = {0, 20000};
        event_base_loopexit(server->base, &soon);
        event_base_dispatch(server->base);
    }
    end_threads(server);
    return resume_save(&server->resume) ? EXIT_OK : EXIT_RUNTIME;
}

void server_destroy(struct server **server_ptr)
{
    struct server *server = *server_ptr;
    if (server == NULL) return;
    struct shared *shared = &server->shared;
    close_listeners(server, true);
    if (server->http != NULL) http_stop(server->http);
    http_destroy(&server->http);
    end_threads(server);
    for (uint32_t i = 0; i < shared->worker_count; i++) worker_destroy(&server->workers[i]);
    trainer_destroy(&shared->trainer); /* which the maintainer may have asked for something */
    recompressor_destroy(&server->recompressor);
    scrubber_destroy(&server->scrubber);
    maintainer_destroy(&server->maintainer);
    spiller_destroy(&server->spiller);
    spill_reads_destroy(&shared->spill_reads);
    pulse_destroy(&server->pulse);
    for (unsigned i = 0; i < HANDLED_SIGNALS; i++)
        if (server->signals[i] != NULL) event_free(server->signals[i]);
    if (server->again != NULL) event_free(server->again);
    if (server->base != NULL) event_base_free(server->base);
    if (server->stopping) exports_stop(&shared->exports);
    exports_fini(&shared->exports, shared->store);
    watchers_fini(&shared->watchers);
    prefixes_fini(&shared->prefixes);
    resume_fini(&server->resume);
    store_destroy(&shared->store);
    free(shared->counters);
    free(shared->latencies);
    maps_register_fini(&shared->maps);
    openers_fini(&shared->openers);
    credentials_fini(&shared->credentials);
    conns_fini(&shared->conns);
    config_destroy(&shared->config);
    lock_fini(&shared->config_lock);
    if (server->stopping) log_write(&server->log, LOG_INFO, "stopped", NULL, 0);
    handed_close(&server->handed);
    notify_close(&server->notify);
    log_fini(&server->log);
    free(server);
    *server_ptr = NULL;
}
