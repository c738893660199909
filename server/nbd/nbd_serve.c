/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Requests of an open export. What is allowed is protocol/nbd.h's.
 *
 * Life of a write: head -> [ a page, or part of one, arrives -> stored ]* -> answered
 *                    \-> refused: its bytes are dropped -> answered
 * Life of a trim:  head -> a few steps -> answered
 *                            \-> a job: a step each turn, beside other requests -> answered
 */
#include <string.h>

#include "base/arith.h"
#include "protocol/bigendian.h"
#include "server/nbd/nbd_internal.h"
#include "storage/store/page/store_block.h"

enum {
    STEPS_AT_ONCE = 4, /* of a trim, before it becomes a job; each about a thousand slots */
    ZEROS_PER_STEP = 256,
    STATUS_ROWS_MAX = 128, /* looked at for one block status; what is behind is asked for again */
    STATUS_EXTENTS_MAX = 1024,
    TELL_EVERY_NS = 2000000000 /* of one export that is full */
};

/* --- answers ---------------------------------------------------------------------------------- */

void nbd_reply_simple(struct nbd_conn *conn, uint64_t cookie, enum nbd_error error)
{
    uint8_t head[NBD_SIMPLE_BYTES];
    nbd_simple_encode(cookie, error, head);
    output_add(&conn->output, slice_of(head, sizeof head));
}

static void reply_error_chunk(struct nbd_conn *conn, uint64_t cookie, enum nbd_error error,
                              const char *why)
{
    uint8_t bytes[NBD_CHUNK_BYTES + NBD_CHUNK_ERROR_BYTES];
    size_t size = why != NULL ? strlen(why) : 0;
    struct nbd_chunk chunk = {.type = NBD_CHUNK_ERROR,
                              .done = true,
                              .cookie = cookie,
                              .length = (uint32_t)(NBD_CHUNK_ERROR_BYTES + size)};
    nbd_chunk_encode(&chunk, bytes);
    put32(bytes + NBD_CHUNK_BYTES, (uint32_t)error);
    put16(bytes + NBD_CHUNK_BYTES + 4, (uint16_t)size);
    output_add(&conn->output, slice_of(bytes, sizeof bytes));
    if (size > 0) output_add(&conn->output, slice_of(why, size));
}

void nbd_reply(struct nbd_conn *conn, const struct nbd_request *request, enum nbd_error error,
               const char *why)
{
    bool chunks = conn->terms.structured && error != NBD_OK &&
                  (request->type == NBD_READ || request->type == NBD_BLOCK_STATUS);
    if (chunks) reply_error_chunk(conn, request->cookie, error, why);
    else nbd_reply_simple(conn, request->cookie, error);
}

/* Once in a while, however many are refused. */
static void tell_full(struct nbd_conn *conn)
{
    struct export *export = conn->export;
    uint64_t now_ns = conn->worker->now_ns, told_ns = atomic_load(&export->told_ns);
    if (told_ns != 0 && now_ns < told_ns + TELL_EVERY_NS) return;
    if (!atomic_compare_exchange_strong(&export->told_ns, &told_ns, now_ns)) return;
    log_event(conn->worker->shared->log, LOG_WARN,
              "an export is refused writes: memory or its area's quota is full",
              log_text("export", export->name),
              log_number("no_space", atomic_load(&export->counters[EXPORT_no_space])));
}

enum nbd_error nbd_error_of(struct nbd_conn *conn, enum fp_status status)
{
    if (status == FP_OK) return NBD_OK;
    bool full = status == FP_NO_MEMORY || status == FP_QUOTA;
    export_count(conn->export, full ? EXPORT_no_space : EXPORT_errors, 1);
    if (full) tell_full(conn);
    if (full) return NBD_ENOSPC;
    return status == FP_RANGE ? NBD_EINVAL : NBD_EIO;
}

/* --- writing ---------------------------------------------------------------------------------- */

static enum fp_status store_piece(struct nbd_conn *conn, const uint8_t *bytes, uint32_t size)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct store *store = dispatcher->shared->store;
    struct area *area = conn->export->area;
    struct page_place place = {area, conn->write.at / area->page_bytes};
    if (!opener_enter(&conn->opener)) return FP_LOST;
    enum fp_status status;
    dispatcher->scratch->may_wait = true;
    if (size == area->page_bytes) {
        status = store_block_write(store, dispatcher->scratch, place, bytes);
    } else {
        struct block_part part = {(uint32_t)(conn->write.at % area->page_bytes), size, bytes};
        status =
            store_block_write_part(store, dispatcher->scratch, place, &part, conn->page);
        export_count(conn->export, EXPORT_partial_pages, status != FP_LATER);
    }
    dispatcher->scratch->may_wait = false;
    opener_leave(&conn->opener);
    counter_add(dispatcher->counters, COUNTER_farpage_page_stores, status != FP_LATER);
    return status;
}

