/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/conn/conn_value.h"

#include "protocol/reply.h"
#include "server/dispatch/dispatch_frame.h"

static void skip(struct slice *input, size_t bytes)
{
    *input = slice_of(input->bytes + bytes, input->size_bytes - bytes);
}

void conn_value_refuse(struct output *output, const struct request *request, const char *refusal)
{
    if (request->noreply) return;
    output_text(output, refusal);
    output_text(output, "\r\n");
}

uint64_t conn_value_no_memory(struct dispatcher *dispatcher, struct slice begun,
                              struct output *output)
{
    static const struct request_limits none = {.item_bytes_max = 0};
    struct request request;
    size_t more_bytes;
    const char *refusal;
    enum request_parse parsed = request_parse(begun, &none, &request, &more_bytes, &refusal);
    bool value = parsed == REQUEST_REFUSED && request.too_large;
    if (!value || !request.noreply) output_text(output, REPLY_OUT_OF_MEMORY);
    if (!value) return 0;
    dispatch_no_memory(dispatcher, &request);
    return request.size_bytes + request.swallow_bytes;
}

/* It cannot be taken in for want of memory or quota: what is still to come of it is swallowed. */
static enum dispatch give_up(struct conn_value *turn, const struct request *request,
                             uint64_t rest_bytes, enum fp_status why)
{
    dispatch_no_memory(turn->dispatcher, request);
    if (!request->noreply)
        output_text(turn->output, why == FP_QUOTA ? REPLY_OVER_QUOTA : REPLY_OUT_OF_MEMORY);
    turn->swallow_bytes = rest_bytes;
    return DISPATCH_DONE;
}

enum dispatch conn_value_begin(struct conn_value *turn, const struct request *request,
                               struct slice *input)
{
    struct slice line = slice_of(input->bytes, request->size_bytes);
    enum fp_status status = value_in_begin(turn->dispatcher, turn->session, request, line);
    if (status == FP_LATER) return dispatch_later(turn->dispatcher);
    uint64_t value_bytes = request->value_bytes + (request->bare ? 1 : 2);
    enum dispatch result =
        status == FP_OK ? DISPATCH_DONE : give_up(turn, request, value_bytes, status);
    skip(input, line.size_bytes);
    return result;
}

static enum dispatch take_piece(struct conn_value *turn, struct slice *input)
{
    struct value_in *in = turn->session->value_in;
    size_t now = value_in_wants(in, input->size_bytes, &turn->need_bytes);
    if (now == 0) return DISPATCH_DONE;
    turn->need_bytes = 0;
    enum fp_status status = value_in_take(turn->dispatcher, in, slice_of(input->bytes, now));
    if (status == FP_LATER) return dispatch_later(turn->dispatcher);
    skip(input, now);
    if (status == FP_OK) return DISPATCH_DONE;
    enum dispatch result = give_up(turn, &in->request, value_in_rest_bytes(in) - now, status);
    value_in_drop(turn->dispatcher, turn->session);
    return result;
}

static enum dispatch finish(struct conn_value *turn, struct slice *input)
{
    const struct request *request = &turn->session->value_in->request;
    const char *refusal;
    size_t end_bytes;
    enum request_parse end = request_value_end(*input, request->bare, &end_bytes, &refusal);
    enum dispatch result = DISPATCH_DONE;
    if (end == REQUEST_PARTIAL) {
        turn->need_bytes = end_bytes;
        return DISPATCH_DONE;
    }
    if (end == REQUEST_REFUSED) conn_value_refuse(turn->output, request, refusal);
    else result = dispatch_text(turn->dispatcher, turn->session, request, turn->output);
    if (result != DISPATCH_DONE && result != DISPATCH_CLOSE) return result;
    skip(input, end_bytes);
    value_in_drop(turn->dispatcher, turn->session);
    return result;
}

enum dispatch conn_value_go_on(struct conn_value *turn, struct slice *input)
{
    bool is_there = turn->session->value_in->left_bytes == 0;
    return is_there ? finish(turn, input) : take_piece(turn, input);
}
