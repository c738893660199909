/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `health`: whether clients are served, in one line, as /readyz has it. */
#include "protocol/request.h"
#include "server/health.h"
#include "server/operate/operate.h"

enum operate operate_health(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct slice word;
    struct health health;
    if (request_next_word(&rest, &word))
        return operate_refuse(answer, OPERATE_WRONG, "usage: health");
    health_look(shared, &health);
    enum health_check bad = health_first_bad(&health);
    if (health.ready)
        operate_say(answer, "HEALTH ready, memory %s", health.checks[HEALTH_MEMORY].text);
    else
        operate_say(answer, "HEALTH not ready, %s: %s", health_check_name(bad),
                    health.checks[bad].text);
    return OPERATE_DONE;
}
