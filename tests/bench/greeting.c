/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/greeting.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/crc32c.h"
#include "protocol/frame.h"

enum { BODY_BYTES_MAX = FRAME_OPEN_BYTES + 64 };

/* One request and its whole answer, whose body is not looked at. */
static bool exchange(int fd, struct frame *frame, struct slice body, const char *what)
{
    uint8_t bytes[FRAME_HEADER_BYTES + BODY_BYTES_MAX];
    frame->magic = FRAME_MAGIC_REQUEST;
    frame->body_bytes = (uint32_t)body.size_bytes;
    frame->body_crc = crc32c(body.bytes, body.size_bytes);
    frame_encode(frame, bytes);
    memcpy(bytes + FRAME_HEADER_BYTES, body.bytes, body.size_bytes);
    size_t size = FRAME_HEADER_BYTES + body.size_bytes;
    bool good = send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size &&
                recv(fd, bytes, FRAME_HEADER_BYTES, MSG_WAITALL) == FRAME_HEADER_BYTES &&
                frame_decode(bytes, FRAME_MAGIC_REPLY, frame) &&
                frame->body_bytes <= BODY_BYTES_MAX &&
                recv(fd, bytes, frame->body_bytes, MSG_WAITALL) == (ssize_t)frame->body_bytes;
    if (good && frame->status == FRAME_OK) return true;
    fprintf(stderr, "bench: %s: %s\n", what, good ? frame_status_text(frame->status) : "no answer");
    return false;
}

bool greeting_exchange(int fd, uint64_t slots, uint32_t *area)
{
    uint8_t body[BODY_BYTES_MAX];
    struct frame_hello hello = {.version_lowest = FRAME_VERSION,
                                .version_highest = FRAME_VERSION,
                                .features = FRAME_FEATURE_PACKED};
    struct frame_open open = {
        .flags = FRAME_OPEN_CREATE, .slots = slots, .name = slice_text("bench")};
    struct frame first = {.opcode = FRAME_HELLO}, second = {.opcode = FRAME_OPEN};
    frame_hello_encode(&hello, body);
    if (!exchange(fd, &first, slice_of(body, FRAME_HELLO_BYTES), "hello")) return false;
    size_t size = frame_open_encode(&open, body);
    if (!exchange(fd, &second, slice_of(body, size), "open")) return false;
    *area = second.area;
    return true;
}
