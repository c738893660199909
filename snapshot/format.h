/* SPDX-License-Identifier: BSD-3-Clause
 * format - what a snapshot is made of: a preamble, then records, each with its length and a
 * checksum that goes on from the record before. docs/snapshot.md has the bytes; this is their C
 * form, used by who writes a snapshot and by who reads one.
 *
 *   preamble HEAD { DICTIONARY | TENANT | AREA }*  then, each before it is named:
 *   { SEAT | DICTIONARY | TENANT | EXPORT | PAGES | ITEM PIECES* }*  END
 *
 * Numbers are little-endian; in these structures they are the host's. Pure.
 */
#ifndef FARPAGE_SNAPSHOT_FORMAT_H
#define FARPAGE_SNAPSHOT_FORMAT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* As a PNG's: a file that went through something that takes it for text is told apart at once. */
#define SNAPSHOT_MAGIC "\x89" "FPS\r\n\x1a\n"

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_MAGIC_BYTES = 8,
    SNAPSHOT_PREAMBLE_BYTES = 16,
    SNAPSHOT_HEADER_BYTES = 16,      /* of a record */
    SNAPSHOT_BODY_BYTES_MAX = 512 << 10,
    SNAPSHOT_RECORD_BYTES_MAX = SNAPSHOT_HEADER_BYTES + SNAPSHOT_BODY_BYTES_MAX,
    SNAPSHOT_BOOT_ID_BYTES = 16,
    SNAPSHOT_RELEASE_BYTES_MAX = 64, /* of the text that says which server wrote it */
    SNAPSHOT_NAME_BYTES_MAX = 64,    /* of an area or an export */
    SNAPSHOT_FORWARD_BYTES_MAX = 320,
    SNAPSHOT_ALGORITHM_BYTES_MAX = 15,
    SNAPSHOT_AREAS_MAX = 1024,
    SNAPSHOT_SEATS_MAX = 256,
    SNAPSHOT_DICTIONARIES_MAX = SNAPSHOT_AREAS_MAX + SNAPSHOT_SEATS_MAX,
    SNAPSHOT_EXPORTS_MAX = SNAPSHOT_AREAS_MAX,
    SNAPSHOT_TENANTS_MAX = 64,
    SNAPSHOT_DICTIONARY_BYTES_MAX = 256 << 10,
    SNAPSHOT_ROW_SLOTS = 1024,       /* the pages of one record are of one row */
    SNAPSHOT_OBJECT_BYTES_MAX = 64 << 10,
    SNAPSHOT_PIECE_BYTES = 16 << 10, /* of an item's value, before it is packed */
    SNAPSHOT_ENTRY_BYTES = 16,       /* in front of a page's or a piece's bytes */
    SNAPSHOT_WORD_BYTES = 8,
    SNAPSHOT_KEY_BYTES_MAX = 250,
};

/* X(number, name, text, meaning). Numbers are never used again. */
#define SNAPSHOT_RECORDS(X)                                                                        \
    X(1, SNAPSHOT_HEAD, "head", "what it is a snapshot of, and when")                              \
    X(2, SNAPSHOT_DICTIONARY, "dictionary", "bytes that objects are packed with")                  \
    X(3, SNAPSHOT_AREA, "area", "an area as it was at the beginning")                              \
    X(4, SNAPSHOT_SEAT, "seat", "an algorithm with its level and dictionary")                      \
    X(5, SNAPSHOT_PAGES, "pages", "pages of one row of an area")                                   \
    X(6, SNAPSHOT_EXPORT, "export", "a block device that a template had made")                     \
    X(7, SNAPSHOT_ITEM, "item", "an item, with its value or the first pieces of it")               \
    X(8, SNAPSHOT_PIECES, "pieces", "more of that value")                                          \
    X(9, SNAPSHOT_END, "end", "what there was in all; nothing follows")                            \
    X(10, SNAPSHOT_TENANT, "tenant", "the name of who owns areas or items")

enum snapshot_type {
#define X(number, name, text, meaning) name = number,
    SNAPSHOT_RECORDS(X)
#undef X
    SNAPSHOT_TYPES
};

enum snapshot_kind {
    SNAPSHOT_OF_STOP = 1,    /* of a server that stopped: what is in it was not changed after it */
    SNAPSHOT_OF_SERVING = 2, /* of one that went on: identities in it are not to be used again */
};

