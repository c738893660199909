/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/output.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/arith.h"
#include "base/check.h"
#include "tls/tls.h"

enum { TLS_RECORDS_AT_ONCE = 16 }; /* encrypting more would keep the others waiting */

bool output_init(struct output *output, struct output_desk *desk)
{
    output->broken = false;
    output->reserved = NULL;
    output->desk = desk;
    output->lent_bytes = 0;
    output->buffer = evbuffer_new();
    return output->buffer != NULL;
}

static bool is_at_desk(const struct output *output)
{
    return output->desk != NULL && output->desk->user == output;
}

static void leave_desk(struct output *output)
{
    output->desk->user = NULL;
    output->desk->used_bytes = 0;
}

void output_fini(struct output *output)
{
    if (is_at_desk(output)) leave_desk(output);
    if (output->buffer != NULL) evbuffer_free(output->buffer);
    output->buffer = NULL;
    fp_assert(output->lent_bytes == 0);
}

/* The buffer, with all that was written until now. */
static struct evbuffer *whole_buffer(struct output *output)
{
    if (!is_at_desk(output)) return output->buffer;
    const struct output_desk *desk = output->desk;
    if (evbuffer_add(output->buffer, desk->bytes, desk->used_bytes) != 0) output->broken = true;
    leave_desk(output);
    return output->buffer;
}

/* Where size_bytes can be written at the desk; NULL: it has no room, or others are there. */
static uint8_t *place_at_desk(struct output *output, size_t size_bytes)
{
    struct output_desk *desk = output->desk;
    if (desk == NULL) return NULL;
    if (desk->user == NULL && evbuffer_get_length(output->buffer) == 0) desk->user = output;
    if (desk->user != output || OUTPUT_DESK_BYTES - desk->used_bytes < size_bytes) return NULL;
    return desk->bytes + desk->used_bytes;
}

void output_add(struct output *output, struct slice bytes)
{
    uint8_t *at = place_at_desk(output, bytes.size_bytes);
    if (at != NULL) {
        if (bytes.size_bytes > 0) memcpy(at, bytes.bytes, bytes.size_bytes);
        output->desk->used_bytes += bytes.size_bytes;
    } else if (evbuffer_add(whole_buffer(output), bytes.bytes, bytes.size_bytes) != 0) {
        output->broken = true;
    }
}

void output_text(struct output *output, const char *text)
{
    output_add(output, slice_text(text));
}

void output_prepend(struct output *output, struct slice bytes)
{
    if (evbuffer_prepend(whole_buffer(output), bytes.bytes, bytes.size_bytes) != 0)
        output->broken = true;
}

/* --- lending ---------------------------------------------------------------------------------- */

struct loan {
    struct output *output;
    void (*done)(void *owner);
    void *owner;
};

static void on_loan_over(const void *bytes, size_t size_bytes, void *opaque)
{
    (void)bytes;
    struct loan *loan = opaque;
    loan->output->lent_bytes -= size_bytes;
    loan->done(loan->owner);
    free(loan);
}

void output_lend(struct output *output, struct slice bytes, void (*done)(void *owner), void *owner)
{
    struct loan *loan = malloc(sizeof *loan);
    if (loan != NULL) {
        *loan = (struct loan){output, done, owner};
        struct evbuffer *buffer = whole_buffer(output);
        if (evbuffer_add_reference(buffer, bytes.bytes, bytes.size_bytes, on_loan_over, loan) ==
            0) {
            output->lent_bytes += bytes.size_bytes;
            return;
        }
        free(loan);
    }
    output->broken = true;
    done(owner);
}

size_t output_own_pending(const struct output *output)
{
    size_t pending = output_pending(output);
    return pending > output->lent_bytes ? pending - output->lent_bytes : 0;
}

uint8_t *output_reserve(struct output *output, size_t size_bytes)
{
    struct evbuffer_iovec space;
    output->reserved = place_at_desk(output, size_bytes);
    if (output->reserved != NULL) return output->reserved;
    if (evbuffer_reserve_space(whole_buffer(output), (ev_ssize_t)size_bytes, &space, 1) == 1)
        output->reserved = space.iov_base;
    else
        output->broken = true;
    return output->reserved;
}

void output_commit(struct output *output, size_t size_bytes)
{
    struct evbuffer_iovec space = {.iov_base = output->reserved, .iov_len = size_bytes};
    fp_assert(output->reserved != NULL);
    if (is_at_desk(output))
        output->desk->used_bytes += size_bytes;
    else
        fp_assert(evbuffer_commit_space(output->buffer, &space, 1) == 0);
    output->reserved = NULL;
}

