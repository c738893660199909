/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/closing.h"

/* A client that is set up wrong comes again and again. */
static const struct log_pace at_times = {10, 10000000000}, seldom = {1, 60000000000};

void closing_log(const struct closing *closing, enum gate kind, const char *event,
                 const char *reason)
{
    uint64_t skipped;
    struct shared *shared = closing->shared;
    struct log_pace pace = kind == GATE_BINARY ? seldom : at_times;
    if (!log_gate_pass(&shared->gates[kind], pace, closing->now_ns, &skipped)) return;
    bool usual = kind == GATE_SLOW || kind == GATE_EXPORT;
    log_event(shared->log, usual ? LOG_INFO : LOG_WARN, event,
              log_text("peer", closing->row->peer), log_text("reason", reason),
              log_number("not_shown", skipped));
}
