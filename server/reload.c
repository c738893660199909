/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/reload.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "server/door/descriptors.h"
#include "server/config/config_compare.h"
#include "server/config/config_doors.h"
#include "server/memory/memory_limit.h"
#include "server/peer/tenancy.h"
#include "codec/compressor_text.h"

struct compressor_config reload_compressor(const struct config *config)
{
    return (struct compressor_config){
        .algorithm = config_algorithm_name(config->compressor.algorithm),
        .level = config->compressor.level};
}

/* One change under way. */
struct change_walk {
    struct shared *shared;
    struct change_report *report;
    const char *only; /* the pair that is set; NULL: the file is read again */
};

static FP_PRINTF(2, 3) void tell(struct change_report *report, const char *format, ...)
{
    char line[2 * CONFIG_PATH_BYTES + CREDENTIALS_REASON_BYTES];
    va_list values;
    if (report->tell == NULL) return;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    report->tell(report->context, line);
}

static enum change refuse(struct change_report *report, const char *why)
{
    snprintf(report->refusal, sizeof report->refusal, "%s", why);
    return CHANGE_REFUSED;
}

/* --- differences ------------------------------------------------------------------------------ */

static void ignore_difference(void *opaque, const struct config_difference *difference)
{
    (void)opaque, (void)difference;
}

static void tell_change(void *opaque, const struct config_difference *difference)
{
    struct change_walk *walk = opaque;
    log_event(walk->shared->log, LOG_INFO, "configuration differs",
              log_text("key", difference->key), log_text("from", difference->running),
              log_text("to", difference->next));
    tell(walk->report, "CHANGED %s: %s -> %s", difference->key, difference->running,
         difference->next);
    walk->report->changes++;
}

static void tell_restart(void *opaque, const struct config_difference *difference)
{
    struct change_walk *walk = opaque;
    if (difference->reloadable) return;
    log_event(walk->shared->log, LOG_ERROR, "this change needs a restart",
              log_text("key", difference->key), log_text("from", difference->running),
              log_text("to", difference->next));
    tell(walk->report, "RESTART %s: %s -> %s", difference->key, difference->running,
         difference->next);
}

static void tell_errors(struct change_walk *walk, const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->kept; i++) {
        const char *headline = config_errors_at(errors, i)->headline;
        log_event(walk->shared->log, LOG_ERROR, "configuration error",
                  log_text("error", headline));
        tell(walk->report, "ERROR %s", headline);
    }
}

/* --- applying --------------------------------------------------------------------------------- */

/* The file wins: what `compressor set` had chosen since goes, and the log says so. */
static enum fp_status swap(struct shared *shared, const struct compressor_config *next)
{
    struct compressor_pool *pool = store_compressors(shared->store);
    struct compressor_config current;
    char from[COMPRESSOR_TEXT_BYTES], to[COMPRESSOR_TEXT_BYTES];
    compressor_pool_current(pool, &current);
    enum fp_status status = compressor_pool_swap(pool, next);
    if (status == FP_EXISTS) return FP_OK;
    if (status != FP_OK) return status;
    compressor_text(&current, from);
    compressor_text(next, to);
    log_event(shared->log, LOG_INFO, "compressor changes", log_text("from", from),
              log_text("to", to));
    return FP_OK;
}

/* A set changes its own key alone: what commands have changed since stays. */
static bool concerns(const struct change_walk *walk, const char *key)
{
    return walk->only == NULL || strncmp(walk->only, key, strlen(key)) == 0;
}

static void apply_settings(const struct change_walk *walk, const struct config *next)
{
    struct settings *settings = &walk->shared->settings;
    uint32_t compaction = atomic_load(&settings->compaction);
    uint32_t connections = atomic_load(&settings->max_connections);
    uint64_t mapped_total = atomic_load(&settings->session_mapped_total_max_bytes);
    settings_apply(settings, next);
    if (!concerns(walk, "storage.compaction=")) atomic_store(&settings->compaction, compaction);
    if (!concerns(walk, "session.mapped_total_max="))
        atomic_store(&settings->session_mapped_total_max_bytes, mapped_total);
    if (concerns(walk, "server.max_connections=") || concerns(walk, "server.reserved_connections="))
        descriptors_fit(settings, walk->shared->log);
    else
        atomic_store(&settings->max_connections, connections);
}