size_t output_pending(const struct output *output)
{
    /* Nothing is in the buffer of one that is at the desk: it came there with an empty one. */
    return is_at_desk(output) ? output->desk->used_bytes : evbuffer_get_length(output->buffer);
}

size_t output_buffered(const struct output *output)
{
    return is_at_desk(output) ? 0 : evbuffer_get_length(output->buffer);
}

struct slice output_contiguous(struct output *output)
{
    const uint8_t *bytes = evbuffer_pullup(whole_buffer(output), -1);
    if (bytes == NULL && output_pending(output) > 0) output->broken = true;
    return bytes == NULL ? slice_of(NULL, 0) : slice_of(bytes, output_pending(output));
}

bool output_is_due(const struct output *output)
{
    return is_at_desk(output) && output->desk->used_bytes >= OUTPUT_DESK_BYTES / 2;
}

static bool is_for_later(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* Nothing is pending before what stands at the desk: an output comes there with an empty buffer. */
static long send_from_desk(struct output *output, int fd)
{
    struct output_desk *desk = output->desk;
    ssize_t sent = send(fd, desk->bytes, desk->used_bytes, MSG_NOSIGNAL);
    if (sent < 0 && !is_for_later(errno)) return -1;
    if (sent < 0) sent = 0;
    size_t left = desk->used_bytes - (size_t)sent;
    if (left > 0 && evbuffer_add(output->buffer, desk->bytes + sent, left) != 0)
        output->broken = true;
    leave_desk(output);
    return sent;
}

long output_send(struct output *output, int fd)
{
    if (is_at_desk(output) && output->desk->used_bytes == 0) leave_desk(output);
    if (is_at_desk(output)) return send_from_desk(output, fd);
    if (output_pending(output) == 0) return 0;
    int sent = evbuffer_write(output->buffer, fd);
    if (sent >= 0) return sent;
    return is_for_later(errno) ? 0 : -1;
}

/* --- through TLS ------------------------------------------------------------------------------ */

static long write_tls(struct tls *tls, const uint8_t *bytes, size_t size_bytes)
{
    long sent = tls_write(tls, bytes, size_bytes);
    if (sent >= 0) return sent;
    return is_for_later(errno) ? 0 : -1;
}

/* One record from the front of the buffer. A record that did not go out whole is asked for again
 * and is then no shorter, since output only grows: as tls_write wants it. */
static long send_record(struct output *output, struct tls *tls)
{
    uint8_t gathered[TLS_RECORD_BYTES];
    struct evbuffer_iovec first = {0};
    size_t size = min_u64(evbuffer_get_length(output->buffer), sizeof gathered);
    evbuffer_peek(output->buffer, 1, NULL, &first, 1);
    const uint8_t *bytes = first.iov_base;
    if (first.iov_len < size) { /* in pieces: one record is cheaper than one for each */
        if (evbuffer_copyout(output->buffer, gathered, size) != (ev_ssize_t)size) return -1;
        bytes = gathered;
    }
    long sent = write_tls(tls, bytes, size);
    if (sent > 0) evbuffer_drain(output->buffer, (size_t)sent);
    return sent;
}

/* As send_from_desk. */
static long send_tls_from_desk(struct output *output, struct tls *tls)
{
    struct output_desk *desk = output->desk;
    size_t done = 0;
    long sent = 1;
    while (done < desk->used_bytes && sent > 0) {
        size_t size = min_u64(desk->used_bytes - done, TLS_RECORD_BYTES);
        sent = write_tls(tls, desk->bytes + done, size);
        if (sent > 0) done += (size_t)sent;
    }
    if (sent < 0) return -1;
    if (done < desk->used_bytes &&
        evbuffer_add(output->buffer, desk->bytes + done, desk->used_bytes - done) != 0)
        output->broken = true;
    leave_desk(output);
    return (long)done;
}

long output_send_tls(struct output *output, struct tls *tls)
{
    if (is_at_desk(output) && output->desk->used_bytes == 0) leave_desk(output);
    if (is_at_desk(output)) return send_tls_from_desk(output, tls);
    long done = 0;
    for (int i = 0; i < TLS_RECORDS_AT_ONCE && evbuffer_get_length(output->buffer) > 0; i++) {
        long sent = send_record(output, tls);
        if (sent < 0) return -1;
        if (sent == 0) break;
        done += sent;
    }
    return done;
}