static enum nbd_step later(struct nbd_conn *conn)
{
    spill_state_wake(&conn->worker->shared->spill);
    return NBD_STEP_LATER;
}

static enum nbd_step write_answer(struct nbd_conn *conn)
{
    struct nbd_write *write = &conn->write;
    write->active = false;
    export_count(conn->export, EXPORT_writes, 1);
    if (write->error == NBD_OK)
        export_count(conn->export, EXPORT_write_bytes, write->whole_bytes);
    nbd_reply_simple(conn, write->cookie, write->error);
    return NBD_STEP_ON;
}

/* Takes the next bytes of the write, up to the end of a page. */
static enum nbd_step write_step(struct nbd_conn *conn)
{
    struct nbd_write *write = &conn->write;
    struct slice input = nbd_input(conn);
    conn->worker->dispatcher.operation = OPERATION_NBD_WRITE;
    uint32_t page_bytes = conn->export->area->page_bytes;
    if (write->error != NBD_OK) {
        size_t now = (size_t)min_u64(write->left_bytes, input.size_bytes);
        write->left_bytes -= (uint32_t)now;
        nbd_taken(conn, now);
        conn->need_bytes = 1;
        return write->left_bytes == 0 ? write_answer(conn) : NBD_STEP_WAIT;
    }
    uint32_t size =
        (uint32_t)min_u64(page_bytes - write->at % page_bytes, write->left_bytes);
    conn->need_bytes = size;
    if (input.size_bytes < size) return NBD_STEP_WAIT;
    if (size > 0) {
        bool part = size < page_bytes;
        if (part && nbd_ask(conn, write->at, write->at + size, PROMOTE_ALWAYS))
            return NBD_STEP_AWAIT;
        enum fp_status status = store_piece(conn, input.bytes, size);
        if (status == FP_LATER) return later(conn);
        if (status == FP_SPILLED) return NBD_STEP_ON; /* it went there just now */
        write->error = nbd_error_of(conn, status);
    }
    nbd_taken(conn, size);
    write->at += size;
    write->left_bytes -= size;
    return write->left_bytes == 0 ? write_answer(conn) : NBD_STEP_ON;
}

static enum nbd_step begin_write(struct nbd_conn *conn, const struct nbd_request *request,
                                 enum nbd_error error)
{
    conn->write = (struct nbd_write){.active = true,
                                     .cookie = request->cookie,
                                     .at = request->offset,
                                     .left_bytes = request->length,
                                     .whole_bytes = request->length,
                                     .error = error};
    return write_step(conn);
}

/* --- trims and zeroes ------------------------------------------------------------------------- */

/* So that a page is in memory of which a part is to be zeroed. True: it is not yet. */
static bool job_waits(struct nbd_conn *conn, struct nbd_job *job)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct store *store = dispatcher->shared->store;
    struct spill_wait *wait = &job->wait;
    if (spill_waits(wait)) return true;
    if (wait->first != NULL) {
        enum fp_status status = spill_wait_arrive(wait, store, dispatcher->scratch);
        if (status == FP_LATER) return true;
        spill_wait_end(wait, store, dispatcher->scratch);
    }
    if (!nbd_ask(conn, job->at, job->at + 1, PROMOTE_ALWAYS)) return false;
    nbd_job_await(conn, wait);
    return true;
}

/* The next part, page or run of pages. FP_LATER: not yet. */
static enum fp_status job_advance(struct nbd_conn *conn, struct nbd_job *job)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct store *store = dispatcher->shared->store;
    struct area *area = conn->export->area;
    uint64_t page_bytes = area->page_bytes, left = job->end - job->at;
    struct page_place place = {area, job->at / page_bytes};
    uint32_t offset = (uint32_t)(job->at % page_bytes);
    enum fp_status status = FP_OK;
    if (offset != 0 || left < page_bytes) {
        struct block_part part = {offset, (uint32_t)min_u64(page_bytes - offset, left), NULL};
        if (job->edges && job_waits(conn, job)) return FP_LATER;
        if (job->edges) {
            status = store_block_write_part(store, dispatcher->scratch, place, &part, conn->page);
            export_count(conn->export, EXPORT_partial_pages, status != FP_LATER);
        }
        if (status == FP_SPILLED) return FP_LATER; /* it went there just now */
        if (status != FP_LATER) job->at += part.size_bytes;
        return status;
    }
    uint64_t end = job->end / page_bytes;
    if (!job->keep) {
        status = store_page_invalidate_some(store, dispatcher->scratch, area, &place.slot, end);
    } else {
        end = min_u64(end, place.slot + ZEROS_PER_STEP);
        while (status == FP_OK && place.slot < end) {
            status = store_block_zero(store, dispatcher->scratch, place);
            place.slot += status == FP_OK;
        }
    }
    job->at = place.slot * page_bytes;
    return status;
}

