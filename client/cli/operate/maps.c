/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is mapped, by whom, and for how long. The server's own words for it are in `farpage stats
 * maps`. */
#include <stdio.h>

#include "client/cli/say/listing.h"

static const struct listing_column columns[] = {
    {"mode", "mode", SHOWN_TEXT, 4},
    {"bytes", "bytes", SHOWN_SIZE, 8},
    {"mapped", "secs_mapped", SHOWN_SECONDS, 8},
    {"unused", "secs_unused", SHOWN_SECONDS, 8},
    {"lease", "lease_left", SHOWN_SECONDS, 8},
    {"conn", "conn", SHOWN_COUNT, 5},
    {"id", "id", SHOWN_COUNT, 5},
};

/* The key of an item; of a page its area and slot. */
static struct slice what(const struct table *table, size_t row, char room[LISTING_WHAT_BYTES])
{
    struct slice kind = listing_cell(table, row, "kind");
    if (!slice_is(kind, "page")) return listing_cell(table, row, "key");
    struct slice area = listing_cell(table, row, "area"), slot = listing_cell(table, row, "slot");
    int size = snprintf(room, LISTING_WHAT_BYTES, "%.*s %.*s", (int)area.size_bytes,
                        (const char *)area.bytes, (int)slot.size_bytes,
                        (const char *)slot.bytes);
    return slice_of(room, (size_t)size);
}

int cli_maps(const struct cli *cli)
{
    static const struct listing maps = {.section = "maps",
                                        .none = "nothing is mapped",
                                        .what_title = "key, or area and slot",
                                        .what = what,
                                        .columns = columns,
                                        .column_count = FP_COUNT_OF(columns)};
    return listing_run(cli, &maps);
}
