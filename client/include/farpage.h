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
 * Every call that can fail returns an enum farpage_status, 0 for success; farpage_error(), or
 * farpage_area_error() of an area, has the sentence to show to a person. The library keeps no
 * global state, starts no thread but a region's, prints nothing, never aborts and never raises a
 * signal. What a server sends is checked before it is believed.
 *
 * Threads: each area has a connection of its own and belongs to one thread at a time; different
 *          areas, of one client too, may be used by different threads at once. Areas may be opened
 *          and closed on any thread. The calls of this file belong to one thread at a time.
 * Blocks:  every call but farpage_error and the accessors, at most for its timeout. What never
 *          blocks is in farpage_event.h.
 */
#ifndef FARPAGE_H
#define FARPAGE_H
#include <stddef.h>
#include <stdint.h>

#define FARPAGE_API __attribute__((visibility("default")))
#define FARPAGE_MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
extern "C" {
#endif

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
    /* The connection ended and is not made again: it was not wanted (FARPAGE_NO_RECONNECT), it was
     * never there, or the request is none that may be sent twice. It may have been carried out. */
    FARPAGE_DISCONNECTED = 9,
    FARPAGE_TIMEOUT = 10,    /* no answer by the deadline; it may have been carried out */
    FARPAGE_PROTOCOL = 11,   /* the other end speaks something else, or another version */
    FARPAGE_LIMIT = 12,      /* a documented limit of the server is reached */
    FARPAGE_REFUSED = 13,    /* the server refused for another reason; farpage_error says which */
    FARPAGE_BUSY = 14,       /* another has it open, or maps it; the sentence says who */
    FARPAGE_CHANGED = 15,    /* the slot was stored or invalidated while it was mapped */
    FARPAGE_EXPIRED = 16,    /* the map's lease has ended; what was written is gone */
    FARPAGE_NO_MAP = 17,     /* it is not mapped any more; a map ends with its connection */
    /* It is not the area it was: the server was started anew, or the area was deleted. What it held
     * is gone, and every call says so until farpage_area_renew(). */
    FARPAGE_LOST = 18,
    FARPAGE_QUOTA = 19,      /* the area may not hold more; the old page is still there */
    FARPAGE_MAP_MODE = 20,   /* read of a write-only map, write of a read-only one */
    /* It is being moved and takes no changes for now; by the deadline it still took none. */
    FARPAGE_DRAINING = 22,
    /* Not let in: TLS or the login failed, or a file for it is no good; farpage_error says why. */
    FARPAGE_DENIED = 24,
    FARPAGE_MOVED = 23,      /* it is elsewhere now: farpage_area_moved_to() */
    FARPAGE_NOT_READY = 25,  /* no connection could be made: the server starts, or stops */
};

struct farpage;      /* a client: a server and the areas that are open there */
struct farpage_area; /* one open area; farpage_area.h */

enum farpage_flags {
    /* A connection that ends is not made again: every later call is FARPAGE_DISCONNECTED. */
    FARPAGE_NO_RECONNECT = 1u << 0,
    /* An area that was moved to another server is opened there, and nobody notices. Only where its
     * server gave an address in numbers or a unix socket: a name would have to be looked up. */
    FARPAGE_FOLLOW_MOVES = 1u << 1,
    /* Speak TLS, also where none of the files below is named. */
    FARPAGE_TLS = 1u << 2,
};

struct farpage_options {
    const char *server;  /* "HOST:PORT", "[IPV6]:PORT" or "unix:/path"; NULL: 127.0.0.1:11211 */
    uint32_t timeout_ms; /* for each call, connecting included; 0: 10000 */
    uint32_t flags;      /* enum farpage_flags */
    /* Between two attempts to connect again: doubled from 10 ms up to this or to half a timeout,
     * whichever is less, and shortened by up to a half at random; 0: 1000. */
    uint32_t backoff_ms_max;
    /* TLS, where one of these or FARPAGE_TLS is given: the server must have a certificate for the
     * host in `server` (for any over a unix socket), signed by one of the authorities in tls_ca
     * (NULL: the system's). PEM files, read once. */
    const char *tls_ca;
    const char *tls_certificate, *tls_key; /* the client's own; both or neither */
    /* Who the user is, where the server wants to know: a file with the line user:password, which
     * not everybody may read; or the two themselves. A token is a password. */
    const char *auth_file;
    const char *user, *password;
};

struct farpage_server_info {
    uint8_t boot_id[16]; /* random at each start of the server: a new one means all is lost */
    uint32_t page_bytes; /* of an area that is created without saying: 4096, 16384 or 65536 */
    uint16_t version;    /* of the protocol */
};

/* Looks the server up, connects and agrees on the protocol version, in one attempt. On failure
 * *client is still set (unless memory ran out) so that farpage_error() can say why; give it to
 * farpage_disconnect either way. The name of a host is looked up here and never again. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_connect(const struct farpage_options *options, struct farpage **client);

/* Closes its areas, frees the client, and sets *client to NULL. NULL inside is fine. */
FARPAGE_API void farpage_disconnect(struct farpage **client);

/* What the last failed call of this client met, farpage_area_open's included: one sentence without
 * a line end, never NULL, good until its next call. A NULL client answers that memory ran out. */
FARPAGE_API const char *farpage_error(const struct farpage *client);

/* A constant word for a status, "absent". */
FARPAGE_API const char *farpage_status_text(enum farpage_status status);

/* Of the server as the client last met it. */
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

#ifdef __cplusplus
}
#endif

#include "farpage_area.h"
#include "farpage_drain.h"
#include "farpage_snapshot.h"
#include "farpage_event.h"
#include "farpage_map.h"
#include "farpage_region.h"
#endif
