/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `export recreate NAME`: an export that was lost, or that nobody uses, made anew and empty. */
#include "server/operate/operate.h"

#include "protocol/request.h"

#define USAGE "export recreate NAME"

enum operate operate_export(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct slice verb, name, more;
    char why[REFUSAL_BYTES_MAX] = "";
    if (!request_next_word(&rest, &verb) || !slice_is(verb, "recreate") ||
        !request_next_word(&rest, &name) || request_next_word(&rest, &more))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    enum fp_status status = exports_recreate(&shared->exports, name, why);
    if (status == FP_NO_MEMORY) return operate_refuse(answer, OPERATE_FAILED, "no memory for it");
    if (status != FP_OK) return operate_refuse(answer, OPERATE_FAILED, "%s", why);
    log_event(shared->log, LOG_INFO, "export made anew",
              log_bytes("export", name));
    operate_say(answer, "OK");
    return OPERATE_DONE;
}