/* False: there is more to do. */
static bool job_step(struct nbd_conn *conn, struct nbd_job *job)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    enum fp_status status = FP_LOST;
    if (opener_enter(&conn->opener)) {
        dispatcher->scratch->may_wait = true;
        status = job->at < job->end ? job_advance(conn, job) : FP_OK;
        dispatcher->scratch->may_wait = false;
        opener_leave(&conn->opener);
    }
    if (status == FP_LATER) spill_state_wake(&dispatcher->shared->spill);
    if (status == FP_LATER || (status == FP_OK && job->at < job->end)) return false;
    export_count(conn->export, EXPORT_trims, 1);
    if (status == FP_OK) export_count(conn->export, EXPORT_trim_bytes, job->whole_bytes);
    nbd_reply_simple(conn, job->cookie, nbd_error_of(conn, status));
    return true;
}

void nbd_jobs_step(struct nbd_conn *conn)
{
    for (int i = 0; i < NBD_JOBS_MAX; i++) {
        struct nbd_job *job = &conn->jobs[i];
        if (!job->active || !job_step(conn, job)) continue;
        job->active = false;
        conn->job_count--;
    }
}

static enum nbd_step begin_job(struct nbd_conn *conn, const struct nbd_request *request)
{
    bool zeroes = request->type == NBD_WRITE_ZEROES;
    int free_place = 0;
    while (conn->jobs[free_place].active) free_place++;
    struct nbd_job *job = &conn->jobs[free_place];
    *job = (struct nbd_job){.keep = (request->flags & NBD_FLAG_NO_HOLE) != 0,
                            .cookie = request->cookie,
                            .at = request->offset,
                            .end = request->offset + request->length,
                            .whole_bytes = request->length,
                            .edges = zeroes};
    for (int i = 0; i < STEPS_AT_ONCE; i++)
        if (job_step(conn, job)) return NBD_STEP_ON;
    job->active = true;
    conn->job_count++;
    return NBD_STEP_ON;
}

/* --- which bytes there are -------------------------------------------------------------------- */

static uint32_t state_bits(enum block_kind kind)
{
    if (kind == BLOCK_DATA) return 0;
    return kind == BLOCK_ZEROS ? NBD_STATE_ZERO : NBD_STATE_ZERO | NBD_STATE_HOLE;
}

static size_t write_extents(struct nbd_conn *conn, const struct nbd_request *request, uint8_t *out,
                            size_t most)
{
    struct area *area = conn->export->area;
    uint64_t at = request->offset, end = request->offset + request->length;
    uint64_t end_slot = div_up_u64(end, area->page_bytes);
    uint32_t rows = STATUS_ROWS_MAX;
    size_t count = 0;
    while (at < end && count < most && rows > 0) {
        struct block_run run = store_block_look(conn->worker->shared->store, area,
                                                at / area->page_bytes, end_slot, &rows);
        uint64_t next = min_u64(run.end * area->page_bytes, end);
        if (next <= at) next = min_u64(at + area->page_bytes, end); /* it changed meanwhile */
        put32(out + count * NBD_EXTENT_BYTES, (uint32_t)(next - at));
        put32(out + count * NBD_EXTENT_BYTES + 4, state_bits(run.kind));
        at = next;
        count++;
    }
    return count;
}

