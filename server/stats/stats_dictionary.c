/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `stats dictionaries`: what each area has, and what came of training it. */
#include <stdio.h>

#include "base/clock.h"
#include "server/jobs/trainer.h"
#include "server/stats/stats_internal.h"
#include "storage/store/page/store_area.h"
#include "storage/store/store_dictionary.h"

static void emit_dictionary(const struct stats_sink *sink, const struct training *training,
                            const struct store_dictionary *look)
{
    char text[32];
    stats_text(sink, "state", training_state_text(training->state));
    stats_number(sink, "id", look->id);
    stats_number(sink, "bytes", look->bytes);
    stats_text(sink, "packs", look->packs ? "yes" : "no");
    snprintf(text, sizeof text, "%.1f", training->gain_percent);
    stats_text(sink, "gain_percent", text);
    stats_number(sink, "pages_sampled", training->pages);
    stats_number(sink, "age_s", (clock_monotonic_ns() - training->changed_ns) / 1000000000);
    stats_text(sink, "reason", training->reason[0] != '\0' ? training->reason : "-");
}

void stats_dictionaries(struct shared *shared, const struct stats_sink *outer)
{
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL) {
        struct training training;
        struct store_dictionary look;
        char prefix[AREA_NAME_CAPACITY + 1];
        trainer_look(shared->trainer, area, &training);
        store_dictionary_look(shared->store, area, &look);
        if (training.state == TRAINING_NONE) continue;
        snprintf(prefix, sizeof prefix, "%s:", area->name);
        struct stats_sink sink = {outer->emit, outer->context, prefix};
        emit_dictionary(&sink, &training, &look);
    }
}
