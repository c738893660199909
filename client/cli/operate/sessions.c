/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who is connected: since when, from where, what went in and out, and what he has open. The
 * server's own words for it are in `farpage stats sessions`. */
#include "client/cli/say/listing.h"

static const struct listing_column columns[] = {
    {"age", "age_ms", SHOWN_MS, 8},            {"idle", "idle_ms", SHOWN_MS, 8},
    {"in", "bytes_in", SHOWN_SIZE, 8},         {"out", "bytes_out", SHOWN_SIZE, 8},
    {"areas", "areas", SHOWN_COUNT, 5},        {"maps", "maps", SHOWN_COUNT, 5},
    {"mapped", "mapped_bytes", SHOWN_SIZE, 8}, {"oldest", "oldest_map_ms", SHOWN_MS, 8},
};

static struct slice peer_of(const struct table *table, size_t row, char room[LISTING_WHAT_BYTES])
{
    (void)room;
    return listing_cell(table, row, "peer");
}

int cli_sessions(const struct cli *cli)
{
    static const struct listing sessions = {.section = "sessions",
                                            .none = "no sessions",
                                            .what_title = "peer",
                                            .what = peer_of,
                                            .columns = columns,
                                            .column_count = FP_COUNT_OF(columns)};
    return listing_run(cli, &sessions);
}
