/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `recompress`: how the job goes, and start, pause, resume, cancel. The thread that does it hears
 * of it within milliseconds; nobody waits here. */
#include "server/operate/operate.h"

#include "protocol/request.h"

#define USAGE "recompress [start | pause | resume | cancel]"

static enum operate show(const struct recompression *recompression, struct answer *answer)
{
    operate_say(answer, "RECOMPRESS %s %u%%", recompression_state(recompression),
                recompression_percent(recompression));
    return OPERATE_DONE;
}

static enum operate start(struct recompression *recompression, struct answer *answer)
{
    if (recompression_start(recompression) != RECOMPRESSION_OK)
        return operate_refuse(answer, OPERATE_FAILED, "it is paused: say recompress resume first");
    operate_say(answer, "OK");
    return OPERATE_DONE;
}

static enum operate cancel(struct recompression *recompression, struct answer *answer)
{
    if (recompression_cancel(recompression) != RECOMPRESSION_OK)
        return operate_refuse(answer, OPERATE_FAILED, "nothing runs that could be cancelled");
    operate_say(answer, "OK");
    return OPERATE_DONE;
}

enum operate operate_recompress(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct recompression *recompression = &shared->recompression;
    struct slice word, more;
    if (!request_next_word(&rest, &word)) return show(recompression, answer);
    if (request_next_word(&rest, &more))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (slice_is(word, "start")) return start(recompression, answer);
    if (slice_is(word, "cancel")) return cancel(recompression, answer);
    if (slice_is(word, "pause")) recompression_pause(recompression);
    else if (slice_is(word, "resume")) recompression_resume(recompression);
    else return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    operate_say(answer, "OK");
    return OPERATE_DONE;
}
