/* SPDX-License-Identifier: BSD-3-Clause
 * farpage - keep memory pages on a farpage server.
 *
 *     struct farpage *client;
 *     struct farpage_area *area;
 *     if (farpage_connect(&(struct farpage_options){.server = "127.0.0.1:11211"}, &client)) ...
 *     if (farpage_area_open(client, "swap", &(struct farpage_area_options){0}, &area)) ...
 *     if (farpage_store(area, 7, page)) ...
 *     if (farpage_load(area, 7, page)) ...
 *     farpage_disconnect(&client);
 *
 * Every call that can fail returns an enum farpage_status, 0 for success; farpage_error() has the
 * sentence to show to a person. The library keeps no global state, prints nothing, never aborts and
 * never raises a signal. What a server sends is checked before it is believed.
 *
 * Threads: one client and its areas belong to one thread at a time; different clients are
 *          independent of each other.
 * Blocks:  every call but farpage_error and the accessors, at most options.timeout_ms.
 */
#ifndef FARPAGE_H
#define FARPAGE_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FARPAGE_API __attribute__((visibility("default")))
#define FARPAGE_MUST_CHECK __attribute__((warn_unused_result))

enum farpage_status {
    FARPAGE_OK = 0,
    FARPAGE_ABSENT = 1,      /* nothing is stored in that slot */
    FARPAGE_CORRUPT = 2,     /* the page does not match its checksum, here or on the server */
    FARPAGE_NO_MEMORY = 3,   /* the server's limit (the old page is still there), or malloc here */
    FARPAGE_RANGE = 4,       /* the slots are not all within the area */
    FARPAGE_NO_AREA = 5,     /* no area of that name */
    FARPAGE_BAD_AREA = 6,    /* the area's name or size is not possible, or differs */
    FARPAGE_INVALID = 7,     /* an argument makes no sense; nothing was sent */
    FARPAGE_UNREACHABLE = 8, /* no connection could be made */
    FARPAGE_DISCONNECTED = 9, /* the connection is gone; only farpage_disconnect is left to do */
    FARPAGE_TIMEOUT = 10,    /* no answer in time; the connection is closed, as above */
    FARPAGE_PROTOCOL = 11,   /* the other end speaks something else, or another version */
    FARPAGE_LIMIT = 12,      /* a documented limit of the server is reached */
    FARPAGE_REFUSED = 13,    /* the server refused for another reason; farpage_error says which */
    FARPAGE_LOST = 18,       /* the server restarted, or the area was deleted: its pages are gone */
    FARPAGE_QUOTA = 19,      /* the area may not hold more; the old page is still there */
    FARPAGE_DRAINING = 22,   /* the area is being moved: no changes for now, loads go on */
    FARPAGE_MOVED = 23,      /* the area is elsewhere now */
};

struct farpage;      /* one connection */
struct farpage_area; /* one open area; dies with its client */

struct farpage_options {
    const char *server;  /* "HOST:PORT", "[IPV6]:PORT" or "unix:/path"; NULL: 127.0.0.1:11211 */
    uint32_t timeout_ms; /* for each call, connecting included; 0: 10000 */
};

struct farpage_area_options {
    uint64_t slots; /* 0: the area must exist. Else it is created, or must have as many */
};

struct farpage_server_info {
    uint8_t boot_id[16]; /* random at each start of the server: a new one means all is lost */
    uint32_t page_bytes; /* size of every page: 4096, 16384 or 65536 */
    uint16_t version;    /* of the protocol */
};

enum farpage_op_kind { FARPAGE_OP_STORE, FARPAGE_OP_LOAD, FARPAGE_OP_INVALIDATE };

/* One request of a batch. `page` is read by STORE and written by LOAD (page_bytes of it). */
struct farpage_op {
    enum farpage_op_kind kind;
    uint64_t slot;
    uint64_t count;              /* INVALIDATE: slots from `slot` on */
    void *page;
    enum farpage_status status;  /* out */
    uint64_t latency_ns;         /* out: from its first byte sent to its last received */
};

/* Connects and agrees on the protocol version. On failure *client is still set (unless memory ran
 * out) so that farpage_error() can say why; give it to farpage_disconnect either way. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_connect(const struct farpage_options *options, struct farpage **client);

/* Closes, frees the client and its areas, and sets *client to NULL. NULL inside is fine. */
FARPAGE_API void farpage_disconnect(struct farpage **client);

/* What the last failed call of this client met, one sentence without a line end, never NULL; good
 * until its next call. A NULL client answers that memory ran out. */
FARPAGE_API const char *farpage_error(const struct farpage *client);

/* A constant word for a status, "absent". */
FARPAGE_API const char *farpage_status_text(enum farpage_status status);

FARPAGE_API const struct farpage_server_info *farpage_server(const struct farpage *client);

/* One round trip; *nanoseconds (may be NULL) is how long it took. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_ping(struct farpage *client,
                                                                uint64_t *nanoseconds);

/* The statistics of `section` ("" or NULL: the general ones): calls `each` for every line, in the
 * server's order, with strings that are good during the call only. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_stats(struct farpage *client, const char *section,
              void (*each)(void *context, const char *name, const char *value), void *context);

/* Compaction moves what the server holds together and gives the pages that this empties back to its
 * system, while it goes on serving. Where `start` is not 0, starts one unless one is under way;
 * never waits for its end. Then calls `each`, as farpage_stats does, with what is true now: state
 * (running or idle), moved_objects, freed_pages, skipped_pinned, freeable_pages, and the number and
 * progress of the job that was asked for last; docs/statistics.md explains them. FARPAGE_REFUSED by
 * a server that cannot compact. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_compact(struct farpage *client, int start,
                void (*each)(void *context, const char *name, const char *value), void *context);

/* Tells the server one of its operator's commands, a line of words without its end: "compressor set
 * zstd:3"; docs/protocol.md has them. Calls `each` (may be NULL) with every line of the answer,
 * good during the call only. FARPAGE_REFUSED: nothing was changed, and farpage_error() is the
 * server's sentence that says why. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_command(struct farpage *client, const char *line,
                void (*each)(void *context, const char *line), void *context);

/* Opens an area, or creates it (options). The area is freed with its client. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_area_open(struct farpage *client, const char *name,
                  const struct farpage_area_options *options, struct farpage_area **area);
FARPAGE_API uint64_t farpage_area_slots(const struct farpage_area *area);
FARPAGE_API uint64_t farpage_area_generation(const struct farpage_area *area);

/* Keeps the page in `slot`. When this returns FARPAGE_OK the server has it and will give it back
 * byte for byte, or say that it cannot. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_store(struct farpage_area *area,
                                                                 uint64_t slot, const void *page);

/* Brings the page of `slot`. Anything but FARPAGE_OK leaves *page untouched. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_load(struct farpage_area *area,
                                                                uint64_t slot, void *page);

/* Forgets the pages of `count` slots from `first` on; slots that hold nothing are fine. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_invalidate(struct farpage_area *area, uint64_t first, uint64_t count);

/* Runs all operations with up to `depth` (0: 32) of them on the way at once, and fills in each
 * one's status. They may be carried out in any order: two that touch the same slot do not belong
 * in one batch. Returns FARPAGE_OK when every operation was answered, whatever the answers;
 * anything else means that the connection is gone, and operations without an answer have
 * FARPAGE_DISCONNECTED. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_batch(struct farpage_area *area, struct farpage_op *ops, size_t count, uint32_t depth);

#ifdef __cplusplus
}
#endif
#endif
