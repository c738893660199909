/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a read: small and in one piece: all pages -> one reply, or one error
 *                 else: head, where it is one piece -> [ pages of a step ]* -> the end
 *
 * In chunks, zeros are told as holes and not sent. In one piece, what fails behind the head can
 * only be padded, and reported after (structured); or the connection ends (simple). */
#include <string.h>

#include "base/arith.h"
#include "protocol/bigendian.h"
#include "server/nbd/nbd_internal.h"
#include "storage/store/page/store_block.h"

enum {
    STEP_BYTES = 64 << 10, /* a step ends with the page that reaches this */
    WHOLE_BYTES_MAX = 128 << 10, /* read before the head is written */
    HEAD_BYTES_MAX = NBD_CHUNK_BYTES + NBD_CHUNK_DATA_BYTES,
    TAIL_BYTES_MAX = NBD_CHUNK_BYTES + NBD_CHUNK_ERROR_BYTES + 8, /* of a chunk with an error */
};
static const char damaged[] = "what is stored there does not match its checksum";

/* --- pieces ----------------------------------------------------------------------------------- */

/* Bytes of one page from `at` on, up to its end or the read's. */
static uint32_t piece_bytes(const struct nbd_conn *conn, uint64_t at)
{
    uint32_t page_bytes = conn->export->area->page_bytes;
    return (uint32_t)min_u64(page_bytes - at % page_bytes, conn->read.end - at);
}

/* It went to the file just now. FP_IO: there is no memory to ask for it. */
static enum fp_status ask_now(struct nbd_conn *conn, uint64_t at)
{
    return nbd_ask(conn, at, at + 1, PROMOTE_BY_POLICY) ? FP_SPILLED : FP_IO;
}

/* Writes the piece to out; or *zeros is true, and out as it was. FP_SPILLED: it is asked for. */
static enum fp_status load(struct nbd_conn *conn, uint64_t at, uint8_t *out, bool *zeros)
{
    struct dispatcher *dispatcher = &conn->worker->dispatcher;
    struct area *area = conn->export->area;
    struct page_place place = {area, at / area->page_bytes};
    uint32_t size = piece_bytes(conn, at);
    bool whole = size == area->page_bytes;
    dispatcher->more_pages++;
    counter_add(dispatcher->counters, COUNTER_farpage_page_loads, 1);
    if (!opener_enter(&conn->opener)) return FP_LOST;
    enum fp_status status = store_block_read(dispatcher->shared->store, dispatcher->scratch, place,
                                             whole ? out : conn->page, zeros);
    opener_leave(&conn->opener);
    if (status == FP_SPILLED) return ask_now(conn, at);
    if (status == FP_OK && !*zeros && !whole)
        memcpy(out, conn->page + at % area->page_bytes, size);
    return status;
}

/* The same, and zeros are written, too. */
static enum fp_status load_plain(struct nbd_conn *conn, uint64_t at, uint8_t *out)
{
    bool zeros;
    enum fp_status status = load(conn, at, out, &zeros);
    if (status == FP_OK && zeros) memset(out, 0, piece_bytes(conn, at));
    return status;
}

static void read_over(struct nbd_conn *conn)
{
    conn->read.active = false;
}

/* --- chunks ----------------------------------------------------------------------------------- */

static size_t put_chunk(const struct nbd_conn *conn, enum nbd_chunk_type type, uint32_t length,
                        bool done, uint8_t *out)
{
    struct nbd_chunk chunk = {
        .type = type, .done = done, .cookie = conn->read.cookie, .length = length};
    nbd_chunk_encode(&chunk, out);
    return NBD_CHUNK_BYTES;
}

static size_t put_data_head(const struct nbd_conn *conn, uint64_t at, uint32_t size, bool done,
                            uint8_t *out)
{
    size_t used = put_chunk(conn, NBD_CHUNK_DATA, NBD_CHUNK_DATA_BYTES + size, done, out);
    put64(out + used, at);
    return used + NBD_CHUNK_DATA_BYTES;
}

static size_t put_hole(const struct nbd_conn *conn, uint64_t from, uint64_t to, uint8_t *out)
{
    bool done = to == conn->read.end;
    size_t used = put_chunk(conn, NBD_CHUNK_HOLE, NBD_CHUNK_HOLE_BYTES, done, out);
    put64(out + used, from);
    put32(out + used + 8, (uint32_t)(to - from));
    return used + NBD_CHUNK_HOLE_BYTES;
}

