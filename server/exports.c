/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an export: configured -> there until the server ends
 *                    asked for by a template's name -> made -(last connection closed)-> waits
 *                      -(a client comes back)-> used -(nobody did for its grace)-> gone, and its
 *                      area with it
 */
#include "server/exports.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum { IDENTITY_BOOT_BYTES = 8 }; /* of the boot id, which is random throughout */

void exports_init(struct exports *exports)
{
    *exports = (struct exports){.first = NULL};
    lock_init(&exports->lock, RANK_EXPORTS);
}

static void export_destroy(struct export *export, struct store *store)
{
    area_release(&export->area);
    budget_return(store_budget(store), BUDGET_CONNECTIONS, sizeof *export);
    free(export);
}

void exports_fini(struct exports *exports, struct store *store)
{
    fp_assert(exports->connections == 0);
    for (struct export *export = exports->first, *next; export != NULL; export = next) {
        next = export->next;
        export_destroy(export, store);
    }
    exports->first = NULL;
    free(exports->rules);
    exports->rules = NULL;
    lock_fini(&exports->lock);
}

/* --- making one ------------------------------------------------------------------------------- */

static void write_identity(const struct exports *exports, const struct area *area,
                           char identity[EXPORT_IDENTITY_BYTES])
{
    size_t used = 0;
    for (int i = 0; i < IDENTITY_BOOT_BYTES; i++)
        used += (size_t)snprintf(identity + used, 3, "%02x", exports->boot_id[i]);
    (void)snprintf(identity + used, EXPORT_IDENTITY_BYTES - used, ".%" PRIu64, area->generation);
}

/* The area may be there: as a configured one, or left behind by a template's that somebody else has
 * open still. */
static enum fp_status take_area(struct exports *exports, const struct config_export *rule,
                                const struct area_options *wanted, struct area **area)
{
    enum fp_status status = store_area_create(exports->store, wanted, area);
    if (status != FP_EXISTS || rule->lifetime == CONFIG_CONNECTION) return status;
    return store_area_acquire(exports->store, wanted->name, area);
}

static enum fp_status make_locked(struct exports *exports, const struct config_export *rule,
                                  struct slice name, struct export **out)
{
    bool template = config_export_is_template(rule);
    struct slice area_name = template ? name : slice_text(config_export_area(rule));
    struct area_options wanted = {.name = area_name,
                                  .slot_count = rule->size_bytes / rule->page_bytes,
                                  .page_bytes = (uint32_t)rule->page_bytes,
                                  .lifetime = template ? AREA_STAYS : AREA_CONFIGURED};
    struct budget *budget = store_budget(exports->store);
    lock_assert_held(&exports->lock);
    struct export *export = calloc(1, sizeof *export);
    if (export == NULL) return FP_NO_MEMORY;
    enum fp_status status = take_area(exports, rule, &wanted, &export->area);
    if (status != FP_OK) {
        free(export);
        return status;
    }
    budget_charge_anyway(budget, BUDGET_CONNECTIONS, sizeof *export);
    memcpy(export->name, name.bytes, name.size_bytes);
    export->rule = rule;
    write_identity(exports, export->area, export->identity);
    export->next = exports->first;
    exports->first = export;
    *out = export;
    return FP_OK;
}

enum fp_status exports_start(struct exports *exports, const struct exports_place *place,
                             const char **name)
{
    const struct config *config = place->config;
    exports->store = place->store;
    exports->openers = place->openers;
    exports->boot_id = place->boot_id;
    exports->rules = calloc(config->exports_count + 1, sizeof *exports->rules);
    *name = "exports";
    if (exports->rules == NULL) return FP_NO_MEMORY;
    enum fp_status status = FP_OK;
    lock_take(&exports->lock);
    for (uint32_t i = 0; i < config->exports_count && status == FP_OK; i++) {
        struct config_export *rule = &exports->rules[exports->rule_count++];
        struct export *made;
        *rule = config->exports[i];
        rule->page_bytes = config_export_page_bytes(config, rule);
        *name = rule->name;
        if (config_export_is_template(rule)) continue;
        status = make_locked(exports, rule, slice_text(rule->name), &made);
    }
    lock_drop(&exports->lock);
    return status;
}