/* FP_BUSY: no compressor seat is free; everything is then as it was. */
static enum fp_status apply(const struct change_walk *walk, const struct config *next,
                            struct credentials_read *credentials)
{
    struct shared *shared = walk->shared;
    struct compressor_config compressor = reload_compressor(next);
    enum fp_status status = concerns(walk, "compressor.") ? swap(shared, &compressor) : FP_OK;
    if (status != FP_OK) return status;
    if (concerns(walk, "tls.") || concerns(walk, "auth.")) {
        credentials_log(credentials, shared->log);
        credentials_replace(&shared->credentials, credentials);
    }
    apply_settings(walk, next);
    log_configure(shared->log, next->log.level, next->log.format);
    memory_watermarks_set(shared->store, next);
    memory_spill_set(shared->store, next);
    tenancy_apply(shared, next);
    store_set_eviction(shared->store, next->storage.eviction == CONFIG_SWITCH_ON);
    store_set_refuses_poor(shared->store,
                           next->storage.incompressible == CONFIG_INCOMPRESSIBLE_REFUSE);
    return FP_OK;
}

static void replace_config(struct shared *shared, struct config **next)
{
    lock_take(&shared->config_lock);
    struct config *old = shared->config;
    shared->config = *next;
    *next = old;
    lock_drop(&shared->config_lock);
}

/* The files that the configuration names may have changed although it has not. */
static enum change apply_if_good(struct change_walk *walk, const struct config *next)
{
    struct shared *shared = walk->shared;
    struct credentials_read credentials;
    char why[CREDENTIALS_REASON_BYTES];
    if (!config_differences(shared->config, next, ignore_difference, NULL)) {
        if (walk->only != NULL)
            return refuse(walk->report, "it needs a restart: write it into the file");
        (void)config_differences(shared->config, next, tell_restart, walk);
        return refuse(walk->report, "some changes need a restart");
    }
    if (concerns(walk, "storage.memory_limit=") || concerns(walk, "storage.item_size_max=")) {
        const char *refusal = memory_limit_refusal(shared, next->storage.memory_limit_bytes,
                                                   next->storage.item_bytes_max);
        if (refusal != NULL) return refuse(walk->report, refusal);
    }
    const char *crowded = tenancy_refusal(shared, next);
    if (crowded != NULL) return refuse(walk->report, crowded);
    if (credentials_read(next, &credentials, why) != FP_OK) return refuse(walk->report, why);
    enum fp_status status = apply(walk, next, &credentials);
    credentials_drop(&credentials);
    if (status != FP_OK) return refuse(walk->report, fp_status_text(status));
    (void)config_differences(shared->config, next, tell_change, walk);
    return CHANGE_DONE;
}

/* Takes *next over, or destroys it. */
static enum change change_to(struct change_walk *walk, struct config **next)
{
    struct shared *shared = walk->shared;
    enum change done = apply_if_good(walk, *next);
    if (done == CHANGE_DONE) {
        replace_config(shared, next);
        if (concerns(walk, "storage.memory_limit="))
            memory_limit_set(shared, shared->config->storage.memory_limit_bytes,
                             walk->only != NULL ? "config set" : "reload");
    }
    config_destroy(next);
    return done;
}

/* --- the whole file --------------------------------------------------------------------------- */

static enum change load_and_change(struct change_walk *walk)
{
    const struct options *options = walk->shared->options;
    struct config_errors errors;
    struct config *next = NULL;
    config_errors_init(&errors);
    const struct config_sources sources = {options->config_path, options->sets,
                                           options->set_count, options->memory_limit_bytes};
    enum fp_status status = config_load_from(&sources, &next, &errors);
    tell_errors(walk, &errors);
    config_errors_fini(&errors);
    if (status == FP_NO_MEMORY) return refuse(walk->report, "out of memory");
    if (status != FP_OK) return refuse(walk->report, "the file has errors");
    return change_to(walk, &next);
}

void reload_note(struct shared *shared, bool good)
{
    struct reload_result *reloads = &shared->reloads;
    if (good) atomic_store(&reloads->good_ns, clock_unix_ns());
    else atomic_fetch_add(&reloads->refused, 1);
    atomic_store(&reloads->good, good);
}

static bool begin(struct shared *shared, struct change_report *report)
{
    report->changes = 0;
    report->refusal[0] = '\0';
    return atomic_load(&shared->started) && !atomic_exchange(&shared->changing, true);
}

