/* SPDX-License-Identifier: BSD-3-Clause
 * farpage_area - a named, sized array of slots on the server, each for one page. Included by
 * farpage.h, which has the rules of threads and errors.
 *
 * A connection that ends is made again, and the area opened again, by the calls that need it; a
 * page that was on its way is sent or asked for once more. Nobody notices, as long as it is the
 * same area (its boot id and generation say so) and the deadline is not over. */
#ifndef FARPAGE_AREA_H
#define FARPAGE_AREA_H
#ifndef FARPAGE_H
#error "include farpage.h, which includes this"
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum farpage_area_flags {
    /* Others may have it open as well. Else it is this client's alone: FARPAGE_BUSY for others. */
    FARPAGE_AREA_SHARED = 1u << 0,
    FARPAGE_AREA_TRANSIENT = 1u << 1, /* it ends when the last who has it open closes it, or dies */
    FARPAGE_AREA_ZEROS = 1u << 2,     /* absent slots load as zeros here, as a block device's do */
    FARPAGE_AREA_DRAIN = 1u << 3,     /* to take its pages away; farpage_drain.h */
};

/* Pages may be packed here, travel packed, and be unpacked here: the server's processors have no
 * part in it, and less is on the wire. Pages come packed unless it is off, whatever packed them;
 * this is what stores are packed with. A server that does not take it gets them plain. */
enum farpage_pack {
    FARPAGE_PACK_AUTO,  /* what the server packs with, with its dictionary of the area */
    FARPAGE_PACK_OFF,   /* plain pages, both ways */
    FARPAGE_PACK_LZ4,   /* level 1 to 65537, higher is faster */
    FARPAGE_PACK_LZ4HC, /* level 1 to 12, higher is smaller; unpacked as fast as lz4 */
    FARPAGE_PACK_ZSTD,  /* level -50 to 19, higher is smaller */
};

/* The server wants to be rid of the area's pages, so many, within so many seconds. Not 0: the
 * caller will load and invalidate them, at its own pace; 0: it will not, and they stay. Called
 * within whichever call of the area takes the notice in; it may submit. */
typedef int farpage_unuse(void *context, uint64_t stored_pages, uint32_t seconds);

struct farpage_area_options {
    uint64_t slots;       /* 0: the area must exist. Else it is created, or must have as many */
    uint32_t flags;       /* enum farpage_area_flags */
    /* 4096, 16384 or 65536: it has pages of that size, or is not opened. 0: as it is, of a new one
     * the server's; then farpage_area_page_bytes() says how large the caller's pages must be. */
    uint32_t page_bytes;
    uint64_t quota_pages; /* of a new one: pages that may be stored at once; 0: no limit */
    uint64_t quota_bytes; /* of a new one: what they may take, packed; 0: no limit */
    uint32_t timeout_ms;  /* for each operation; 0: the client's */
    enum farpage_pack pack;
    int pack_level;       /* of the codec that pack names; 0: its own */
    uint32_t depth;       /* operations on the way to the server at once; 0: 1024, the most */
    /* Where not NULL, the sentence that says why it could not be opened goes here, and not to
     * farpage_error(): for threads that open areas of one client at once. */
    char *why;
    size_t why_bytes;
    /* NULL: the server is told that it cannot ask. An area that nobody calls or processes hears
     * nothing, and the server waits in vain. */
    farpage_unuse *unuse;
    void *unuse_context;
};

struct farpage_area_info {
    uint64_t slots;
    uint64_t generation;    /* with the boot id it names this very area */
    uint64_t stored_pages;  /* when it was last opened */
    uint64_t connections;   /* made so far for it; 1 where none was lost */
    /* On all of them: pages as they are packed, and what goes around them, but TLS's own. */
    uint64_t sent_bytes, received_bytes;
    uint32_t page_bytes;
    uint32_t dictionary_id; /* what its pages are packed with; 0: none */
    uint8_t boot_id[16];
};

enum farpage_op_kind {
    FARPAGE_OP_STORE,
    FARPAGE_OP_LOAD,
    FARPAGE_OP_INVALIDATE,
    FARPAGE_OP_MAP, /* this and the next in struct farpage_request only; farpage_map.h */
    FARPAGE_OP_MAP_READ,
    FARPAGE_OP_MAP_WRITE,
    FARPAGE_OP_UNMAP,
    FARPAGE_OP_DISCARD,
};

/* One request of a batch. `page` is read by STORE and written by LOAD (page_bytes of it). */
struct farpage_op {
    enum farpage_op_kind kind;
    uint64_t slot;
    uint64_t count;              /* INVALIDATE: slots from `slot` on */
    void *page;
    enum farpage_status status;  /* out */
    uint64_t latency_ns;         /* out: from its first byte sent to its last received */
};

/* Opens an area, or creates it, on a connection of its own, in one attempt. Any thread. It is
 * closed with its client at the latest. *area is NULL on failure. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_area_open(struct farpage *client, const char *name,
                  const struct farpage_area_options *options, struct farpage_area **area);

/* Closes it and sets *area to NULL; what it holds stays on the server, unless it is transient. What
 * was submitted and has no answer yet is answered FARPAGE_DISCONNECTED. Waits, a second at most,
 * until the server knows, unless it is shared. Any thread, while none uses the area. NULL inside is
 * fine. Within a callback it takes effect when that one returns. */
FARPAGE_API void farpage_area_close(struct farpage_area **area);

/* Deletes the area on the server and closes it. FARPAGE_BUSY: others have it open, or it is of the
 * server's configuration. Unless FARPAGE_OK it stays open here. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_area_delete(struct farpage_area **area);

/* After FARPAGE_LOST, and only then: opens the area of that name as it is now, or creates it, as
 * its options say. Whatever was stored before is gone. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_area_renew(struct farpage_area *area);

FARPAGE_API void farpage_area_info(const struct farpage_area *area, struct farpage_area_info *info);
FARPAGE_API uint64_t farpage_area_slots(const struct farpage_area *area);
FARPAGE_API uint32_t farpage_area_page_bytes(const struct farpage_area *area);
FARPAGE_API uint64_t farpage_area_generation(const struct farpage_area *area);

/* Where its pages are since it answered FARPAGE_MOVED, as its server was told: an address, or
 * "file:NAME". NULL: it was not moved. */
FARPAGE_API const char *farpage_area_moved_to(const struct farpage_area *area);

/* What the last failed operation of this area met, as farpage_error() says it. */
FARPAGE_API const char *farpage_area_error(const struct farpage_area *area);

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

/* Runs all operations with up to `depth` (0: 32) of them on the way at once, begun in their order,
 * so that the one that is wanted most comes first, and fills in each one's status. They may be
 * carried out in any order: two that touch the same slot do not belong in one batch. The timeout is
 * each operation's own, from when it is begun. Returns FARPAGE_OK when the server answered every
 * operation, whatever the answers; else the first of FARPAGE_TIMEOUT, FARPAGE_DISCONNECTED,
 * FARPAGE_PROTOCOL, FARPAGE_LOST, FARPAGE_BUSY and FARPAGE_UNREACHABLE that one met; those that
 * were not begun then have FARPAGE_DISCONNECTED. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_batch(struct farpage_area *area, struct farpage_op *ops, size_t count, uint32_t depth);

#ifdef __cplusplus
}
#endif
#endif
