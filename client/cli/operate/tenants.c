/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who shares the server: what each holds and may hold, what it can count on, and what it has
 * borrowed. The server's own words for it are in `farpage stats tenants`. */
#include "client/cli/say/listing.h"

static const struct listing_column columns[] = {
    {"held", "bytes", SHOWN_SIZE, 8},
    {"quota", "quota_bytes", SHOWN_SIZE, 8},
    {"counts on", "guaranteed_bytes", SHOWN_SIZE, 9},
    {"borrowed", "borrowed_bytes", SHOWN_SIZE, 8},
    {"items", "items", SHOWN_COUNT, 9},
    {"pages", "pages", SHOWN_COUNT, 9},
    {"evicted", "evictions", SHOWN_COUNT, 9},
    {"refused", "over_quota", SHOWN_COUNT, 8},
};

static struct slice name_of(const struct table *table, size_t row, char room[LISTING_WHAT_BYTES])
{
    (void)room;
    return table->rows[row].name;
}

int cli_tenants(const struct cli *cli)
{
    static const struct listing tenants = {.section = "tenants",
                                           .none = "no tenants",
                                           .what_title = "tenant",
                                           .what = name_of,
                                           .columns = columns,
                                           .column_count = FP_COUNT_OF(columns)};
    return listing_run(cli, &tenants);
}