enum change reload(struct shared *shared, struct change_report *report)
{
    struct change_walk walk = {shared, report, NULL};
    const char *path = shared->options->config_path;
    if (!begin(shared, report)) return CHANGE_BUSY;
    enum change done = load_and_change(&walk);
    atomic_fetch_add(&shared->reloads.count, 1);
    reload_note(shared, done == CHANGE_DONE);
    if (done == CHANGE_DONE)
        log_event(shared->log, LOG_INFO, "configuration reloaded",
                  log_text("file", path != NULL ? path : "none"),
                  log_number("changes", report->changes));
    else
        log_event(shared->log, LOG_ERROR, "reload refused: the running configuration stays",
                  log_text("reason", report->refusal));
    atomic_store(&shared->changing, false);
    return done;
}

/* --- one key ---------------------------------------------------------------------------------- */

/* What a client of that listener has to show. */
static bool asks_more(const struct config *running, const struct config *next, uint32_t i)
{
    bool certificate = next->tls.verify_clients == CONFIG_VERIFY_REQUIRED &&
                       running->tls.verify_clients != CONFIG_VERIFY_REQUIRED;
    bool login = config_wants_login(next, &next->listeners[i]) &&
                 !config_wants_login(running, &running->listeners[i]);
    return login || (certificate && next->listeners[i].tls == CONFIG_SWITCH_ON);
}

/* Whoever sets it might be the first whom it keeps out. */
static bool keeps_everybody_out(const struct config *running, const struct config *next)
{
    for (uint32_t i = 0; i < next->listeners_count; i++)
        if (next->listeners[i].protocol == CONFIG_MEMCACHED && !asks_more(running, next, i))
            return false;
    return true;
}

/* What the file forbids to clients is not theirs to allow. */
static bool is_switch(const char *pair)
{
    size_t size = strcspn(pair, "=");
    const char command[] = "_command", commands[] = "_commands";
    bool one = size > strlen(command) &&
               memcmp(pair + size - strlen(command), command, strlen(command)) == 0;
    bool many = size > strlen(commands) &&
                memcmp(pair + size - strlen(commands), commands, strlen(commands)) == 0;
    return one || many;
}

/* NULL, or why the value cannot be: more is used. */
static const char *limit_refusal(struct shared *shared, const struct config *next,
                                 char why[CREDENTIALS_REASON_BYTES])
{
    uint64_t open = atomic_load(&shared->conns.count);
    uint64_t mapped = atomic_load(&shared->maps.bytes);
    if (next->server.max_connections < open)
        snprintf(why, CREDENTIALS_REASON_BYTES,
                 "server.max_connections: %" PRIu64 " connections are open", open);
    else if (settings_mapped_total(next) < mapped)
        snprintf(why, CREDENTIALS_REASON_BYTES,
                 "session.mapped_total_max: %" PRIu64 " bytes are mapped", mapped);
    else return NULL;
    return why;
}

static enum change set_one(struct change_walk *walk, const char *pair)
{
    struct shared *shared = walk->shared;
    struct config_errors errors;
    struct config *next = NULL;
    char why[CREDENTIALS_REASON_BYTES];
    config_errors_init(&errors);
    enum fp_status status = config_change(shared->config, pair, &next, &errors);
    if (status == FP_INVALID && errors.kept > 0)
        refuse(walk->report, config_error_message(config_errors_at(&errors, 0)));
    config_errors_fini(&errors);
    if (status == FP_NO_MEMORY) return refuse(walk->report, "out of memory");
    if (status != FP_OK) return CHANGE_WRONG;
    const char *refusal = limit_refusal(shared, next, why);
    if (is_switch(pair)) refusal = "what clients may do is the file's to say: write it there";
    if (refusal == NULL && keeps_everybody_out(shared->config, next))
        refusal = "no listener would be left that lets in who shows no more than before; write it "
                  "into the file and reload";
    if (refusal == NULL) return change_to(walk, &next);
    config_destroy(&next);
    return refuse(walk->report, refusal);
}

enum change reload_set(struct shared *shared, const char *pair, struct change_report *report)
{
    struct change_walk walk = {shared, report, pair};
    if (!begin(shared, report)) return CHANGE_BUSY;
    enum change done = set_one(&walk, pair);
    if (done != CHANGE_DONE)
        log_event(shared->log, LOG_WARN, "config set refused", log_text("pair", pair),
                  log_text("reason", report->refusal));
    atomic_store(&shared->changing, false);
    return done;
}
