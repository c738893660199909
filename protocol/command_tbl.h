/* SPDX-License-Identifier: BSD-3-Clause
 * command_tbl - the commands of the text dialect, one row each.
 *
 * X(command, name, shape, usage): `shape` is how the line is read (enum shape in dialect_text.c).
 * docs/protocol.md has a row for each; tests/tidy compares the two.
 */
#ifndef FARPAGE_PROTOCOL_COMMAND_TBL_H
#define FARPAGE_PROTOCOL_COMMAND_TBL_H

#define COMMANDS(X)                                                                                \
    X(COMMAND_GET, "get", SHAPE_KEYS, "get KEY...")                                                \
    X(COMMAND_GETS, "gets", SHAPE_KEYS, "gets KEY...")                                             \
    X(COMMAND_GAT, "gat", SHAPE_TOUCH_KEYS, "gat EXPTIME KEY...")                                  \
    X(COMMAND_GATS, "gats", SHAPE_TOUCH_KEYS, "gats EXPTIME KEY...")                               \
    X(COMMAND_SET, "set", SHAPE_STORE, "set KEY FLAGS EXPTIME BYTES [noreply]")                    \
    X(COMMAND_ADD, "add", SHAPE_STORE, "add KEY FLAGS EXPTIME BYTES [noreply]")                    \
    X(COMMAND_REPLACE, "replace", SHAPE_STORE, "replace KEY FLAGS EXPTIME BYTES [noreply]")        \
    X(COMMAND_APPEND, "append", SHAPE_STORE, "append KEY FLAGS EXPTIME BYTES [noreply]")           \
    X(COMMAND_PREPEND, "prepend", SHAPE_STORE, "prepend KEY FLAGS EXPTIME BYTES [noreply]")        \
    X(COMMAND_CAS, "cas", SHAPE_CAS, "cas KEY FLAGS EXPTIME BYTES CAS [noreply]")                  \
    X(COMMAND_DELETE, "delete", SHAPE_DELETE, "delete KEY [noreply]")                              \
    X(COMMAND_INCR, "incr", SHAPE_DELTA, "incr KEY DELTA [noreply]")                               \
    X(COMMAND_DECR, "decr", SHAPE_DELTA, "decr KEY DELTA [noreply]")                               \
    X(COMMAND_TOUCH, "touch", SHAPE_TOUCH, "touch KEY EXPTIME [noreply]")                          \
    X(COMMAND_MG, "mg", SHAPE_META, "mg KEY [FLAG...]")                                            \
    X(COMMAND_MS, "ms", SHAPE_META, "ms KEY BYTES [FLAG...]")                                      \
    X(COMMAND_MD, "md", SHAPE_META, "md KEY [FLAG...]")                                            \
    X(COMMAND_MA, "ma", SHAPE_META, "ma KEY [FLAG...]")                                            \
    X(COMMAND_ME, "me", SHAPE_META, "me KEY [b]")                                                  \
    X(COMMAND_MN, "mn", SHAPE_BARE, "mn")                                                          \
    X(COMMAND_MAP, "map", SHAPE_MAP, "map KEY ro|rw|wo [lease SECONDS]")                           \
    X(COMMAND_MREAD, "mread", SHAPE_MAP_READ, "mread ID OFFSET LENGTH")                            \
    X(COMMAND_MWRITE, "mwrite", SHAPE_MAP_WRITE, "mwrite ID OFFSET LENGTH")                        \
    X(COMMAND_UNMAP, "unmap", SHAPE_UNMAP, "unmap ID [discard]")                                   \
    X(COMMAND_MAPS, "maps", SHAPE_BARE, "maps")                                                    \
    X(COMMAND_FLUSH_ALL, "flush_all", SHAPE_FLUSH, "flush_all [DELAY] [noreply]")                  \
    X(COMMAND_STATS, "stats", SHAPE_REST, "stats [SECTION]")                                       \
    X(COMMAND_SLABS, "slabs", SHAPE_REST, "slabs automove 0|1|2 | reassign FROM TO")               \
    X(COMMAND_LRU, "lru", SHAPE_REST,                                                              \
      "lru mode flat|segmented | tune HOT WARM HOT_AGE WARM_AGE | temp_ttl SECONDS")               \
    X(COMMAND_LRU_CRAWLER, "lru_crawler", SHAPE_REST,                                              \
      "lru_crawler metadump|mgdump|crawl all|CLASS,... | sleep US | tocrawl N | enable | disable") \
    X(COMMAND_MEMLIMIT, "cache_memlimit", SHAPE_REST, "cache_memlimit MB [noreply]")               \
    X(COMMAND_WATCH, "watch", SHAPE_REST,                                                          \
      "watch [fetchers] [mutations] [deletions] [evictions] [connevents] [compaction]")            \
    X(COMMAND_SHUTDOWN, "shutdown", SHAPE_REST, "shutdown [graceful]")                             \
    X(COMMAND_COMPACT, "compact", SHAPE_BARE, "compact")                                           \
    X(COMMAND_COMPRESSOR, "compressor", SHAPE_REST, "compressor [set ALGORITHM[:LEVEL]]")          \
    X(COMMAND_CONFIG, "config", SHAPE_REST, "config get [KEY] | set KEY VALUE | reload")           \
    X(COMMAND_DICTIONARY, "dictionary", SHAPE_REST, "dictionary [train AREA [BYTES] | drop AREA]") \
    X(COMMAND_EXPORT, "export", SHAPE_REST, "export recreate NAME")                                \
    X(COMMAND_HEALTH, "health", SHAPE_BARE, "health")                                              \
    X(COMMAND_RECOMPRESS, "recompress", SHAPE_REST,                                                \
      "recompress [start | pause | resume | cancel]")                                              \
    X(COMMAND_SCRUB, "scrub", SHAPE_REST, "scrub [start | stop | status]")                         \
    X(COMMAND_VERSION, "version", SHAPE_BARE, "version")                                           \
    X(COMMAND_VERBOSITY, "verbosity", SHAPE_REST, "verbosity LEVEL [noreply]")                     \
    X(COMMAND_QUIT, "quit", SHAPE_BARE, "quit")                                                    \
    X(COMMAND_DEBUG, "debug", SHAPE_REST, "debug corrupt AREA SLOT | debug corrupt-item KEY")    \
    X(COMMAND_DEBUGTIME, "debugtime", SHAPE_REST, "debugtime p | r | SECONDS")

enum command {
#define X(command, name, shape, usage) command,
    COMMANDS(X)
#undef X
    COMMANDS_COUNT
};

#endif