struct snapshot_head {
    enum snapshot_kind kind;
    uint8_t boot_id[SNAPSHOT_BOOT_ID_BYTES];
    uint32_t page_bytes;      /* storage.page_size */
    uint32_t areas;           /* AREA records that follow */
    uint64_t unix_ns;         /* when it was begun; the pages are of this moment */
    uint64_t last_generation; /* of areas */
    uint64_t flush_unix_s;    /* when a delayed flush_all is due; 0: none is */
    uint64_t inode;           /* of the file it was written to; 0: it was streamed */
    struct slice release;     /* of the server */
};

enum snapshot_lifetime { SNAPSHOT_STAYS, SNAPSHOT_TRANSIENT, SNAPSHOT_CONFIGURED,
                         SNAPSHOT_LIFETIMES };

struct snapshot_area {
    uint32_t number; /* 0, 1, ... in order */
    uint32_t page_bytes;
    uint64_t slots, generation;
    uint64_t quota_pages, quota_bytes;
    uint32_t dictionary; /* the number of the one its pages are packed with, + 1; 0: none */
    uint32_t tenant;     /* the number of its owner, + 1; 0: nobody that was named */
    enum snapshot_lifetime lifetime;
    bool as_they_are; /* none of its pages is packed */
    bool moved;       /* to where `forward` says; no pages are here */
    struct slice name, forward;
};

struct snapshot_dictionary {
    uint32_t number; /* 0, 1, ... in order */
    uint64_t owner;  /* generation of the area that it was trained for */
    struct slice bytes;
};

struct snapshot_seat {
    uint32_t number; /* 0, 1, ... in order */
    int32_t level;
    uint32_t dictionary; /* its number + 1; 0: none */
    struct slice algorithm;
};

enum snapshot_form {
    SNAPSHOT_PACKED,  /* by the seat's algorithm */
    SNAPSHOT_PLAIN,   /* as they are */
    SNAPSHOT_WORD,    /* one repeated word of 8 bytes */
    SNAPSHOT_CORRUPT, /* it was known to be damaged; no bytes */
    SNAPSHOT_FORMS
};

/* A page, or a piece of a value. */
struct snapshot_entry {
    uint32_t place; /* of a page: its slot in the row; of a piece: its number in the value */
    enum snapshot_form form;
    uint8_t seat;   /* of what is packed */
    uint32_t check; /* the upper 30 bits of the CRC32C of the plain bytes, of a whole page that is
                     * plain the upper 22; the others are 0 */
    struct slice bytes;
};

struct snapshot_pages {
    uint32_t area;
    uint32_t count;
    uint64_t first; /* slot; a multiple of SNAPSHOT_ROW_SLOTS */
    struct slice entries;
};

struct snapshot_item {
    uint32_t flags;
    uint32_t value_bytes;
    uint64_t cas;
    uint64_t expires_unix_s; /* 0: never */
    uint32_t idle_s;         /* nobody had used it for so long */
    uint32_t pieces;         /* in this record; those that follow it have the others */
    uint32_t tenant;         /* as an area's */
    bool key_binary, fetched, stale, won, wanted; /* wanted: it was read again and again */
    struct slice key, entries;
};

struct snapshot_pieces {
    uint32_t count;
    struct slice entries;
};

struct snapshot_totals { /* of what came before END */
    uint64_t records, areas;
    uint64_t pages, same_filled, corrupt;
    uint64_t plain_bytes, packed_bytes; /* of pages; packed: the objects' */
    uint64_t items, key_bytes, value_bytes, value_packed_bytes;
    uint64_t dictionary_bytes;
};
enum { SNAPSHOT_TOTALS = sizeof(struct snapshot_totals) / sizeof(uint64_t) };

struct snapshot_end {
    struct snapshot_totals totals;
    uint64_t unix_ns;    /* when it was complete */
    uint64_t last_cas;
    uint64_t file_bytes; /* of the whole snapshot, this record included */
};
enum {
    SNAPSHOT_END_BYTES = 8 * (SNAPSHOT_TOTALS + 3),
    SNAPSHOT_TAIL_BYTES = SNAPSHOT_HEADER_BYTES + SNAPSHOT_END_BYTES, /* of a whole file */
};

static inline uint32_t snapshot_pieces_of(uint32_t value_bytes)
{
    return value_bytes / SNAPSHOT_PIECE_BYTES + (value_bytes % SNAPSHOT_PIECE_BYTES != 0);
}
/* The plain bytes of a piece. */
static inline uint32_t snapshot_piece_bytes(uint32_t value_bytes, uint32_t piece)
{
    uint32_t left = value_bytes - piece * SNAPSHOT_PIECE_BYTES;
    return left < SNAPSHOT_PIECE_BYTES ? left : SNAPSHOT_PIECE_BYTES;
}

#endif
