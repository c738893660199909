/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/dispatch/dispatch_value_in.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"

static struct store *store_of(struct dispatcher *dispatcher)
{
    return dispatcher->shared->store;
}

static uint64_t record_bytes(size_t line_bytes)
{
    return sizeof(struct value_in) + line_bytes;
}

/* The request as it is in a copy of its line: the connection's buffer will be read into again. */
static void read_again(struct value_in *in, uint64_t value_bytes)
{
    struct request_limits limits = {.item_bytes_max = value_bytes, .whole_bytes_max = 1};
    size_t more_bytes;
    const char *refusal;
    struct slice line = slice_of(in->line, in->line_bytes);
    enum request_parse parsed = request_parse(line, &limits, &in->request, &more_bytes, &refusal);
    fp_assert(parsed == REQUEST_VALUE && in->request.value_bytes == value_bytes);
}

static bool create(struct dispatcher *dispatcher, struct session *session,
                   const struct request *request, struct slice line)
{
    struct budget *budget = store_budget(store_of(dispatcher));
    fp_assert(session->value_in == NULL && request->value_bytes > 1);
    if (!budget_charge(budget, BUDGET_CONNECTIONS, record_bytes(line.size_bytes))) {
        if (!store_evict_one(store_of(dispatcher), dispatcher->scratch)) return false;
        budget_charge_anyway(budget, BUDGET_CONNECTIONS, record_bytes(line.size_bytes));
    }
    struct value_in *in = calloc(1, record_bytes(line.size_bytes));
    if (in == NULL) {
        budget_return(budget, BUDGET_CONNECTIONS, record_bytes(line.size_bytes));
        return false;
    }
    in->line_bytes = line.size_bytes;
    memcpy(in->line, line.bytes, line.size_bytes);
    in->left_bytes = request->value_bytes;
    read_again(in, request->value_bytes);
    session->value_in = in;
    return true;
}

enum fp_status value_in_begin(struct dispatcher *dispatcher, struct session *session,
                              const struct request *request, struct slice line)
{
    if (!create(dispatcher, session, request, line)) return FP_NO_MEMORY;
    struct value_in *in = session->value_in;
    in->decided = dispatch_look_ahead(dispatcher, &in->request);
    if (in->decided != FP_OK) return FP_OK;
    dispatcher->scratch->may_wait = true;
    enum fp_status status = store_value_begin(store_of(dispatcher), dispatcher->scratch,
                                              in->left_bytes, &in->value);
    dispatcher->scratch->may_wait = false;
    if (status != FP_OK) value_in_drop(dispatcher, session);
    return status;
}

size_t value_in_wants(const struct value_in *in, size_t there, size_t *need_bytes)
{
    if (in->value == NULL) { /* progress is told by the piece all the same */
        *need_bytes = (size_t)min_u64(in->left_bytes, ITEM_PIECE_BYTES);
        return there >= *need_bytes ? (size_t)min_u64(in->left_bytes, there) : 0;
    }
    *need_bytes = store_value_next_bytes(in->value);
    return there >= *need_bytes ? *need_bytes : 0;
}

enum fp_status value_in_take(struct dispatcher *dispatcher, struct value_in *in,
                             struct slice bytes)
{
    enum fp_status status = FP_OK;
    dispatcher->scratch->may_wait = true;
    if (in->value != NULL)
        status = store_value_add(store_of(dispatcher), dispatcher->scratch, in->value,
                                 bytes.bytes);
    dispatcher->scratch->may_wait = false;
    if (status == FP_OK) in->left_bytes -= bytes.size_bytes;
    return status;
}

uint64_t value_in_rest_bytes(const struct value_in *in)
{
    return in->left_bytes + (in->request.bare ? 1 : 2);
}

void value_in_drop(struct dispatcher *dispatcher, struct session *session)
{
    struct value_in *in = session->value_in;
    store_join_end(store_of(dispatcher), dispatcher->scratch, &session->join);
    if (in == NULL) return;
    store_value_end(store_of(dispatcher), dispatcher->scratch, &in->value);
    budget_return(store_budget(store_of(dispatcher)), BUDGET_CONNECTIONS,
                  record_bytes(in->line_bytes));
    free(in);
    session->value_in = NULL;
}
