/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One request of a connection, whichever language it comes in: text, a frame, an entry of a batch,
 * a stretch of a long value, a login, or bytes of something refused that are to be dropped. */
#include <sys/socket.h>

#include "base/arith.h"
#include "server/conn/conn_parts.h"
#include "server/conn/conn_value.h"
#include "server/dispatch/dispatch_value_in.h"

enum { FIRST_BYTE_MEMCACHED_BINARY = 0x80 };

static enum operation operation_of_command(enum command command)
{
    static const uint8_t operations[COMMANDS_COUNT] = {
        [COMMAND_GET] = OPERATION_GET,         [COMMAND_GETS] = OPERATION_GET,
        [COMMAND_GAT] = OPERATION_GET,         [COMMAND_GATS] = OPERATION_GET,
        [COMMAND_MG] = OPERATION_GET,          [COMMAND_SET] = OPERATION_SET,
        [COMMAND_ADD] = OPERATION_SET,         [COMMAND_REPLACE] = OPERATION_SET,
        [COMMAND_APPEND] = OPERATION_SET,      [COMMAND_PREPEND] = OPERATION_SET,
        [COMMAND_CAS] = OPERATION_SET,         [COMMAND_MS] = OPERATION_SET,
        [COMMAND_DELETE] = OPERATION_DELETE,   [COMMAND_MD] = OPERATION_DELETE,
        [COMMAND_INCR] = OPERATION_ARITHMETIC, [COMMAND_DECR] = OPERATION_ARITHMETIC,
        [COMMAND_MA] = OPERATION_ARITHMETIC,   [COMMAND_TOUCH] = OPERATION_TOUCH,
        [COMMAND_MAP] = OPERATION_MAP,         [COMMAND_MREAD] = OPERATION_MAP,
        [COMMAND_MWRITE] = OPERATION_MAP,      [COMMAND_UNMAP] = OPERATION_MAP,
    };
    uint8_t operation = operations[command];
    return operation != OPERATION_NONE ? (enum operation)operation : OPERATION_OTHER;
}

static enum operation operation_of_frame(uint8_t opcode)
{
    static const uint8_t operations[] = {
        [FRAME_STORE] = OPERATION_PAGE_STORE,
        [FRAME_LOAD] = OPERATION_PAGE_LOAD,
        [FRAME_INVALIDATE] = OPERATION_PAGE_INVALIDATE,
        [FRAME_MAP] = OPERATION_MAP,
        [FRAME_MREAD] = OPERATION_MAP,
        [FRAME_MWRITE] = OPERATION_MAP,
        [FRAME_UNMAP] = OPERATION_MAP,
        [FRAME_STORE_BATCH] = OPERATION_STORE_BATCH,
        [FRAME_LOAD_BATCH] = OPERATION_LOAD_BATCH,
        [FRAME_INVALIDATE_BATCH] = OPERATION_INVALIDATE_BATCH,
    };
    uint8_t operation = opcode < FP_COUNT_OF(operations) ? operations[opcode] : OPERATION_NONE;
    return operation != OPERATION_NONE ? (enum operation)operation : OPERATION_OTHER;
}

/* Whether the same request is given again. */
static bool is_kept(enum step next)
{
    return next == STEP_TURN || next == STEP_MORE || next == STEP_AWAIT || next == STEP_LATER;
}

static struct slice skip(struct slice input, size_t bytes)
{
    return slice_of(input.bytes + bytes, input.size_bytes - bytes);
}

static enum step step_of(enum dispatch result)
{
    if (result == DISPATCH_DONE) return STEP_ON;
    if (result == DISPATCH_MORE) return STEP_MORE;
    if (result == DISPATCH_WAIT) return STEP_AWAIT;
    if (result == DISPATCH_LATER) return STEP_LATER;
    return result == DISPATCH_AGAIN ? STEP_TURN : STEP_CLOSE;
}

void conn_log_closed(const struct conn *conn, enum gate kind, const char *event,
                     const char *reason)
{
    struct closing closing = {conn->worker->shared, &conn->row, conn->worker->now_ns};
    closing_log(&closing, kind, event, reason);
}

static void log_lost(struct conn *conn, const char *reason)
{
    conn_count(conn, COUNTER_farpage_protocol_errors, 1);
    conn_log_closed(conn, GATE_LOST, "connection closed: framing is lost", reason);
}

/* Reset, not closed: some clients of the binary protocol wait for ever for the answer to what they
 * sent over a connection that ended in good order. */