/* --- finding one ------------------------------------------------------------------------------ */

static FP_PRINTF(2, 3) void say(char why[REFUSAL_BYTES_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, REFUSAL_BYTES_MAX, format, arguments);
    va_end(arguments);
}

struct wanted { /* what a client asked for */
    struct slice name;     /* without the identity */
    struct slice identity; /* empty: any */
};

static struct wanted wanted_of(struct slice text)
{
    const uint8_t *at = text.size_bytes > 0 ? memrchr(text.bytes, '@', text.size_bytes) : NULL;
    if (at == NULL) return (struct wanted){.name = text};
    size_t size = (size_t)(at - text.bytes);
    return (struct wanted){.name = slice_of(text.bytes, size),
                           .identity = slice_of(at + 1, text.size_bytes - size - 1)};
}

/* A client that names none means the only one there is. */
static const struct config_export *only_rule(const struct exports *exports)
{
    bool one = exports->rule_count == 1 && !config_export_is_template(exports->rules);
    return one ? exports->rules : NULL;
}

static struct export *find_locked(const struct exports *exports, struct slice name)
{
    lock_assert_held(&exports->lock);
    for (struct export *export = exports->first; export != NULL; export = export->next)
        if (slice_is(name, export->name)) return export;
    return NULL;
}

/* The template that makes exports of that name; the one whose stem is longest. */
static const struct config_export *template_of(const struct exports *exports, struct slice name)
{
    const struct config_export *found = NULL;
    size_t longest = 0;
    if (!frame_area_name_good(name)) return NULL;
    for (uint32_t i = 0; i < exports->rule_count; i++) {
        const struct config_export *rule = &exports->rules[i];
        size_t stem = strlen(rule->name) - 1;
        if (!config_export_is_template(rule) || stem < longest || name.size_bytes <= stem) continue;
        if (memcmp(rule->name, name.bytes, stem) != 0) continue;
        found = rule;
        longest = stem;
    }
    return found;
}

struct found { /* one or the other */
    struct export *export;
    const struct config_export *template;
    struct slice name;
};

static enum fp_status look_locked(const struct exports *exports, struct slice text,
                                  struct found *found, char why[REFUSAL_BYTES_MAX])
{
    struct wanted wanted = wanted_of(text);
    const struct config_export *only = only_rule(exports);
    int shown = (int)(wanted.name.size_bytes < AREA_NAME_BYTES_MAX ? wanted.name.size_bytes
                                                                    : AREA_NAME_BYTES_MAX);
    const char *name = (const char *)wanted.name.bytes;
    *found = (struct found){.name = wanted.name};
    if (wanted.name.size_bytes == 0 && only != NULL) found->name = slice_text(only->name);
    found->export = find_locked(exports, found->name);
    if (found->export == NULL) found->template = template_of(exports, found->name);
    bool other = found->export == NULL || !slice_is(wanted.identity, found->export->identity);
    if (wanted.identity.size_bytes > 0 && other) {
        say(why, "export '%.*s' is not the one it was: what that held is gone", shown, name);
        return FP_LOST;
    }
    if (found->export != NULL || found->template != NULL) return FP_OK;
    if (wanted.name.size_bytes == 0) say(why, "there are several exports: name one");
    else say(why, "there is no export '%.*s'", shown, name);
    return FP_ABSENT;
}

static void describe_rule(const struct config_export *rule, struct export_about *about)
{
    about->size_bytes = rule->size_bytes;
    about->page_bytes = (uint32_t)rule->page_bytes;
    about->read_only = rule->read_only == CONFIG_SWITCH_ON;
    memcpy(about->description, rule->description, sizeof about->description);
}

void export_describe(const struct export *export, struct export_about *about)
{
    *about = (struct export_about){.size_bytes = 0};
    memcpy(about->name, export->name, sizeof about->name);
    memcpy(about->identity, export->identity, sizeof about->identity);
    describe_rule(export->rule, about);
}

enum fp_status exports_describe(struct exports *exports, struct slice name,
                                struct export_about *about, char why[REFUSAL_BYTES_MAX])
{
    struct found found;
    lock_take(&exports->lock);
    enum fp_status status = look_locked(exports, name, &found, why);
    if (status == FP_OK && found.export != NULL) export_describe(found.export, about);
    lock_drop(&exports->lock);
    if (status != FP_OK || found.export != NULL) return status;
    *about = (struct export_about){.size_bytes = 0};
    memcpy(about->name, found.name.bytes, found.name.size_bytes);
    describe_rule(found.template, about);
    return FP_OK;
}

