/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/patience.h"

#include "base/arith.h"

enum {
    UNREAD_NS_MAX = 1000000000, /* with memory full and no item left, replies may wait so long */
    ROOM_BYTES = 1 << 20,       /* less is left: memory is nearly full */
    HOARD_BYTES = 64 << 10,     /* of one's unread replies is much then */
    FEW_BYTES = 4096,           /* of them may wait always */
    AHEAD_BYTES = 16 << 10,     /* and be ahead of the client when a turn is over */
};

bool conn_reply_is_needed(const struct budget *budget, const struct output *output)
{
    uint64_t total = budget_total(budget), limit = budget_limit(budget);
    if (output_pending(output) <= FEW_BYTES) return false;
    return total >= limit || (total + ROOM_BYTES > limit && output_pending(output) >= HOARD_BYTES);
}

uint64_t conn_replies_most(const struct settings *settings, const struct budget *budget)
{
    uint64_t most = setting(&settings->output_buffer_max_bytes);
    bool full = budget_total(budget) >= budget_limit(budget);
    return full ? min_u64(most, FEW_BYTES) : most;
}

bool conn_replies_are_ahead(const struct settings *settings, const struct budget *budget,
                            const struct output *output)
{
    uint64_t most = conn_replies_most(settings, budget);
    return output_buffered(output) >= min_u64(most, AHEAD_BYTES);
}

static bool overdue(uint64_t since_ns, uint64_t now_ns, uint64_t limit_ns)
{
    return since_ns != 0 && limit_ns != 0 && now_ns > since_ns && now_ns - since_ns > limit_ns;
}

/* Why it is closed although nothing is under way; NULL: it is not. */
static const char *idle_reason(const struct settings *settings, const struct conn_stand *stand,
                               uint64_t now_ns)
{
    bool never = stand->active_ns == stand->opened_ns;
    if (never && overdue(stand->active_ns, now_ns, setting(&settings->first_request_timeout_ns)))
        return "it asked nothing for server.first_request_timeout";
    if (overdue(stand->active_ns, now_ns, setting(&settings->idle_timeout_ns)))
        return "it asked nothing for server.idle_timeout";
    return NULL;
}

struct conn_verdict conn_patience(const struct settings *settings, const struct conn_stand *stand,
                                  uint64_t now_ns)
{
    uint64_t request_ns = setting(&settings->request_timeout_ns);
    uint64_t unread_ns = stand->needed ? min_u64(UNREAD_NS_MAX, request_ns) : request_ns;
    struct conn_verdict verdict = {.reason = NULL};
    if (stand->handshaking || stand->login || stand->opening) {
        if (overdue(stand->opened_ns, now_ns, setting(&settings->login_timeout_ns)))
            verdict.reason = stand->handshaking ? "its TLS handshake did not become complete"
                             : stand->login     ? "it did not authenticate"
                                                : "its handshake did not end";
    } else if (stand->pending) {
        if (overdue(stand->moved_ns, now_ns, unread_ns))
            verdict.reason = "it does not read its replies";
    } else if (stand->begun_ns != 0) {
        if (overdue(stand->begun_ns, now_ns, request_ns))
            verdict.reason = "its request did not become complete";
    } else {
        verdict.reason = idle_reason(settings, stand, now_ns);
        verdict.idle = verdict.reason != NULL;
    }
    return verdict;
}
