/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/output.h"

#include <errno.h>
#include <event2/buffer.h>

#include "base/check.h"

bool output_init(struct output *output)
{
    output->broken = false;
    output->reserved = NULL;
    output->buffer = evbuffer_new();
    return output->buffer != NULL;
}

void output_fini(struct output *output)
{
    if (output->buffer != NULL) evbuffer_free(output->buffer);
    output->buffer = NULL;
}

void output_add(struct output *output, struct slice bytes)
{
    if (evbuffer_add(output->buffer, bytes.bytes, bytes.size_bytes) != 0) output->broken = true;
}

void output_text(struct output *output, const char *text)
{
    output_add(output, slice_text(text));
}

uint8_t *output_reserve(struct output *output, size_t size_bytes)
{
    struct evbuffer_iovec space;
    output->reserved = NULL;
    if (evbuffer_reserve_space(output->buffer, (ev_ssize_t)size_bytes, &space, 1) == 1)
        output->reserved = space.iov_base;
    else
        output->broken = true;
    return output->reserved;
}

void output_commit(struct output *output, size_t size_bytes)
{
    struct evbuffer_iovec space = {.iov_base = output->reserved, .iov_len = size_bytes};
    fp_assert(output->reserved != NULL);
    fp_assert(evbuffer_commit_space(output->buffer, &space, 1) == 0);
    output->reserved = NULL;
}

size_t output_pending(const struct output *output)
{
    return evbuffer_get_length(output->buffer);
}

struct slice output_contiguous(struct output *output)
{
    const uint8_t *bytes = evbuffer_pullup(output->buffer, -1);
    if (bytes == NULL && output_pending(output) > 0) output->broken = true;
    return bytes == NULL ? slice_of(NULL, 0) : slice_of(bytes, output_pending(output));
}

long output_send(struct output *output, int fd)
{
    if (output_pending(output) == 0) return 0;
    int sent = evbuffer_write(output->buffer, fd);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}
