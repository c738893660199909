/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "server/stats/stats_internal.h"
#include "codec/compressor_text.h"

/* Seats that are neither current nor the stronger compressor's, and still have objects. */
static void emit_draining(struct shared *shared, const struct compressor_config *stronger,
                          const struct stats_sink *sink)
{
    uint64_t seats = 0, objects = 0;
    for (int id = 0; id < COMPRESSOR_SEATS; id++) {
        struct compressor_row row;
        compressor_row(store_compressors(shared->store), (uint8_t)id, &row);
        bool is_stronger = stronger != NULL && row.level == stronger->level &&
                           row.dictionary_id == 0 &&
                           strcmp(row.algorithm, stronger->algorithm) == 0;
        if (row.state != COMPRESSOR_DRAINING || row.objects == 0 || is_stronger) continue;
        seats++;
        objects += row.objects;
    }
    stats_number(sink, "draining_seats", seats);
    stats_number(sink, "draining_objects", objects);
}

static void emit_stronger(struct shared *shared, const struct stats_sink *sink)
{
    uint64_t setting_now = setting(&shared->settings.recompress_stronger);
    enum config_stronger algorithm = (enum config_stronger)(setting_now >> 32);
    char text[COMPRESSOR_TEXT_BYTES], wrong[COMPRESSOR_WRONG_BYTES];
    struct compressor_config given = {.algorithm = config_stronger_name(algorithm),
                                      .level = (int32_t)(uint32_t)setting_now};
    struct compressor_config stronger;
    if (algorithm == CONFIG_STRONGER_OFF) {
        stats_text(sink, "stronger", "off");
        emit_draining(shared, NULL, sink);
        return;
    }
    compressor_text(&given, text);
    bool known = compressor_parse(slice_text(text), &stronger, wrong) == FP_OK;
    if (known) compressor_text(&stronger, text); /* with its own level where none was given */
    stats_text(sink, "stronger", text);
    emit_draining(shared, known ? &stronger : NULL, sink);
}

void stats_recompress(struct shared *shared, const struct stats_sink *sink)
{
    const struct recompression *recompression = &shared->recompression;
    const struct settings *settings = &shared->settings;
    bool automatic = atomic_load(&settings->recompress_draining) == CONFIG_DRAINING_AUTO;
    stats_text(sink, "state", recompression_state(recompression));
    stats_text(sink, "run", recompression_run_name(atomic_load(&recompression->run)));
    stats_text(sink, "last", recompression_end_name(atomic_load(&recompression->end)));
    stats_number(sink, "progress_percent", recompression_percent(recompression));
    stats_number(sink, "run_to_look", atomic_load(&recompression->to_look));
    stats_number(sink, "run_looked", atomic_load(&recompression->looked));
    stats_number(sink, "seconds_left", recompression_seconds_left(recompression));
#define X(name, text) stats_number(sink, #name, atomic_load(&recompression->counts.name));
    RECOMPRESS_COUNTS(X)
#undef X
    stats_text(sink, "draining", automatic ? "auto" : "manual");
    stats_number(sink, "duty_percent", atomic_load(&settings->recompress_duty_percent));
    emit_stronger(shared, sink);
}
