/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/wire_status.h"

#include "base/attrs.h"
#include "protocol/frame.h"

#define STATUSES(X)                         \
    X(FARPAGE_OK, "ok")                     \
    X(FARPAGE_ABSENT, "absent")             \
    X(FARPAGE_CORRUPT, "corrupt")           \
    X(FARPAGE_NO_MEMORY, "no memory")       \
    X(FARPAGE_RANGE, "range")               \
    X(FARPAGE_NO_AREA, "no area")           \
    X(FARPAGE_BAD_AREA, "bad area")         \
    X(FARPAGE_INVALID, "invalid")           \
    X(FARPAGE_UNREACHABLE, "unreachable")   \
    X(FARPAGE_DISCONNECTED, "disconnected") \
    X(FARPAGE_TIMEOUT, "timeout")           \
    X(FARPAGE_PROTOCOL, "protocol")         \
    X(FARPAGE_LIMIT, "limit")               \
    X(FARPAGE_REFUSED, "refused")           \
    X(FARPAGE_BUSY, "busy")                 \
    X(FARPAGE_CHANGED, "changed")           \
    X(FARPAGE_EXPIRED, "expired")           \
    X(FARPAGE_NO_MAP, "no map")             \
    X(FARPAGE_MAP_MODE, "map mode")         \
    X(FARPAGE_LOST, "lost")                 \
    X(FARPAGE_QUOTA, "quota")               \
    X(FARPAGE_DRAINING, "draining")         \
    X(FARPAGE_MOVED, "moved")               \
    X(FARPAGE_DENIED, "denied")             \
    X(FARPAGE_NOT_READY, "not ready")

const char *farpage_status_text(enum farpage_status status)
{
    static const char *const texts[] = {
#define X(name, text) [name] = text,
        STATUSES(X)
#undef X
    };
    bool known = (unsigned)status < FP_COUNT_OF(texts) && texts[status] != NULL;
    return known ? texts[status] : "unknown status";
}

struct wire_row {
    enum farpage_status status;
    const char *sentence;
};

static struct wire_row row_of(uint16_t wire)
{
    /* BAD_CHECKSUM: the page changed between here and there, or under our hands. */
    static const struct wire_row rows[] = {
        [FRAME_OK] = {FARPAGE_OK, "done"},
        [FRAME_ABSENT] = {FARPAGE_ABSENT, "nothing is stored there"},
        [FRAME_CORRUPT] = {FARPAGE_CORRUPT, "the page is corrupt: its checksum does not match"},
        [FRAME_NO_MEMORY] = {FARPAGE_NO_MEMORY, "the server's memory limit is reached"},
        [FRAME_RANGE] = {FARPAGE_RANGE, "the slots are not all within the area"},
        [FRAME_NO_AREA] = {FARPAGE_NO_AREA, "there is no such area"},
        [FRAME_BAD_AREA] = {FARPAGE_BAD_AREA, "the server takes no area of that name"},
        [FRAME_BAD_LENGTH] = {FARPAGE_REFUSED, "the server found the request's length wrong"},
        [FRAME_BAD_CHECKSUM] = {FARPAGE_CORRUPT, "the page did not arrive as it was sent"},
        [FRAME_BAD_OPCODE] = {FARPAGE_REFUSED, "the server does not know this request"},
        [FRAME_BAD_VERSION] = {FARPAGE_PROTOCOL, "the server has no protocol version in common"},
        [FRAME_NO_HELLO] = {FARPAGE_PROTOCOL, "the server did not understand the hello"},
        [FRAME_BAD_HEADER] = {FARPAGE_PROTOCOL, "the server could not read the request"},
        [FRAME_LIMIT] = {FARPAGE_LIMIT, "a documented limit of the server is reached"},
        [FRAME_NO_SECTION] = {FARPAGE_REFUSED, "the server has no statistics of that name"},
        [FRAME_OFF] = {FARPAGE_REFUSED, "the configuration has switched that off"},
        [FRAME_NO_COMMAND] = {FARPAGE_REFUSED, "the server knows no such command"},
        [FRAME_REFUSED] = {FARPAGE_REFUSED, "the server refused it"},
        [FRAME_BUSY] = {FARPAGE_BUSY, "another has it open"},
        [FRAME_QUOTA] = {FARPAGE_QUOTA, "the area's quota is reached"},
        [FRAME_DRAINING] = {FARPAGE_DRAINING, "the area is being moved and takes no changes now"},
        [FRAME_MOVED] = {FARPAGE_MOVED, "the area is on another server now"},
        [FRAME_CHANGED] = {FARPAGE_CHANGED, "it has changed since it was mapped"},
        [FRAME_EXPIRED] = {FARPAGE_EXPIRED, "the lease of the map has ended"},
        [FRAME_NO_MAP] = {FARPAGE_NO_MAP, "the server knows no such map"},
        [FRAME_MAP_MODE] = {FARPAGE_MAP_MODE, "it is not mapped in that mode"},
        [FRAME_PACKED] = {FARPAGE_OK, "done"},
        [FRAME_NO_DICTIONARY] = {FARPAGE_REFUSED, "the area has no such dictionary"},
        [FRAME_BAD_FIELD] = {FARPAGE_REFUSED, "the server found a field of the request wrong"},
        [FRAME_NO_LOGIN] = {FARPAGE_DENIED, "the server wants a user and a password"},
        [FRAME_BAD_CODEC] = {FARPAGE_REFUSED, "the server takes no page packed like that"},
        [FRAME_LOST] = {FARPAGE_LOST, "what the area held is lost: the server restarted, or the "
                                      "area was deleted"},
    };
    if (wire < FP_COUNT_OF(rows) && rows[wire].sentence != NULL) return rows[wire];
    return (struct wire_row){FARPAGE_PROTOCOL, "the server sent an unknown status"};
}

enum farpage_status wire_status(uint16_t wire)
{
    return row_of(wire).status;
}

const char *wire_status_sentence(uint16_t wire)
{
    return row_of(wire).sentence;
}
