/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who belongs to a tenant, and tenants that do not go together with each other or with memory. */
#include <inttypes.h>
#include <string.h>

#include "base/number.h"
#include "server/config/config_build.h"

/* In the order of config_table_areas.h. */
enum tenant_row { ROW_NAME, ROW_MEMBERS, ROW_QUOTA_BYTES, ROW_QUOTA_PAGES, ROW_GUARANTEED };

/* --- members ---------------------------------------------------------------------------------- */

static bool is_number(struct slice text)
{
    uint64_t number;
    return number_wire_u64(text, &number) && number < UINT32_MAX;
}

static bool read_member(struct slice word, struct config_member *member)
{
    static const struct {
        const char *prefix;
        enum config_member_kind kind;
    } kinds[] = {{"user:", MEMBER_USER}, {"uid:", MEMBER_UID}, {"cert:", MEMBER_CERTIFICATE}};
    for (size_t i = 0; i < FP_COUNT_OF(kinds); i++) {
        size_t size = strlen(kinds[i].prefix);
        if (word.size_bytes <= size || memcmp(word.bytes, kinds[i].prefix, size) != 0) continue;
        *member = (struct config_member){kinds[i].kind,
                                         slice_of(word.bytes + size, word.size_bytes - size)};
        return member->kind != MEMBER_UID || is_number(member->name);
    }
    return false;
}

bool config_member_next(struct slice *members, struct config_member *member, struct slice *wrong)
{
    const uint8_t *at = members->bytes, *end = at + members->size_bytes;
    while (at < end && *at == ' ') at++;
    const uint8_t *begin = at;
    while (at < end && *at != ' ') at++;
    struct slice word = slice_of(begin, (size_t)(at - begin));
    *members = slice_of(at, (size_t)(end - at));
    *wrong = slice_of("", 0);
    if (word.size_bytes == 0) return false;
    if (read_member(word, member)) return true;
    *wrong = word;
    return false;
}

bool config_tenant_has(const struct config_tenant *tenant, const struct config_member *wanted)
{
    struct slice rest = slice_text(tenant->members), wrong;
    struct config_member member;
    while (config_member_next(&rest, &member, &wrong))
        if (member.kind == wanted->kind && slice_equal(member.name, wanted->name)) return true;
    return false;
}

/* --- checks ----------------------------------------------------------------------------------- */

static bool is_bad(const struct config_tenant *tenant, enum tenant_row row)
{
    return tenant->item.origins[row].bad;
}

static void complain(struct config_build *build, uint32_t i, enum tenant_row row, const char *key,
                     const char *why)
{
    struct config_place place = config_place_in_item(build, &build->config->tenants[i].item, row);
    config_error_add(build->errors, place, "tenants[%" PRIu32 "].%s: %s", i, key, why);
}

static void check_name(struct config_build *build, uint32_t i)
{
    const struct config_tenant *tenants = build->config->tenants;
    char why[160];
    for (uint32_t k = 0; k < i; k++) {
        if (is_bad(&tenants[i], ROW_NAME) || is_bad(&tenants[k], ROW_NAME)) continue;
        if (strcmp(tenants[i].name, tenants[k].name) != 0) continue;
        snprintf(why, sizeof why, "\"%s\" is tenants[%" PRIu32 "]'s already", tenants[i].name, k);
        complain(build, i, ROW_NAME, "name", why);
        return;
    }
}

/* The tenant before it that has the same member; i: none. */
static uint32_t who_has(const struct config *config, uint32_t i,
                        const struct config_member *member)
{
    uint32_t k = 0;
    while (k < i && !config_tenant_has(&config->tenants[k], member)) k++;
    return k;
}

static void check_members(struct config_build *build, uint32_t i)
{
    const struct config_tenant *tenant = &build->config->tenants[i];
    struct slice rest = slice_text(tenant->members), wrong;
    struct config_member member;
    char why[400];
    if (is_bad(tenant, ROW_MEMBERS) || is_bad(tenant, ROW_NAME)) return;
    bool others = strcmp(tenant->name, CONFIG_TENANT_DEFAULT) == 0;
    if (others && rest.size_bytes > 0)
        complain(build, i, ROW_MEMBERS, "members", "whoever is in no other is in \"default\"");
    while (config_member_next(&rest, &member, &wrong)) {
        uint32_t k = who_has(build->config, i, &member);
        if (k == i) continue;
        snprintf(why, sizeof why, "'%.*s' is in tenants[%" PRIu32 "] already",
                 (int)member.name.size_bytes, (const char *)member.name.bytes, k);
        complain(build, i, ROW_MEMBERS, "members", why);
    }
    if (wrong.size_bytes == 0) return;
    snprintf(why, sizeof why, "'%.*s' is none of user:NAME, uid:NUMBER and cert:NAME",
             (int)wrong.size_bytes, (const char *)wrong.bytes);
    complain(build, i, ROW_MEMBERS, "members", why);
}

static void check_guarantee(struct config_build *build, uint32_t i)
{
    const struct config_tenant *tenant = &build->config->tenants[i];
    if (is_bad(tenant, ROW_GUARANTEED) || is_bad(tenant, ROW_QUOTA_BYTES)) return;
    if (tenant->quota_bytes == 0 || tenant->guaranteed_bytes <= tenant->quota_bytes) return;
    complain(build, i, ROW_GUARANTEED, "guaranteed", "it is more than its quota_bytes");
}

/* What all can count on must be there. */
static void check_sum(struct config_build *build)
{
    const struct config *config = build->config;
    uint64_t sum = 0, limit = config->storage.memory_limit_bytes;
    uint64_t most = limit / 100 * CONFIG_GUARANTEED_PERCENT;
    if (config_origin_of(config, "storage.memory_limit")->bad) return;
    for (uint32_t i = 0; i < config->tenants_count; i++) {
        char why[160], most_text[NUMBER_TEXT_BYTES];
        if (is_bad(&config->tenants[i], ROW_GUARANTEED)) continue;
        sum += config->tenants[i].guaranteed_bytes;
        if (sum <= most) continue;
        number_size_short(most, most_text);
        snprintf(why, sizeof why,
                 "with those before it more than %d %% of storage.memory_limit (%s)",
                 CONFIG_GUARANTEED_PERCENT, most_text);
        complain(build, i, ROW_GUARANTEED, "guaranteed", why);
        return;
    }
}

bool config_knows_tenant(const struct config *config, const char *name)
{
    if (name[0] == '\0' || strcmp(name, CONFIG_TENANT_DEFAULT) == 0) return true;
    for (uint32_t i = 0; i < config->tenants_count; i++)
        if (strcmp(config->tenants[i].name, name) == 0) return true;
    return false;
}

void config_check_tenants(struct config_build *build)
{
    for (uint32_t i = 0; i < build->config->tenants_count; i++) {
        check_name(build, i);
        check_members(build, i);
        check_guarantee(build, i);
    }
    check_sum(build);
}
