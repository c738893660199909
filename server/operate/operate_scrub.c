/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `scrub`: how the job goes, start, stop. The thread that does it hears of it within milliseconds;
 * nobody waits here. */
#include <inttypes.h>

#include "server/operate/operate.h"

#include "protocol/request.h"

#define USAGE "scrub [start | stop | status]"

static enum operate show(const struct scrub *scrub, struct answer *answer)
{
    operate_say(answer, "SCRUB %s %u%%, %" PRIu64 " damaged", scrub_state(scrub),
                scrub_percent(scrub), atomic_load(&scrub->damaged));
    return OPERATE_DONE;
}

enum operate operate_scrub(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct scrub *scrub = &shared->scrub;
    struct slice word, more;
    if (!request_next_word(&rest, &word)) return show(scrub, answer);
    if (request_next_word(&rest, &more))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (slice_is(word, "status")) return show(scrub, answer);
    if (slice_is(word, "start")) scrub_start(scrub);
    else if (!slice_is(word, "stop"))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    else if (!scrub_stop(scrub))
        return operate_refuse(answer, OPERATE_FAILED, "nothing runs that could be stopped");
    operate_say(answer, "OK");
    return OPERATE_DONE;
}
