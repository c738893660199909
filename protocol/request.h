/* SPDX-License-Identifier: BSD-3-Clause
 * request - turns the text a client sent into one request, and does nothing else.
 *
 * Pure: no I/O, no heap, no lock, no clock, no global. The same bytes always give the same answer,
 * however they were cut into reads; tests/fuzz/fuzz_text.c feeds every cut and compares.
 *
 * A request borrows: its slices point into the caller's buffer and are good until the caller
 * consumes `size_bytes` of it. Nothing here is ever freed.
 *
 * The grammar is docs/protocol.md, section "Text"; each command's row is in command_tbl.h. The
 * answers are memcached 1.6.45's, also the odd ones: clients depend on them.
 */
#ifndef FARPAGE_PROTOCOL_REQUEST_H
#define FARPAGE_PROTOCOL_REQUEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "protocol/command_tbl.h"
#include "protocol/limits.h"

enum request_map { REQUEST_MAP_RO = 1, REQUEST_MAP_RW, REQUEST_MAP_WO };

/* What a meta command asks for besides what other commands have, too. */
struct request_meta {
    struct slice flags;      /* as they were sent, in whose order is answered */
    uint64_t asked;          /* REQUEST_META_BIT of each */
    int64_t create_exptime;  /* N */
    int64_t recache_exptime; /* R */
    uint64_t new_cas;        /* E */
    uint64_t initial;        /* J */
    uint8_t mode;            /* M: its letter; ms and ma: one that there is */
    bool touch_last;         /* T came after N */
    bool recache_last;       /* R came after T */
};
#define REQUEST_META_BIT(letter) (UINT64_C(1) << ((letter) - 'A')) /* 'A' to 'z' */

struct request {
    enum command command;
    struct slice key;       /* the first or only key; empty where the command takes none; of a meta
                             * command with `b` base64 that request_key makes plain */
    struct slice more_keys; /* get family: what follows `key`; read it with request_next_key */
    struct slice value;     /* what is to be stored, without its line end */
    uint64_t value_bytes;   /* REQUEST_VALUE: how long the value behind the line is */
    bool bare;              /* REQUEST_VALUE: the line ended with "\n" alone */
    struct slice rest;      /* SHAPE_REST: the line after the command, blanks trimmed */
    uint32_t flags;         /* the client's, kept and given back */
    int64_t exptime;        /* as sent: 0 never, negative at once, else memcached's two meanings */
    uint64_t cas;           /* COMMAND_CAS */
    uint64_t delta;         /* COMMAND_INCR, COMMAND_DECR */
    enum request_map mode;  /* COMMAND_MAP */
    uint32_t lease_s;       /* COMMAND_MAP: 0 where none was asked for */
    uint64_t map_id;        /* COMMAND_MREAD, COMMAND_MWRITE, COMMAND_UNMAP */
    uint64_t offset;        /* COMMAND_MREAD, COMMAND_MWRITE */
    uint64_t length;        /* COMMAND_MREAD */
    bool discard;           /* COMMAND_UNMAP */
    struct request_meta meta; /* with T in exptime, C in cas, D in delta, F in flags */
    bool noreply;           /* answer nothing, not even an error of this command */
    bool has_exptime;       /* COMMAND_FLUSH_ALL: a delay was given */
    size_t size_bytes;      /* what this request took of the buffer: consume just that */
    uint64_t swallow_bytes; /* REFUSED only: then read and drop so many more, as they come */
    bool too_large;         /* REFUSED only: because of item_bytes_max */
    bool drop_old;          /* REFUSED: the old value of `key` must be deleted; VALUE: so it must
                               where this one cannot be taken in */
};

enum request_parse {
    REQUEST_READY,   /* *request is whole and within every limit */
    REQUEST_VALUE,   /* *request is whole but for its long value: consume the line, then take the
                        value as it comes, and then its end (request_value_end) */
    REQUEST_PARTIAL, /* read at least *more_bytes more, then call again from the same start */
    REQUEST_REFUSED, /* answer *refusal (unless request->noreply), consume, swallow, go on */
    REQUEST_LOST,    /* framing is gone: answer *refusal (may be "") and close */
};

struct request_limits {
    uint64_t item_bytes_max; /* values above are refused: "object too large for cache" */
    uint64_t whole_bytes_max; /* values above are not awaited: REQUEST_VALUE; 0: all are */
};

/* Parses one request from the start of `buffer`. Writes *request on READY and REFUSED (there only
 * what the comments above name), *more_bytes (>= 1) on PARTIAL, *refusal on REFUSED and LOST: a
 * constant without line end that holds no client bytes. Cost is linear in the line; the bytes of a
 * value are not looked at but for the line end behind them.
 *
 * A value is awaited whole up to whole_bytes_max: PARTIAL's *more_bytes is then exactly what is
 * missing, so the caller can make room once. A value's line end may be "\r\n" or, for people with
 * telnet, "\n". */
enum request_parse request_parse(struct slice buffer, const struct request_limits *limits,
                                 struct request *request, size_t *more_bytes, const char **refusal)
    FP_MUST_CHECK FP_NONNULL(2, 3, 4, 5);

/* Takes the end of a value that began behind a line (`bare`: request->bare); `buffer` is what
 * follows the value. READY, and REFUSED where another end is there: *size_bytes is what it took.
 * PARTIAL: *size_bytes is how many there must be to say. */
enum request_parse request_value_end(struct slice buffer, bool bare, size_t *size_bytes,
                                     const char **refusal) FP_MUST_CHECK FP_NONNULL(3, 4);

/* Takes the next key off `keys`; false when there is none. The parser has checked each of them. */
bool request_next_key(struct slice *keys, struct slice *key) FP_MUST_CHECK FP_NONNULL(1, 2);

/* The next blank-separated word of `rest`; false when there is none. */
bool request_next_word(struct slice *rest, struct slice *word) FP_MUST_CHECK FP_NONNULL(1, 2);

/* Whether a meta command has that flag, one of those there are. */
static inline bool request_asks(const struct request *request, char flag)
{
    return (request->meta.asked & REQUEST_META_BIT(flag)) != 0;
}

/* The key as the store knows it, in `room` or in the request. */
struct slice request_key(const struct request *request, uint8_t room[KEY_BYTES_MAX])
    FP_NONNULL(1, 2);

const char *command_name(enum command command);

#endif