static size_t put_error_at(const struct nbd_conn *conn, enum nbd_error error, uint64_t at,
                           uint8_t *out)
{
    size_t used = put_chunk(conn, NBD_CHUNK_ERROR_OFFSET, NBD_CHUNK_ERROR_BYTES + 8, true, out);
    put32(out + used, (uint32_t)error);
    put16(out + used + 4, 0);
    put64(out + used + NBD_CHUNK_ERROR_BYTES, at);
    return used + NBD_CHUNK_ERROR_BYTES + 8;
}

struct chunks { /* those of one step, while they are written */
    uint8_t *out;
    size_t used;
    size_t head; /* where the data chunk that grows has its head */
    uint64_t data_from;
    bool open; /* there is one */
};

static void close_data(const struct nbd_conn *conn, struct chunks *chunks, uint64_t to)
{
    if (!chunks->open) return;
    put_data_head(conn, chunks->data_from, (uint32_t)(to - chunks->data_from),
                  to == conn->read.end, chunks->out + chunks->head);
    chunks->open = false;
}

static void close_hole(struct nbd_conn *conn, struct chunks *chunks, uint64_t to)
{
    struct nbd_read *read = &conn->read;
    if (read->hole_from < to)
        chunks->used += put_hole(conn, read->hole_from, to, chunks->out + chunks->used);
}

static void open_data(struct nbd_conn *conn, struct chunks *chunks)
{
    if (chunks->open) return;
    close_hole(conn, chunks, conn->read.at);
    chunks->open = true;
    chunks->head = chunks->used;
    chunks->data_from = conn->read.at;
    chunks->used += HEAD_BYTES_MAX;
}

/* Adds the next piece, or the error it has. False: it has to be read first. */
static bool add_piece(struct nbd_conn *conn, struct chunks *chunks)
{
    struct nbd_read *read = &conn->read;
    bool zeros, was_open = chunks->open;
    uint32_t size = piece_bytes(conn, read->at);
    struct chunks before = *chunks;
    open_data(conn, chunks);
    enum fp_status status = load(conn, read->at, chunks->out + chunks->used, &zeros);
    if (status == FP_OK && !zeros) {
        chunks->used += size;
        read->at += size;
        read->hole_from = read->at;
        return true;
    }
    if (!was_open) *chunks = before; /* the head is not for this */
    close_data(conn, chunks, read->at);
    if (status == FP_SPILLED) return false;
    if (status == FP_OK) {
        read->at += size;
        return true;
    }
    close_hole(conn, chunks, read->at);
    chunks->used +=
        put_error_at(conn, nbd_error_of(conn, status), read->at, chunks->out + chunks->used);
    read_over(conn);
    return true;
}

static enum nbd_step chunks_step(struct nbd_conn *conn)
{
    struct nbd_read *read = &conn->read;
    uint32_t page_bytes = conn->export->area->page_bytes;
    uint64_t stop = min_u64(read->end, read->at + STEP_BYTES);
    if (nbd_ask(conn, read->at, stop, PROMOTE_BY_POLICY)) return NBD_STEP_AWAIT;
    read->begun = true;
    uint64_t pieces = (stop - read->at) / page_bytes + 2;
    size_t room = (size_t)(stop - read->at) + page_bytes + pieces * (HEAD_BYTES_MAX +
                  NBD_CHUNK_BYTES + NBD_CHUNK_HOLE_BYTES) + TAIL_BYTES_MAX;
    struct chunks chunks = {.out = output_reserve(&conn->output, room)};
    if (chunks.out == NULL) return NBD_STEP_CLOSE;
    bool on = true;
    while (on && read->active && read->at < stop) on = add_piece(conn, &chunks);
    close_data(conn, &chunks, read->at);
    if (read->active && read->at == read->end) {
        close_hole(conn, &chunks, read->end);
        read_over(conn);
    }
    output_commit(&conn->output, chunks.used);
    return on ? NBD_STEP_ON : NBD_STEP_AWAIT;
}

/* --- in one piece ----------------------------------------------------------------------------- */

static size_t put_head(const struct nbd_conn *conn, bool done, uint8_t *out)
{
    const struct nbd_read *read = &conn->read;
    uint32_t size = (uint32_t)(read->end - read->at);
    if (conn->terms.structured) return put_data_head(conn, read->at, size, done, out);
    nbd_simple_encode(read->cookie, NBD_OK, out);
    return NBD_SIMPLE_BYTES;
}

