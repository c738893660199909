/* SPDX-License-Identifier: BSD-3-Clause
 * farpage_map - a page held as it is, read in parts, written in parts and published whole or not at
 * all. Included by farpage.h, which has the rules of threads and errors.
 *
 *     struct farpage_map map;
 *     if (farpage_map_page(area, 7, FARPAGE_MAP_RW, 0, &map)) ...
 *     if (farpage_map_read(area, &map, 0, 8, header)) ...
 *     if (farpage_map_write(area, &map, 0, 8, header)) ...
 *     if (farpage_map_publish(area, &map)) ...
 *
 * Whoever stores to the slot meanwhile does so; the mapper keeps the page that was mapped. A map
 * that is not used for its lease ends, and so does every map of a connection that ends:
 * FARPAGE_EXPIRED and FARPAGE_NO_MAP, and what was written is gone. No request of a map is sent
 * twice. */
#ifndef FARPAGE_MAP_H
#define FARPAGE_MAP_H
#ifndef FARPAGE_H
#error "include farpage.h, which includes this"
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum farpage_map_mode {
    FARPAGE_MAP_RO = 1, /* any number */
    FARPAGE_MAP_RW = 2, /* one writer, beside any number of readers: another is FARPAGE_BUSY */
    FARPAGE_MAP_WO = 3, /* it begins as zeros; the slot may be absent */
};

/* The caller's: there is nothing to free. A copy is the same map. */
struct farpage_map {
    uint64_t slot, id;
    uint64_t connection;    /* of the area's: a map ends with it */
    uint32_t bytes;         /* a page */
    uint32_t lease_seconds; /* each use begins it anew; 0: it never ends */
};

/* Maps the page of `slot`. lease_seconds 0: the server's, which is the longest, too. *map is
 * touched where it is FARPAGE_OK. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_map_page(struct farpage_area *area, uint64_t slot, enum farpage_map_mode mode,
                 uint32_t lease_seconds, struct farpage_map *map);

/* Some bytes of it, as they were mapped and written since; *into is touched where it is
 * FARPAGE_OK. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_map_read(struct farpage_area *area, struct farpage_map *map, uint32_t offset,
                 uint32_t bytes, void *into);
/* Writes some of it, for nobody else to see yet. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_map_write(struct farpage_area *area, struct farpage_map *map, uint32_t offset,
                  uint32_t bytes, const void *from);

/* Ends the map and stores what was written, whole, if the slot still holds what was mapped; else
 * FARPAGE_CHANGED, and nothing is stored. The map is over after these two, after FARPAGE_LOST and
 * FARPAGE_MOVED; after FARPAGE_NO_MEMORY, FARPAGE_QUOTA, FARPAGE_DRAINING and FARPAGE_CORRUPT it is
 * as it was. FARPAGE_DISCONNECTED and FARPAGE_TIMEOUT: it may have been stored. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_map_publish(struct farpage_area *area,
                                                                       struct farpage_map *map);
/* Ends the map; what was written is forgotten. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status farpage_map_discard(struct farpage_area *area,
                                                                       struct farpage_map *map);

#ifdef __cplusplus
}
#endif
#endif
