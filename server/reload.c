/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/reload.h"

#include "base/clock.h"
#include "server/descriptors.h"
#include "server/config/config_compare.h"
#include "server/memory_limit.h"
#include "codec/compressor_text.h"

struct compressor_config reload_compressor(const struct config *config)
{
    return (struct compressor_config){
        .algorithm = config_algorithm_name(config->compressor.algorithm),
        .level = config->compressor.level};
}

static void log_difference(void *opaque, const struct config_difference *difference)
{
    struct shared *shared = opaque;
    bool good = difference->reloadable;
    log_event(shared->log, good ? LOG_INFO : LOG_ERROR,
              good ? "configuration differs" : "this change needs a restart",
              log_text("key", difference->key), log_text("from", difference->running),
              log_text("to", difference->next));
}

static void log_errors(struct shared *shared, const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->kept; i++)
        log_event(shared->log, LOG_ERROR, "configuration error",
                  log_text("error", config_errors_at(errors, i)->headline));
}

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

/* FP_BUSY: no compressor seat is free; everything is then as it was. */
static enum fp_status apply(struct shared *shared, const struct config *next,
                            struct credentials_read *credentials)
{
    struct compressor_config compressor = reload_compressor(next);
    enum fp_status status = swap(shared, &compressor);
    if (status != FP_OK) return status;
    credentials_log(credentials, shared->log);
    credentials_replace(&shared->credentials, credentials);
    settings_apply(&shared->settings, next);
    descriptors_fit(&shared->settings, shared->log);
    log_configure(shared->log, next->log.level, next->log.format);
    memory_watermarks_set(shared->store, next);
    store_set_eviction(shared->store, next->storage.eviction == CONFIG_SWITCH_ON);
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
static const char *refusal_of(struct shared *shared, const struct config *next,
                              char why[CREDENTIALS_REASON_BYTES])
{
    struct credentials_read credentials;
    if (!config_differences(shared->config, next, log_difference, shared))
        return "some changes need a restart";
    const char *refusal = memory_limit_refusal(shared, next->storage.memory_limit_bytes,
                                               next->storage.item_bytes_max);
    if (refusal != NULL) return refusal;
    if (credentials_read(next, &credentials, why) != FP_OK) return why;
    enum fp_status status = apply(shared, next, &credentials);
    credentials_drop(&credentials);
    return status != FP_OK ? fp_status_text(status) : NULL;
}

static const char *try_reload(struct shared *shared, const struct options *options,
                              struct config_errors *errors, char why[CREDENTIALS_REASON_BYTES])
{
    struct config *next = NULL;
    enum fp_status status = config_load(options->config_path, options->sets, options->set_count,
                                        &next, errors);
    if (status == FP_NO_MEMORY) return "out of memory";
    if (status != FP_OK) return "the file has errors";
    const char *refused = refusal_of(shared, next, why);
    if (refused == NULL) {
        replace_config(shared, &next);
        memory_limit_set(shared, shared->config->storage.memory_limit_bytes, "reload");
    }
    config_destroy(&next);
    return refused;
}

void reload_note(struct shared *shared, bool good)
{
    struct reload_result *reloads = &shared->reloads;
    if (good) atomic_store(&reloads->good_ns, clock_unix_ns());
    else atomic_fetch_add(&reloads->refused, 1);
    atomic_store(&reloads->good, good);
}

void reload(struct shared *shared, const struct options *options)
{
    struct config_errors errors;
    char why[CREDENTIALS_REASON_BYTES];
    config_errors_init(&errors);
    const char *refused = try_reload(shared, options, &errors, why);
    log_errors(shared, &errors);
    config_errors_fini(&errors);
    atomic_fetch_add(&shared->reloads.count, 1);
    reload_note(shared, refused == NULL);
    if (refused == NULL)
        log_event(shared->log, LOG_INFO, "configuration reloaded",
                  log_text("file", options->config_path ? options->config_path : "none"));
    else
        log_event(shared->log, LOG_ERROR, "reload refused: the running configuration stays",
                  log_text("reason", refused));
}
