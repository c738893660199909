/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an export: configured -> there until the server ends
 *                    asked for by a template's name -> made -(last connection closed)-> waits
 *                      -(a client comes back)-> used -(nobody did for its grace)-> gone, and its
 *                      area with it
 */
#include "server/exports/exports.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum {
    IDENTITY_BOOT_BYTES = (HANDOUT_BOOT_BYTES - 1) / 2, /* of the boot id, random throughout */
    SWEPT_AT_ONCE = 8,
};

void exports_init(struct exports *exports)
{
    *exports = (struct exports){.first = NULL};
    lock_init(&exports->lock, RANK_EXPORTS);
    handouts_init(&exports->handouts);
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
    handouts_fini(&exports->handouts);
    lock_fini(&exports->lock);
}

/* --- making one ------------------------------------------------------------------------------- */

static void write_boot(const struct exports *exports, char boot[HANDOUT_BOOT_BYTES])
{
    for (int i = 0; i < IDENTITY_BOOT_BYTES; i++)
        (void)snprintf(boot + 2 * i, 3, "%02x", exports->boot_id[i]);
}

static void write_identity(const struct exports *exports, const struct area *area,
                           char identity[EXPORT_IDENTITY_BYTES])
{
    char boot[HANDOUT_BOOT_BYTES];
    write_boot(exports, boot);
    (void)snprintf(identity, EXPORT_IDENTITY_BYTES, "%s.%" PRIu64, boot, area->generation);
}

/* The area may be there: as a configured one, or left behind by a template's that somebody else has
 * open still. */
static enum fp_status take_area(struct exports *exports, const struct config_export *rule,
                                const struct area_options *wanted, struct area **area)
{
    enum fp_status status = store_area_create(exports->store, wanted, area);
    if (status != FP_EXISTS || rule->lifetime == CONFIG_CONNECTION) return status;
    status = store_area_acquire(exports->store, wanted->name, area);
    if (status != FP_OK) return status;
    /* A client may have made one of that name between the end of an export and its renewal. */
    bool alike = (*area)->slot_count == wanted->slot_count &&
                 (*area)->page_bytes == wanted->page_bytes;
    if (!alike) area_release(area);
    else if (wanted->lifetime == AREA_CONFIGURED) (*area)->lifetime = AREA_CONFIGURED;
    return alike ? FP_OK : FP_EXISTS;
}

