/* SPDX-License-Identifier: BSD-3-Clause
 * reply - the text dialect's answers, as constants and as lines to fill. Pure. */
#ifndef FARPAGE_PROTOCOL_REPLY_H
#define FARPAGE_PROTOCOL_REPLY_H
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "protocol/limits.h"

/* Answers that never vary, each with its line end. */
#define REPLY_STORED "STORED\r\n"
#define REPLY_NOT_STORED "NOT_STORED\r\n"
#define REPLY_EXISTS "EXISTS\r\n"
#define REPLY_NOT_FOUND "NOT_FOUND\r\n"
#define REPLY_DELETED "DELETED\r\n"
#define REPLY_TOUCHED "TOUCHED\r\n"
#define REPLY_NO_FLUSH "CLIENT_ERROR flush_all not allowed\r\n"
#define REPLY_OK "OK\r\n"
#define REPLY_RESET "RESET\r\n"
#define REPLY_END "END\r\n"
#define REPLY_WRITTEN "WRITTEN\r\n"
#define REPLY_UNMAPPED "UNMAPPED\r\n"
#define REPLY_BUSY "BUSY\r\n"
#define REPLY_EXPIRED "EXPIRED\r\n"
#define REPLY_BEYOND "CLIENT_ERROR beyond the end of what is mapped\r\n"
#define REPLY_MAPPED_RO "CLIENT_ERROR it is mapped read-only\r\n"
#define REPLY_MAPPED_WO "CLIENT_ERROR it is mapped write-only\r\n"
#define REPLY_LEASE_TOO_LONG "CLIENT_ERROR the lease is longer than session.map_lease\r\n"
#define REPLY_MAPS_MAX "SERVER_ERROR session.maps_max is reached\r\n"
#define REPLY_MAPPED_MAX "SERVER_ERROR session.mapped_max is reached\r\n"
#define REPLY_MAPPED_TOTAL_MAX "SERVER_ERROR session.mapped_total_max is reached\r\n"
#define REPLY_NO_MEMORY_TO_MAP "SERVER_ERROR out of memory mapping object\r\n"
/* Clients take the major version for what the server can do, and some refuse 0. */
#define REPLY_VERSION_TEXT "1.6.45-farpage-" FARPAGE_VERSION
#define REPLY_ERROR "ERROR\r\n"
#define REPLY_BAD_CLASS "BADCLASS invalid class id\r\n"
#define REPLY_EN "EN\r\n"
#define REPLY_COMPACTION_OFF "SERVER_ERROR storage.compaction is off\r\n"
#define REPLY_TOO_MANY_CONNECTIONS "ERROR Too many open connections\r\n"
/* To who connects while nobody is served: all that is said there, and no request is read. */
#define REPLY_STARTING "SERVER_ERROR the server is starting\r\n"
#define REPLY_STOPPING "SERVER_ERROR the server is stopping\r\n"
#define REPLY_NOT_A_NUMBER "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
#define REPLY_MEMLIMIT_TOO_SMALL                                                                   \
    "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"
#define REPLY_MEMLIMIT_BYTES "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"
#define REPLY_MEMLIMIT_REFUSED                                                                     \
    "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n"
#define REPLY_BAD_LINE "CLIENT_ERROR bad command line format\r\n"
#define REPLY_OUT_OF_MEMORY "SERVER_ERROR out of memory storing object\r\n"
#define REPLY_OVER_QUOTA "SERVER_ERROR quota exceeded storing object\r\n"
#define REPLY_TOO_LARGE "SERVER_ERROR object too large for cache\r\n"
#define REPLY_META_ABSENT "EN\r\n"
#define REPLY_META_NOTHING "MN\r\n"
#define REPLY_CORRUPT "SERVER_ERROR stored value is corrupt\r\n"

enum {
    REPLY_DIGITS_MAX = 20,
    REPLY_VALUE_LINE_BYTES_MAX = 6 + KEY_BYTES_MAX + 1 + 10 + 1 + 10 + 1 + 20 + 2,
    REPLY_NUMBER_LINE_BYTES_MAX = 24,
    REPLY_MAPPED_LINE_BYTES_MAX = 6 + 4 * (1 + 20) + 2,
    REPLY_DATA_LINE_BYTES_MAX = 5 + 20 + 2,
};

/* The number in digits. By hand: one is written for every hit, and snprintf costs more than finding
 * the item. Returns the length. */
size_t reply_digits(char digits[REPLY_DIGITS_MAX], uint64_t number) FP_NONNULL(1);

/* "VALUE <key> <flags> <bytes>[ <cas>]\r\n". cas NULL leaves the cas out. Returns the length. */
size_t reply_value_line(char line[REPLY_VALUE_LINE_BYTES_MAX], struct slice key, uint32_t flags,
                        uint64_t value_bytes, const uint64_t *cas) FP_NONNULL(1);

/* "<number>\r\n", what incr and decr answer. Returns the length. */
size_t reply_number_line(char line[REPLY_NUMBER_LINE_BYTES_MAX], uint64_t number) FP_NONNULL(1);

struct reply_mapped {
    uint64_t id, bytes, cas;
    uint32_t flags;
};
/* "MAPPED <id> <flags> <bytes> <cas>\r\n", what map answers. Returns the length. */
size_t reply_mapped_line(char line[REPLY_MAPPED_LINE_BYTES_MAX], const struct reply_mapped *mapped)
    FP_NONNULL(1, 2);

/* "DATA <bytes>\r\n", what mread answers before the bytes. Returns the length. */
size_t reply_data_line(char line[REPLY_DATA_LINE_BYTES_MAX], uint64_t bytes) FP_NONNULL(1);

#endif