/* --- the end of what nobody uses -------------------------------------------------------------- */

/* Also what a frame client deleted the area of. */
static bool is_over(const struct export *export, uint64_t now_ns)
{
    if (export->rule->lifetime != CONFIG_CONNECTION || export->connections > 0) return false;
    if (area_deleted(export->area)) return true;
    return now_ns > export->idle_since_ns &&
           now_ns - export->idle_since_ns >= export->rule->grace_ns;
}

static void sweep_locked(struct exports *exports, uint64_t now_ns)
{
    lock_assert_held(&exports->lock);
    for (struct export **at = &exports->first; *at != NULL;) {
        struct export *export = *at;
        if (!is_over(export, now_ns) ||
            !openers_delete_unused(exports->openers, exports->store, export->area)) {
            at = &export->next;
            continue;
        }
        *at = export->next;
        export_destroy(export, exports->store);
    }
}

void exports_sweep(struct exports *exports, uint64_t now_ns)
{
    lock_take(&exports->lock);
    sweep_locked(exports, now_ns);
    lock_drop(&exports->lock);
}

/* --- use -------------------------------------------------------------------------------------- */

static uint32_t instances_locked(const struct exports *exports, const struct config_export *rule)
{
    uint32_t count = 0;
    for (const struct export *export = exports->first; export != NULL; export = export->next)
        count += export->rule == rule;
    return count;
}

static enum fp_status make_by_template_locked(struct exports *exports, struct found *found,
                                              char why[REFUSAL_BYTES_MAX])
{
    const struct config_export *rule = found->template;
    if (instances_locked(exports, rule) >= rule->instances_max) {
        say(why, "'%s' has made exports[].instances_max (%" PRIu32 ") of them already", rule->name,
            rule->instances_max);
        return FP_TOO_BIG;
    }
    enum fp_status status = make_locked(exports, rule, found->name, &found->export);
    if (status == FP_EXISTS) {
        say(why, "an area of that name is there, and is no export's");
        return FP_BUSY;
    }
    if (status == FP_TOO_BIG) say(why, "there are too many areas");
    return status;
}

enum fp_status exports_open(struct exports *exports, struct slice name, struct opener *opener,
                            struct export **out, char why[REFUSAL_BYTES_MAX])
{
    struct found found;
    lock_take(&exports->lock);
    sweep_locked(exports, clock_monotonic_ns());
    enum fp_status status = look_locked(exports, name, &found, why);
    if (status == FP_OK && found.export == NULL)
        status = make_by_template_locked(exports, &found, why);
    if (status == FP_OK) {
        const struct area *area = found.export->area;
        struct frame_open open = {.flags = FRAME_OPEN_SHARED | FRAME_OPEN_EXPECT,
                                  .name = slice_text(area->name),
                                  .generation = area->generation};
        memcpy(open.boot_id, exports->boot_id, sizeof open.boot_id);
        struct open_request request = {exports->store, &open, exports->boot_id};
        say(why, "the area of '%s' was deleted, or is elsewhere", found.export->name);
        status = openers_open(exports->openers, &request, opener, why);
    }
    if (status == FP_OK) {
        found.export->connections++;
        exports->connections++;
        *out = found.export;
    }
    lock_drop(&exports->lock);
    return status;
}

void exports_close(struct exports *exports, struct opener *opener, struct export **export,
                   uint64_t now_ns)
{
    lock_take(&exports->lock);
    openers_close(exports->openers, exports->store, opener);
    fp_assert((*export)->connections > 0);
    (*export)->connections--;
    exports->connections--;
    (*export)->idle_since_ns = now_ns;
    lock_drop(&exports->lock);
    *export = NULL;
}

void exports_each(struct exports *exports,
                  void (*each)(void *context, const struct export *export), void *context)
{
    lock_take(&exports->lock);
    for (const struct export *export = exports->first; export != NULL; export = export->next)
        each(context, export);
    lock_drop(&exports->lock);
}
