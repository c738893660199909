/* SPDX-License-Identifier: BSD-3-Clause
 * snapshot_objects - unpacks what a snapshot has and compares it with its checks.
 *
 * Life: init -> each DICTIONARY and SEAT as it comes, entries between -> fini. */
#ifndef FARPAGE_CLIENT_CLI_SNAPSHOT_OBJECTS_H
#define FARPAGE_CLIENT_CLI_SNAPSHOT_OBJECTS_H
#include "base/attrs.h"
#include "codec/codec.h"
#include "snapshot/format.h"

struct snapshot_object_seat {
    const struct codec *codec; /* NULL: this program does not know it */
    void *prepared;
    int level;
};

struct snapshot_objects {
    void *unpackers[CODECS];
    uint8_t *plain; /* SNAPSHOT_OBJECT_BYTES_MAX */
    uint32_t dictionary_count, seat_count;
    struct dictionary *dictionaries[SNAPSHOT_DICTIONARIES_MAX];
    struct snapshot_object_seat seats[SNAPSHOT_SEATS_MAX];
};

/* False: out of memory. snapshot_objects_fini is due either way. */
bool snapshot_objects_init(struct snapshot_objects *objects) FP_MUST_CHECK FP_NONNULL(1);
void snapshot_objects_fini(struct snapshot_objects *objects) FP_NONNULL(1);

void snapshot_objects_dictionary(struct snapshot_objects *objects,
                                 const struct snapshot_dictionary *dictionary) FP_NONNULL(1, 2);
void snapshot_objects_seat(struct snapshot_objects *objects, const struct snapshot_seat *seat)
    FP_NONNULL(1, 2);
/* False: it does not unpack to so many bytes with that check. */
bool snapshot_object_is_good(struct snapshot_objects *objects, const struct snapshot_entry *entry,
                             uint32_t plain_bytes) FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