static enum step refuse_binary(struct conn *conn)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(conn->row.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    conn_count(conn, COUNTER_farpage_protocol_errors, 1);
    conn_log_closed(conn, GATE_BINARY,
               "connection closed: memcached's binary protocol is not served",
               "set the client to text; docs/clients.md says how");
    return STEP_CLOSE;
}

/* request: of a long value that begins; NULL: it goes on. */
static enum step step_value(struct conn *conn, const struct request *request,
                            struct slice *input)
{
    struct conn_value turn = {.dispatcher = &conn->worker->dispatcher,
                              .session = &conn->session,
                              .output = &conn->output};
    conn->worker->dispatcher.operation = OPERATION_SET;
    enum dispatch result = request != NULL ? conn_value_begin(&turn, request, input)
                                           : conn_value_go_on(&turn, input);
    conn->need_bytes = turn.need_bytes;
    conn->swallow_bytes = turn.swallow_bytes;
    return turn.need_bytes > 0 ? STEP_WAIT : step_of(result);
}

static enum step step_text(struct conn *conn, struct slice *input)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    dispatcher->caller_fd = conn->row.fd;
    struct request_limits limits = {
        .item_bytes_max = setting(&conn->worker->shared->settings.item_bytes_max),
        .whole_bytes_max = ITEM_WHOLE_BYTES_MAX};
    struct request request;
    size_t more_bytes;
    const char *refusal;
    switch (request_parse(*input, &limits, &request, &more_bytes, &refusal)) {
    case REQUEST_READY: {
        dispatcher->operation = operation_of_command(request.command);
        enum step next =
            step_of(dispatch_text(dispatcher, &conn->session, &request, &conn->output));
        if (!is_kept(next)) *input = skip(*input, request.size_bytes);
        return next;
    }
    case REQUEST_VALUE:
        return step_value(conn, &request, input);
    case REQUEST_PARTIAL:
        conn->need_bytes = input->size_bytes + more_bytes;
        return STEP_WAIT;
    case REQUEST_REFUSED:
        value_in_drop(dispatcher, &conn->session); /* a join whose limit a reload has lowered */
        dispatch_refusal(dispatcher, &request);
        conn_value_refuse(&conn->output, &request, refusal);
        conn->swallow_bytes = request.swallow_bytes;
        *input = skip(*input, request.size_bytes);
        return STEP_ON;
    case REQUEST_LOST:
    default:
        if (refusal[0] != '\0') {
            output_text(&conn->output, refusal);
            output_text(&conn->output, "\r\n");
        }
        log_lost(conn, refusal[0] != '\0' ? refusal : "HTTP, or a line without end");
        return STEP_CLOSE;
    }
}

/* What is left of a store batch's body when all its entries are answered. */
static void drop_rest_of_batch(struct conn *conn)
{
    struct session_batch *batch = &conn->session.batch;
    if (batch->frame.count > 0) return;
    conn->swallow_bytes = batch->left_bytes;
    batch->left_bytes = 0;
}

static enum step step_entries(struct conn *conn, struct slice *input)
{
    size_t before = input->size_bytes;
    enum dispatch result = dispatch_entries(&conn->worker->dispatcher, &conn->session, input,
                                            &conn->need_bytes, &conn->output);
    drop_rest_of_batch(conn);
    if (result == DISPATCH_LATER) return STEP_LATER;
    bool moved = input->size_bytes < before || conn->session.batch.frame.count == 0;
    if (moved) conn->worker->dispatcher.operation = OPERATION_STORE_BATCH;
    return moved ? STEP_ON : STEP_WAIT;
}

static enum step step_frame(struct conn *conn, struct slice *input)
{
    struct frame frame = {0};
    conn->need_bytes = FRAME_HEADER_BYTES;
    if (input->size_bytes < FRAME_HEADER_BYTES) return STEP_WAIT;
    if (!frame_decode(input->bytes, FRAME_MAGIC_REQUEST, &frame)) {
        frame = (struct frame){0};
        dispatch_frame_status(&frame, FRAME_BAD_HEADER, &conn->output);
        log_lost(conn, "not a frame header");
        return STEP_CLOSE;
    }
    if (frame.opcode == FRAME_STORE_BATCH) {
        conn->worker->dispatcher.operation = OPERATION_STORE_BATCH;
        *input = skip(*input, FRAME_HEADER_BYTES);
        enum dispatch begun =
            dispatch_store_batch(&conn->worker->dispatcher, &conn->session, &frame, &conn->output);
        drop_rest_of_batch(conn);
        return step_of(begun);
    }
    if (frame.body_bytes > FRAME_BODY_BYTES_MAX) {
        dispatch_frame_status(&frame, FRAME_BAD_LENGTH, &conn->output);
        log_lost(conn, "a frame's body is too long");
        return STEP_CLOSE;
    }
    size_t size_bytes = FRAME_HEADER_BYTES + (size_t)frame.body_bytes;
    conn->need_bytes = size_bytes;
    if (input->size_bytes < size_bytes) return STEP_WAIT;
    struct slice body = slice_of(input->bytes + FRAME_HEADER_BYTES, frame.body_bytes);
    conn->worker->dispatcher.operation = operation_of_frame(frame.opcode);
    enum step next = step_of(
        dispatch_frame(&conn->worker->dispatcher, &conn->session, &frame, body, &conn->output));
    bool parked = next == STEP_AWAIT && frame.opcode == FRAME_LOAD && conn_park(conn, &frame);
    if (parked) next = STEP_ON;
    if (!is_kept(next)) *input = skip(*input, size_bytes);
    return next;
}