static enum nbd_step whole_step(struct nbd_conn *conn)
{
    struct nbd_read *read = &conn->read;
    size_t size = (size_t)(read->end - read->at);
    size_t head = conn->terms.structured ? HEAD_BYTES_MAX : NBD_SIMPLE_BYTES;
    if (nbd_ask(conn, read->at, read->end, PROMOTE_BY_POLICY)) return NBD_STEP_AWAIT;
    uint8_t *out = output_reserve(&conn->output, head + size + conn->export->area->page_bytes);
    enum nbd_error error = NBD_OK;
    if (out == NULL) return NBD_STEP_CLOSE;
    for (uint64_t at = read->at; at < read->end && error == NBD_OK; at += piece_bytes(conn, at)) {
        enum fp_status status = load_plain(conn, at, out + head + (at - read->at));
        if (status == FP_SPILLED) return NBD_STEP_AWAIT;
        error = nbd_error_of(conn, status);
    }
    read_over(conn);
    if (error == NBD_OK) (void)put_head(conn, true, out);
    output_commit(&conn->output, error == NBD_OK ? head + size : 0);
    struct nbd_request request = {.type = NBD_READ, .cookie = read->cookie};
    if (error != NBD_OK) nbd_reply(conn, &request, error, error == NBD_EIO ? damaged : NULL);
    return NBD_STEP_ON;
}

static enum nbd_step end_long(struct nbd_conn *conn)
{
    struct nbd_read *read = &conn->read;
    uint8_t tail[TAIL_BYTES_MAX];
    size_t used = 0;
    read_over(conn);
    if (!conn->terms.structured) return NBD_STEP_ON;
    if (read->error == NBD_OK) used = put_chunk(conn, NBD_CHUNK_NONE, 0, true, tail);
    else used = put_error_at(conn, read->error, read->error_at, tail);
    output_add(&conn->output, slice_of(tail, used));
    return NBD_STEP_ON;
}

static enum nbd_step long_step(struct nbd_conn *conn)
{
    struct nbd_read *read = &conn->read;
    uint32_t page_bytes = conn->export->area->page_bytes;
    uint64_t stop = min_u64(read->end, read->at + STEP_BYTES);
    if (read->error == NBD_OK && nbd_ask(conn, read->at, stop, PROMOTE_BY_POLICY))
        return NBD_STEP_AWAIT;
    uint8_t *out = output_reserve(&conn->output, HEAD_BYTES_MAX + STEP_BYTES + 2 * page_bytes);
    size_t used = 0;
    if (out == NULL) return NBD_STEP_CLOSE;
    if (!read->begun) used = put_head(conn, false, out);
    read->begun = true;
    enum fp_status status = FP_OK;
    while (read->at < stop) {
        uint32_t size = piece_bytes(conn, read->at);
        enum nbd_error error = read->error;
        if (error == NBD_OK) status = load_plain(conn, read->at, out + used);
        if (status == FP_SPILLED) break;
        if (error == NBD_OK) error = nbd_error_of(conn, status);
        if (error != NBD_OK) memset(out + used, 0, size);
        if (error != NBD_OK && read->error == NBD_OK) read->error_at = read->at;
        read->error = error;
        used += size;
        read->at += size;
    }
    output_commit(&conn->output, used);
    if (read->error != NBD_OK && !conn->terms.structured) {
        nbd_log_lost(conn, damaged);
        return NBD_STEP_CLOSE;
    }
    if (status == FP_SPILLED) return NBD_STEP_AWAIT;
    return read->at == read->end ? end_long(conn) : NBD_STEP_ON;
}

enum nbd_step nbd_read_step(struct nbd_conn *conn)
{
    struct nbd_read *read = &conn->read;
    struct nbd_request request = {.type = NBD_FLUSH, .cookie = read->cookie};
    if (!read->counted) {
        read->counted = true;
        export_count(conn->export, EXPORT_reads, 1);
        export_count(conn->export, EXPORT_read_bytes, read->end - read->at);
    }
    if (read->at == read->end && !read->begun) { /* of nothing */
        read_over(conn);
        if (conn->terms.structured) return end_long(conn);
        nbd_reply(conn, &request, NBD_OK, NULL);
        return NBD_STEP_ON;
    }
    bool in_chunks = conn->terms.structured && !read->one_chunk;
    if (!in_chunks && !read->begun && read->end - read->at <= WHOLE_BYTES_MAX)
        return whole_step(conn);
    return in_chunks ? chunks_step(conn) : long_step(conn);
}
