/* SPDX-License-Identifier: BSD-3-Clause
 * frame_table - the requests of the page protocol and the statuses of its replies, one row each.
 *
 * docs/protocol.md has a row for each; tests/tidy compares the two. Numbers are never used again.
 */
#ifndef FARPAGE_PROTOCOL_FRAME_TABLE_H
#define FARPAGE_PROTOCOL_FRAME_TABLE_H

/* Which fields of its header a request uses; the others are 0, and a request where they are not is
 * refused, so that a later version can give them a meaning. */
enum frame_fields {
    FRAME_USES_NONE = 0,
    FRAME_USES_SLOT = 1,
    FRAME_USES_AREA = 2,
    FRAME_USES_COUNT = 4,
    FRAME_USES_ONE = 8, /* the count is 1 */
    FRAME_USES_PAGE = FRAME_USES_SLOT | FRAME_USES_AREA | FRAME_USES_ONE,
    FRAME_USES_PAGES = FRAME_USES_AREA | FRAME_USES_COUNT,
    FRAME_USES_ALL = FRAME_USES_SLOT | FRAME_USES_AREA | FRAME_USES_COUNT,
};

/* X(number, name, text, fields, meaning) */
#define FRAME_OPCODES(X)                                                                           \
    X(1, FRAME_HELLO, "hello", FRAME_USES_NONE, "agree on the version; the first request")         \
    X(2, FRAME_PING, "ping", FRAME_USES_NONE, "answer at once with the same body")                 \
    X(3, FRAME_STATS, "stats", FRAME_USES_NONE, "statistics, one 'name value' a line")             \
    X(4, FRAME_OPEN, "open", FRAME_USES_NONE, "open an area by name, or create it")                \
    X(5, FRAME_STORE, "store", FRAME_USES_PAGE, "keep a page in a slot, replacing what was there") \
    X(6, FRAME_LOAD, "load", FRAME_USES_PAGE, "the page of a slot")                                \
    X(7, FRAME_INVALIDATE, "invalidate", FRAME_USES_ALL, "forget the pages of a run of slots")     \
    X(8, FRAME_COMPACT, "compact", FRAME_USES_COUNT, "start a compaction, or ask how it goes")     \
    X(9, FRAME_COMMAND, "command", FRAME_USES_NONE, "carry out an operator's command, a line")     \
    X(10, FRAME_CLOSE, "close", FRAME_USES_PAGES, "give an area's number up, or delete the area")  \
    X(11, FRAME_MAP, "map", FRAME_USES_ALL, "hold the page of a slot as it is, or to write it")    \
    X(12, FRAME_MREAD, "mread", FRAME_USES_SLOT, "bytes of what is mapped")                        \
    X(13, FRAME_MWRITE, "mwrite", FRAME_USES_SLOT, "write some of it, for nobody to see yet")      \
    X(14, FRAME_UNMAP, "unmap", FRAME_USES_SLOT | FRAME_USES_COUNT,                                \
      "let go of it; what was written is stored, or not")                                          \
    X(15, FRAME_STORE_BATCH, "store batch", FRAME_USES_PAGES, "keep up to 256 pages as they come") \
    X(16, FRAME_LOAD_BATCH, "load batch", FRAME_USES_PAGES, "up to 256 pages, in the order asked") \
    X(17, FRAME_INVALIDATE_BATCH, "invalidate batch", FRAME_USES_PAGES, "forget up to 256 pages")  \
    X(18, FRAME_DICTIONARY, "dictionary", FRAME_USES_SLOT | FRAME_USES_AREA, "one of the area's")  \
    X(19, FRAME_UNUSE, "unuse", FRAME_USES_ALL, "the server asks to take an area's pages")         \
    X(20, FRAME_UNUSE_ANSWER, "unuse answer", FRAME_USES_AREA | FRAME_USES_COUNT, "will it")       \
    X(21, FRAME_DRAIN, "drain", FRAME_USES_ALL, "freeze an area, say where it moved, ask for it")  \
    X(22, FRAME_STORED, "stored", FRAME_USES_ALL, "which slots hold pages, and what changed")      \
    X(23, FRAME_SNAPSHOT, "snapshot", FRAME_USES_COUNT, "all that is stored, piece by piece")

enum frame_opcode {
#define X(number, name, text, fields, meaning) name = number,
    FRAME_OPCODES(X)
#undef X
};

#define FRAME_STATUSES(X)                                                                          \
    X(0, FRAME_OK, "ok", "done")                                                                   \
    X(1, FRAME_ABSENT, "absent", "nothing is stored in that slot")                                 \
    X(2, FRAME_CORRUPT, "corrupt", "the stored page does not match its checksum; it is not sent")  \
    X(3, FRAME_NO_MEMORY, "no memory", "the memory limit is reached; the old page is still there") \
    X(4, FRAME_RANGE, "range", "the slots are not all within the area")                            \
    X(5, FRAME_NO_AREA, "no area", "no area of that name, or that number is not open here")        \
    X(6, FRAME_BAD_AREA, "bad area", "the area's name or size is not possible, or it differs")     \
    X(7, FRAME_BAD_LENGTH, "bad length", "the body is not as long as this request's must be")      \
    X(8, FRAME_BAD_CHECKSUM, "bad checksum", "the body did not arrive as it was sent; send again") \
    X(9, FRAME_BAD_OPCODE, "bad opcode", "this server does not know that request")                 \
    X(10, FRAME_BAD_VERSION, "bad version", "no version in common")                                \
    X(11, FRAME_NO_HELLO, "no hello", "the first request must be a hello")                         \
    X(12, FRAME_BAD_HEADER, "bad header", "not a frame; the connection is closed")                 \
    X(13, FRAME_LIMIT, "limit", "a limit named in the documentation is reached")                   \
    X(14, FRAME_NO_SECTION, "no section", "no statistics of that name")                            \
    X(15, FRAME_OFF, "off", "the configuration has switched that off")                             \
    X(16, FRAME_NO_COMMAND, "no command", "no operator's command of that name")                    \
    X(17, FRAME_REFUSED, "refused", "the command changed nothing; the body says why")              \
    X(18, FRAME_PACKED, "packed", "done; the body is the page, packed")                            \
    X(19, FRAME_BUSY, "busy", "in use by another; the body says by whom and since when")           \
    X(20, FRAME_CHANGED, "changed", "it was stored or invalidated while mapped, and stays so")     \
    X(21, FRAME_EXPIRED, "expired", "the map's lease has ended; it is not mapped any more")        \
    X(22, FRAME_NO_MAP, "no map", "no map of that number here")                                    \
    X(23, FRAME_LOST, "lost", "not that area any more: the server restarted, or it was deleted")   \
    X(24, FRAME_QUOTA, "quota", "the area may not hold more; the old page is still there")         \
    X(25, FRAME_MAP_MODE, "map mode", "read of a write-only map, write of a read-only one")        \
    X(26, FRAME_NO_DICTIONARY, "no dictionary", "not a dictionary that this area has")             \
    X(27, FRAME_DRAINING, "draining", "the area takes no changes for now; loads go on")            \
    X(28, FRAME_MOVED, "moved", "the area is elsewhere now; OPEN's reply says where")              \
    X(29, FRAME_BAD_CODEC, "bad codec", "packed in a way that was not agreed on")                  \
    X(30, FRAME_BAD_FIELD, "bad field", "a field of the header that this request does not use")   \
    X(31, FRAME_NO_LOGIN, "no login", "authenticate first; the connection is closed")

enum frame_status {
#define X(number, name, text, meaning) name = number,
    FRAME_STATUSES(X)
#undef X
};

#endif