static enum step step_login(struct conn *conn, struct slice *input)
{
    enum login_step next = conn_login(&conn->login, &conn->worker->dispatcher, input,
                                      &conn->need_bytes, &conn->output);
    conn->worker->dispatcher.scratch->tenant = atomic_load(&conn->row.tenant);
    if (next != LOGIN_CLOSE) return next == LOGIN_ON ? STEP_ON : STEP_WAIT;
    conn_log_closed(conn, GATE_LOGIN, "connection closed: not authenticated", conn->login.why);
    return STEP_CLOSE;
}

/* The first byte of a connection tells the dialects apart; text begins with a letter or a blank. */
static enum conn_dialect dialect_of(uint8_t first_byte)
{
    return first_byte == FRAME_MAGIC_REQUEST ? DIALECT_FRAMES : DIALECT_TEXT;
}

/* Who logs in where no login is wanted has spoken text, and goes on in frames all the same. Other
 * bytes that begin like a frame are text. */
static enum step step_text_or_frame(struct conn *conn, struct slice *input)
{
    struct frame frame;
    if (input->bytes[0] != FRAME_MAGIC_REQUEST) return step_text(conn, input);
    if (input->size_bytes < FRAME_HEADER_BYTES) {
        conn->need_bytes = FRAME_HEADER_BYTES;
        return STEP_WAIT;
    }
    if (!frame_decode(input->bytes, FRAME_MAGIC_REQUEST, &frame)) return step_text(conn, input);
    atomic_store(&conn->row.dialect, DIALECT_FRAMES);
    return step_frame(conn, input);
}

static enum step step(struct conn *conn, struct slice *input)
{
    if (conn->swallow_bytes > 0) {
        size_t now = (size_t)min_u64(conn->swallow_bytes, input->size_bytes);
        conn->swallow_bytes -= now;
        conn->swallowed_bytes += now;
        *input = skip(*input, now);
        return conn->swallow_bytes > 0 ? STEP_WAIT : STEP_ON;
    }
    if (conn->session.watcher != NULL) *input = skip(*input, input->size_bytes);
    if (input->size_bytes == 0) return STEP_WAIT;
    if (conn->session.value_in != NULL) return step_value(conn, NULL, input);
    enum conn_dialect dialect = (enum conn_dialect)atomic_load(&conn->row.dialect);
    if (dialect == DIALECT_UNKNOWN) {
        if (input->bytes[0] == FIRST_BYTE_MEMCACHED_BINARY) return refuse_binary(conn);
        if (conn->login.wanted) return step_login(conn, input);
        dialect = dialect_of(input->bytes[0]);
        atomic_store(&conn->row.dialect, dialect);
    }
    if (dialect == DIALECT_TEXT) return step_text_or_frame(conn, input);
    return conn_is_within_batch(conn) ? step_entries(conn, input) : step_frame(conn, input);
}

/* What was read for the request at the front is lent to it, and let go of when it was given. */
enum step conn_step(struct conn *conn, struct slice *input)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct store *store = dispatcher->shared->store;
    bool has_come = conn->spill.first != NULL;
    if (has_come && spill_wait_arrive(&conn->spill, store, dispatcher->scratch) != FP_OK) {
        spill_state_wake(&dispatcher->shared->spill);
        return STEP_LATER;
    }
    enum step next = step(conn, input);
    bool keeps = next == STEP_AWAIT && !spill_asks_items(&dispatcher->asked);
    if (has_come && !keeps) spill_wait_end(&conn->spill, store, dispatcher->scratch);
    if (next == STEP_AWAIT) conn_await(conn);
    return next;
}