/* `before`: the area that it is to be like; NULL: there was none. */
static enum fp_status make_locked(struct exports *exports, const struct config_export *rule,
                                  struct slice name, const struct area *before,
                                  struct export **out)
{
    bool template = config_export_is_template(rule);
    struct slice area_name = template ? name : slice_text(config_export_area(rule));
    struct area_options wanted = {.name = area_name,
                                  .slot_count = rule->size_bytes / rule->page_bytes,
                                  .page_bytes = (uint32_t)rule->page_bytes,
                                  .tenant = exports->tenants[rule - exports->rules],
                                  .lifetime = template ? AREA_STAYS : AREA_CONFIGURED};
    struct budget *budget = store_budget(exports->store);
    if (before != NULL) wanted.quota_pages = before->quota_pages;
    if (before != NULL) wanted.quota_bytes = before->quota_bytes;
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

static enum fp_status make_configured_locked(struct exports *exports, const struct config *config,
                                             char reason[EXPORTS_REASON_BYTES])
{
    enum fp_status status = FP_OK;
    lock_assert_held(&exports->lock);
    for (uint32_t i = 0; i < config->exports_count && status == FP_OK; i++) {
        struct config_export *rule = &exports->rules[exports->rule_count++];
        struct export *made;
        *rule = config->exports[i];
        fp_assert(rule->tenant[0] == '\0' ||
                  tenants_find(store_tenants(exports->store), slice_text(rule->tenant),
                               &exports->tenants[i]));
        rule->page_bytes = config_export_page_bytes(config, rule);
        if (config_export_is_template(rule)) continue;
        status = make_locked(exports, rule, slice_text(rule->name), NULL, &made);
        if (status == FP_OK && made->area->generation <= exports->last_generation)
            handouts_found(&exports->handouts, slice_text(rule->name));
        if (status == FP_EXISTS)
            (void)snprintf(reason, EXPORTS_REASON_BYTES, "%s: its area is there already, with "
                           "another size; give exports[].size as it was", rule->name);
        else if (status != FP_OK)
            (void)snprintf(reason, EXPORTS_REASON_BYTES, "%s: %s", rule->name,
                           fp_status_text(status));
    }
    return status;
}

enum fp_status exports_start(struct exports *exports, const struct exports_place *place,
                             char reason[EXPORTS_REASON_BYTES])
{
    const struct config *config = place->config;
    char boot[HANDOUT_BOOT_BYTES], why[HANDOUTS_REASON_BYTES];
    exports->store = place->store;
    exports->openers = place->openers;
    exports->boot_id = place->boot_id;
    exports->last_generation = place->last_generation;
    exports->rules = calloc(config->exports_count + 1, sizeof *exports->rules);
    (void)snprintf(reason, EXPORTS_REASON_BYTES, "out of memory");
    if (exports->rules == NULL) return FP_NO_MEMORY;
    write_boot(exports, boot);
    if (config->storage.state_dir[0] != '\0') {
        enum fp_status opened = handouts_open(&exports->handouts, store_budget(exports->store),
                                              config->storage.state_dir, boot, why);
        if (opened != FP_OK) {
            (void)snprintf(reason, EXPORTS_REASON_BYTES, "storage.state_dir: %s", why);
            return opened;
        }
    }
    lock_take(&exports->lock);
    enum fp_status status = make_configured_locked(exports, config, reason);
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
    bool by_identity;
};

static const struct config_export *rule_of(const struct found *found)
{
    return found->export != NULL ? found->export->rule : found->template;
}

static enum fp_status refuse_lost(struct exports *exports, const struct found *found,
                                  char why[REFUSAL_BYTES_MAX])
{
    char was[HANDOUT_BOOT_BYTES];
    int size = (int)found->name.size_bytes;
    if (found->by_identity || rule_of(found)->recreate == CONFIG_RECREATE_ALWAYS) return FP_OK;
    if (!handouts_lost(&exports->handouts, found->name, was)) return FP_OK;
    say(why, "export '%.*s' was lost when the server was started anew (it was of boot %s); "
             "'farpage export recreate %.*s' makes it again, empty", size,
        (const char *)found->name.bytes, was, size, (const char *)found->name.bytes);
    return FP_LOST;
}

static enum fp_status look_locked(struct exports *exports, struct slice text,
                                  struct found *found, char why[REFUSAL_BYTES_MAX])
{
    struct wanted wanted = wanted_of(text);
    const struct config_export *only = only_rule(exports);
    int shown = (int)(wanted.name.size_bytes < AREA_NAME_BYTES_MAX ? wanted.name.size_bytes
                                                                    : AREA_NAME_BYTES_MAX);
    const char *name = (const char *)wanted.name.bytes;
    *found = (struct found){.name = wanted.name, .by_identity = wanted.identity.size_bytes > 0};
    if (wanted.name.size_bytes == 0 && only != NULL) found->name = slice_text(only->name);
    found->export = find_locked(exports, found->name);
    if (found->export == NULL) found->template = template_of(exports, found->name);
    bool other = found->export == NULL || !slice_is(wanted.identity, found->export->identity);
    if (found->by_identity && other) {
        say(why, "export '%.*s' is not the one it was: what that held is gone", shown, name);
        return FP_LOST;
    }
    if (rule_of(found) != NULL) return refuse_lost(exports, found, why);
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

void exports_about(struct exports *exports, const struct export *export,
                   struct export_about *about)
{
    *about = (struct export_about){.size_bytes = 0};
    memcpy(about->name, export->name, sizeof about->name);
    memcpy(about->identity, export->identity, sizeof about->identity);
    describe_rule(export->rule, about);
    about->lost = export->rule->recreate == CONFIG_RECREATE_ASKED &&
                  handouts_lost(&exports->handouts, slice_text(export->name), NULL);
}

enum fp_status exports_describe(struct exports *exports, struct slice name,
                                struct export_about *about, char why[REFUSAL_BYTES_MAX])
{
    struct found found;
    lock_take(&exports->lock);
    enum fp_status status = look_locked(exports, name, &found, why);
    if (status == FP_OK && found.export != NULL) exports_about(exports, found.export, about);
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

/* Takes what is over out; *numbers is what is to be forgotten of it. Returns how many those are. */
static unsigned sweep_locked(struct exports *exports, uint64_t now_ns,
                             uint64_t numbers[SWEPT_AT_ONCE])
{
    unsigned swept = 0;
    lock_assert_held(&exports->lock);
    for (struct export **at = &exports->first; *at != NULL && swept < SWEPT_AT_ONCE;) {
        struct export *export = *at;
        if (!is_over(export, now_ns) ||
            !openers_delete_unused(exports->openers, exports->store, export->area)) {
            at = &export->next;
            continue;
        }
        numbers[swept++] = handouts_drop(&exports->handouts, slice_text(export->name));
        *at = export->next;
        export_destroy(export, exports->store);
    }
    return swept;
}

static void forget(struct exports *exports, const uint64_t *numbers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) (void)handouts_forget(&exports->handouts, numbers[i]);
}

void exports_sweep(struct exports *exports, uint64_t now_ns)
{
    uint64_t numbers[SWEPT_AT_ONCE];
    lock_take(&exports->lock);
    unsigned swept = sweep_locked(exports, now_ns, numbers);
    lock_drop(&exports->lock);
    forget(exports, numbers, swept);
    handouts_trim(&exports->handouts);
}

void exports_stop(struct exports *exports)
{
    for (const struct export *export = exports->first; export != NULL; export = export->next) {
        struct slice name = slice_text(export->name);
        bool empty = atomic_load(&export->area->counters.stored) == 0;
        if (!empty || handouts_lost(&exports->handouts, name, NULL)) continue;
        uint64_t number = handouts_drop(&exports->handouts, name);
        forget(exports, &number, 1);
    }
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
    enum fp_status status = make_locked(exports, rule, found->name, NULL, &found->export);
    if (status == FP_EXISTS) {
        say(why, "an area of that name is there, and is no export's");
        return FP_BUSY;
    }
    if (status == FP_TOO_BIG) say(why, "there are too many areas");
    return status;
}

/* Finds it, or makes it, and counts the caller as a connection: so it stays, whatever follows. */
static enum fp_status hold_locked(struct exports *exports, struct slice name, struct found *found,
                                  char why[REFUSAL_BYTES_MAX])
{
    lock_assert_held(&exports->lock);
    enum fp_status status = look_locked(exports, name, found, why);
    if (status == FP_OK && found->export == NULL)
        status = make_by_template_locked(exports, found, why);
    if (status != FP_OK) return status;
    found->export->connections++;
    exports->connections++;
    return FP_OK;
}

static void let_go_locked(struct exports *exports, struct export *export, uint64_t now_ns)
{
    lock_assert_held(&exports->lock);
    fp_assert(export->connections > 0);
    export->connections--;
    exports->connections--;
    export->idle_since_ns = now_ns;
}

static enum fp_status open_area(struct exports *exports, const struct export *export,
                                struct opener *opener, char why[REFUSAL_BYTES_MAX])
{
    const struct area *area = export->area;
    struct frame_open open = {.flags = FRAME_OPEN_SHARED | FRAME_OPEN_EXPECT,
                              .name = slice_text(area->name),
                              .generation = area->generation};
    memcpy(open.boot_id, exports->boot_id, sizeof open.boot_id);
    struct open_request request = {exports->store, &open, exports->boot_id};
    say(why, "the area of '%s' was deleted, or is elsewhere", export->name);
    return openers_open(exports->openers, &request, opener, why);
}

/* Before it is handed out by its plain name. What cannot be made is not noted, and what is held is
 * not swept with its note: so there are no more notes than exports, however many names are asked
 * for. */
static enum fp_status note(struct exports *exports, const struct found *found,
                           char why[REFUSAL_BYTES_MAX])
{
    const struct export *export = found->export;
    char reason[HANDOUTS_REASON_BYTES] = "";
    if (found->by_identity || export->rule->recreate != CONFIG_RECREATE_ASKED ||
        export->rule->read_only == CONFIG_SWITCH_ON)
        return FP_OK;
    enum fp_status status =
        handouts_note(&exports->handouts, slice_text(export->name), reason);
    if (status != FP_OK) say(why, "%s", reason);
    return status;
}

enum fp_status exports_open(struct exports *exports, struct slice name, struct opener *opener,
                            struct export **out, char why[REFUSAL_BYTES_MAX])
{
    struct found found;
    exports_sweep(exports, clock_monotonic_ns());
    lock_take(&exports->lock);
    enum fp_status status = hold_locked(exports, name, &found, why);
    lock_drop(&exports->lock);
    if (status != FP_OK) return status;
    status = note(exports, &found, why);
    lock_take(&exports->lock);
    if (status == FP_OK) status = open_area(exports, found.export, opener, why);
    if (status == FP_OK) *out = found.export;
    else let_go_locked(exports, found.export, clock_monotonic_ns());
    lock_drop(&exports->lock);
    return status;
}

void exports_close(struct exports *exports, struct opener *opener, struct export **export,
                   uint64_t now_ns)
{
    lock_take(&exports->lock);
    openers_close(exports->openers, exports->store, opener);
    let_go_locked(exports, *export, now_ns);
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

uint32_t exports_connections(struct exports *exports)
{
    lock_take(&exports->lock);
    uint32_t count = exports->connections;
    lock_drop(&exports->lock);
    return count;
}

/* --- from the run before ---------------------------------------------------------------------- */

static bool is_made_by(const struct config_export *rule, const struct area *area,
                       uint64_t last_generation)
{
    return area->generation <= last_generation && area->page_bytes == rule->page_bytes &&
           area->slot_count == rule->size_bytes / rule->page_bytes;
}

static enum fp_status come_back_locked(struct exports *exports, struct slice name, uint64_t now_ns)
{
    const struct config_export *rule = template_of(exports, name);
    struct area *area;
    lock_assert_held(&exports->lock);
    if (rule == NULL || store_area_acquire(exports->store, name, &area) != FP_OK) return FP_ABSENT;
    if (!is_made_by(rule, area, exports->last_generation)) {
        area_release(&area);
        return FP_ABSENT;
    }
    struct export *export = calloc(1, sizeof *export);
    if (export == NULL) {
        area_release(&area);
        return FP_NO_MEMORY;
    }
    *export = (struct export){
        .rule = rule, .area = area, .idle_since_ns = now_ns, .next = exports->first};
    budget_charge_anyway(store_budget(exports->store), BUDGET_CONNECTIONS, sizeof *export);
    memcpy(export->name, name.bytes, name.size_bytes);
    write_identity(exports, area, export->identity);
    exports->first = export;
    handouts_found(&exports->handouts, name);
    return FP_OK;
}

enum fp_status exports_come_back(struct exports *exports, struct slice name, uint64_t now_ns)
{
    lock_take(&exports->lock);
    enum fp_status status = come_back_locked(exports, name, now_ns);
    lock_drop(&exports->lock);
    return status;
}

void exports_each_made(struct exports *exports, void (*each)(void *context, const char *name),
                       void *context)
{
    lock_take(&exports->lock);
    for (const struct export *export = exports->first; export != NULL; export = export->next)
        if (config_export_is_template(export->rule)) each(context, export->name);
    lock_drop(&exports->lock);
}

/* --- anew ------------------------------------------------------------------------------------- */

static bool shares_its_area(const struct exports *exports, const struct export *export)
{
    for (const struct export *other = exports->first; other != NULL; other = other->next)
        if (other != export && other->area == export->area) return true;
    return false;
}

/* The same export with an area that was never written to. */
static enum fp_status renew_locked(struct exports *exports, struct export *export,
                                   char why[REFUSAL_BYTES_MAX])
{
    struct export *renewed = NULL, **at = &exports->first;
    lock_assert_held(&exports->lock);
    if (shares_its_area(exports, export)) {
        say(why, "another export shows the area of '%s'", export->name);
        return FP_BUSY;
    }
    if (export->connections > 0 ||
        !openers_delete_unused(exports->openers, exports->store, export->area)) {
        say(why, "export '%s' is in use (stats areas shows by whom)", export->name);
        return FP_BUSY;
    }
    while (*at != export) at = &(*at)->next;
    *at = export->next;
    enum fp_status status = make_locked(exports, export->rule, slice_text(export->name),
                                        export->area, &renewed);
    if (status == FP_OK) {
        export_destroy(export, exports->store);
    } else { /* it stays, and refuses: its area is deleted */
        export->next = exports->first;
        exports->first = export;
    }
    return status;
}

enum fp_status exports_recreate(struct exports *exports, struct slice name,
                                char why[REFUSAL_BYTES_MAX])
{
    uint64_t number = 0;
    lock_take(&exports->lock);
    struct export *export = find_locked(exports, name);
    bool lost = handouts_lost(&exports->handouts, name, NULL);
    enum fp_status status = FP_OK;
    if (export == NULL && !lost) {
        say(why, "there is no export of that name; 'farpage stats exports' lists them");
        status = FP_ABSENT;
    } else if (!lost) {
        status = renew_locked(exports, export, why);
    }
    if (status == FP_OK) number = handouts_drop(&exports->handouts, name);
    lock_drop(&exports->lock);
    if (handouts_forget(&exports->handouts, number) == FP_OK) return status;
    say(why, "it is made anew, but that cannot be noted in storage.state_dir");
    return FP_IO;
}