void nbd_block_status(struct nbd_conn *conn, const struct nbd_request *request)
{
    size_t most = (request->flags & NBD_FLAG_REQ_ONE) != 0 ? 1 : STATUS_EXTENTS_MAX;
    if (opener_lost(&conn->opener)) {
        nbd_reply(conn, request, nbd_error_of(conn, FP_LOST), NULL);
        return;
    }
    uint8_t *out = output_reserve(&conn->output, NBD_CHUNK_BYTES + 4 + most * NBD_EXTENT_BYTES);
    if (out == NULL) return;
    size_t count = write_extents(conn, request, out + NBD_CHUNK_BYTES + 4, most);
    struct nbd_chunk chunk = {.type = NBD_CHUNK_BLOCK_STATUS,
                              .done = true,
                              .cookie = request->cookie,
                              .length = (uint32_t)(4 + count * NBD_EXTENT_BYTES)};
    nbd_chunk_encode(&chunk, out);
    put32(out + NBD_CHUNK_BYTES, NBD_CONTEXT_ID);
    output_commit(&conn->output, NBD_CHUNK_BYTES + chunk.length);
}

/* --- one request ------------------------------------------------------------------------------ */

static enum nbd_step carry_out(struct nbd_conn *conn, const struct nbd_request *request)
{
    enum operation *operation = &conn->worker->dispatcher.operation;
    *operation = OPERATION_OTHER;
    switch (request->type) {
    case NBD_READ:
        *operation = OPERATION_NBD_READ;
        conn->read = (struct nbd_read){.active = true,
                                       .one_chunk = (request->flags & NBD_FLAG_DF) != 0,
                                       .cookie = request->cookie,
                                       .at = request->offset,
                                       .end = request->offset + request->length,
                                       .hole_from = request->offset};
        return nbd_read_step(conn);
    case NBD_TRIM:
    case NBD_WRITE_ZEROES:
        *operation = OPERATION_NBD_TRIM;
        return begin_job(conn, request);
    case NBD_BLOCK_STATUS:
        nbd_block_status(conn, request);
        return NBD_STEP_ON;
    default: /* flush, cache: all that was answered is as permanent as it will ever be */
        export_count(conn->export, EXPORT_flushes, request->type == NBD_FLUSH);
        nbd_reply_simple(conn, request->cookie, NBD_OK);
        return NBD_STEP_ON;
    }
}

static bool wants_job(const struct nbd_request *request)
{
    return request->type == NBD_TRIM || request->type == NBD_WRITE_ZEROES;
}

static enum nbd_step begin_request(struct nbd_conn *conn)
{
    struct slice input = nbd_input(conn);
    struct nbd_request request;
    conn->need_bytes = NBD_REQUEST_BYTES;
    if (input.size_bytes < NBD_REQUEST_BYTES) return NBD_STEP_WAIT;
    if (!nbd_request_decode(input.bytes, &request)) {
        nbd_log_lost(conn, "not a request");
        return NBD_STEP_CLOSE;
    }
    enum nbd_error error = nbd_request_check(&request, &conn->terms);
    if (conn->stopping) error = NBD_ESHUTDOWN;
    if (wants_job(&request) && error == NBD_OK && conn->job_count == NBD_JOBS_MAX)
        return NBD_STEP_TURN; /* until one of them ends */
    nbd_taken(conn, NBD_REQUEST_BYTES);
    if (request.type == NBD_DISC) {
        conn->leaving = true;
        return NBD_STEP_WAIT;
    }
    if (error != NBD_OK) export_count(conn->export, EXPORT_errors, 1);
    if (request.type == NBD_WRITE) return begin_write(conn, &request, error);
    if (error == NBD_OK) return carry_out(conn, &request);
    nbd_reply(conn, &request, error, conn->stopping ? "the server stops" : NULL);
    return NBD_STEP_ON;
}

static enum nbd_step serve(struct nbd_conn *conn)
{
    if (conn->read.active) {
        conn->worker->dispatcher.operation = OPERATION_NBD_READ;
        return nbd_read_step(conn);
    }
    if (conn->write.active) return write_step(conn);
    return begin_request(conn);
}

/* What was read for the request under way is lent to it, and let go of when it was given. */
enum nbd_step nbd_serve(struct nbd_conn *conn)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct store *store = dispatcher->shared->store;
    nbd_unpark(conn);
    bool has_come = conn->spill.first != NULL;
    if (has_come && spill_wait_arrive(&conn->spill, store, dispatcher->scratch) != FP_OK)
        return later(conn);
    enum nbd_step next = serve(conn);
    if (has_come && next != NBD_STEP_AWAIT)
        spill_wait_end(&conn->spill, store, dispatcher->scratch);
    if (next != NBD_STEP_AWAIT) return next;
    spill_wait_keep(dispatcher->scratch);
    if (nbd_park(conn)) return NBD_STEP_ON;
    nbd_await(conn);
    return NBD_STEP_AWAIT;
}
