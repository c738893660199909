/* SPDX-License-Identifier: BSD-3-Clause
 * exports - areas as network block devices: which there are, by what names, and who uses them.
 *
 * A configured export shows one area and is there from the start. A template makes one, with an
 * area of its own, for each name that a client puts in the place of its star; it is gone when its
 * last connection was for longer than its grace.
 *
 * An export is this one only: its identity is the server's boot id and the area's generation. A
 * client may ask for NAME or for NAME@IDENTITY, which is never another one than it was.
 *
 * A client that asks by the plain name comes back by it, too. So that it is not taken in by a
 * server started anew, plain names that were handed out are noted (handouts.h), and refused by the
 * next server until they are recreated. Who asks by identity needs no note.
 *
 * The area is open shared for each connection (openers.h): all see each other's writes at once, and
 * a frame client that has it exclusively keeps them out, as they keep it out.
 *
 * Threads: any. Locks: RANK_EXPORTS, and within it RANK_HANDOUTS and RANK_OPENERS. Blocks: open,
 * recreate, sweep and stop, for a line to the disk, where a name is noted or forgotten.
 */
#ifndef FARPAGE_SERVER_EXPORTS_H
#define FARPAGE_SERVER_EXPORTS_H
#include <stdatomic.h>

#include "base/lock.h"
#include "server/config/config.h"
#include "server/exports/handouts.h"
#include "server/peer/openers.h"

enum {
    EXPORT_IDENTITY_BYTES = 40,
    EXPORT_NAME_BYTES_MAX = AREA_NAME_BYTES_MAX + 1 + EXPORT_IDENTITY_BYTES,
};

/* X(name, meaning): what is counted of an export, since the start. */
#define EXPORT_COUNTERS(X)                                                                         \
    X(reads, "reads answered")                                                                     \
    X(read_bytes, "bytes of them, holes included")                                                 \
    X(writes, "writes answered, refused ones included")                                            \
    X(write_bytes, "bytes of those that were kept")                                                \
    X(trims, "trims and write-zeroes answered")                                                    \
    X(trim_bytes, "bytes of them")                                                                 \
    X(flushes, "flushes")                                                                          \
    X(partial_pages, "parts of pages written: each a read, a change and a store")                  \
    X(no_space, "requests refused with ENOSPC because memory or a quota was full")                 \
    X(errors, "requests refused for another reason")

enum export_counter {
#define X(name, meaning) EXPORT_##name,
    EXPORT_COUNTERS(X)
#undef X
    EXPORT_COUNTERS_COUNT
};

struct export {
    char name[AREA_NAME_BYTES_MAX + 1];
    char identity[EXPORT_IDENTITY_BYTES];
    const struct config_export *rule; /* what it was made by; as long as the exports */
    struct area *area;                /* a use */
    _Atomic uint64_t counters[EXPORT_COUNTERS_COUNT];
    _Atomic uint64_t told_ns; /* monotonic: when the log was last told that it is full */
    /* under the lock */
    uint32_t connections;
    uint64_t idle_since_ns; /* monotonic; of a template's with no connection */
    struct export *next;
};

struct exports {
    struct lock lock;
    struct store *store;
    struct openers *openers;
    const uint8_t *boot_id;
    struct handouts handouts;
    uint64_t last_generation;
    struct config_export *rules;
    uint8_t tenants[CONFIG_EXPORTS_MAX]; /* whose areas each rule makes */
    uint32_t rule_count;
    struct export *first;
    uint32_t connections; /* of all */
};

void exports_init(struct exports *exports) FP_NONNULL(1);
void exports_fini(struct exports *exports, struct store *store) FP_NONNULL(1);

struct exports_place { /* what they live in; outlives them */
    struct store *store;
    struct openers *openers;
    const uint8_t *boot_id;
    const struct config *config; /* for the call only */
    uint64_t last_generation; /* areas up to it were there in this server's run before; 0: none */
};
enum { EXPORTS_REASON_BYTES = HANDOUTS_REASON_BYTES + 64 };
/* Makes the configured ones. On failure *reason says of what, and why. */
enum fp_status exports_start(struct exports *exports, const struct exports_place *place,
                             char reason[EXPORTS_REASON_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
/* One that a template had made in the run before, with its area. FP_ABSENT: no template does so any
 * more, or its area is not what it was; that stays. FP_NO_MEMORY. */
enum fp_status exports_come_back(struct exports *exports, struct slice name, uint64_t now_ns)
    FP_MUST_CHECK FP_NONNULL(1);
/* Calls `each` for those that templates have made, as exports_each. */
void exports_each_made(struct exports *exports, void (*each)(void *context, const char *name),
                       void *context) FP_NONNULL(1, 2);
/* Forgets those that hold nothing which anybody could miss. No client is left. */
void exports_stop(struct exports *exports) FP_NONNULL(1);

struct export_about { /* what is told of one */
    char name[AREA_NAME_BYTES_MAX + 1];
    char identity[EXPORT_IDENTITY_BYTES]; /* "": a template's that is not made yet */
    char description[CONFIG_DESCRIPTION_BYTES + 1];
    uint64_t size_bytes;
    uint32_t page_bytes;
    bool read_only;
    bool lost; /* by its plain name: an earlier server had handed that out */
};
/* What a client would get under that name. FP_ABSENT, FP_LOST: `why` says it. */
enum fp_status exports_describe(struct exports *exports, struct slice name,
                                struct export_about *about, char why[REFUSAL_BYTES_MAX])
    FP_MUST_CHECK FP_NONNULL(1, 3, 4);

/* Lets the opener, which has only its row yet, use the export of that name; makes it by a template
 * where need be. Fails as above, and FP_BUSY, FP_TOO_BIG: `why`; FP_NO_MEMORY. */
enum fp_status exports_open(struct exports *exports, struct slice name, struct opener *opener,
                            struct export **export, char why[REFUSAL_BYTES_MAX])
    FP_MUST_CHECK FP_NONNULL(1, 3, 4, 5);
/* Ends that use; clears *export. */
void exports_close(struct exports *exports, struct opener *opener, struct export **export,
                   uint64_t now_ns) FP_NONNULL(1, 2, 3);

uint32_t exports_connections(struct exports *exports) FP_NONNULL(1); /* of all */

/* Makes an export that is lost, or that nobody uses, anew and empty. FP_ABSENT, FP_BUSY, FP_IO:
 * `why`. FP_NO_MEMORY. */
enum fp_status exports_recreate(struct exports *exports, struct slice name,
                                char why[REFUSAL_BYTES_MAX]) FP_MUST_CHECK FP_NONNULL(1, 3);

/* Ends what templates made and nobody came back to. */
void exports_sweep(struct exports *exports, uint64_t now_ns) FP_NONNULL(1);

/* Calls `each` for all with the lock held: it must be quick and take no lock of RANK_EXPORTS or
 * below. */
void exports_each(struct exports *exports,
                  void (*each)(void *context, const struct export *export), void *context)
    FP_NONNULL(1, 2);
/* For who is called by exports_each, or has it open. */
void exports_about(struct exports *exports, const struct export *export,
                   struct export_about *about) FP_NONNULL(1, 2, 3);

static inline void export_count(struct export *export, enum export_counter which, uint64_t delta)
{
    atomic_fetch_add_explicit(&export->counters[which], delta, memory_order_relaxed);
}

#endif
