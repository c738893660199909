/* SPDX-License-Identifier: BSD-3-Clause
 * status - what a call inside the program can answer besides success.
 *
 * One row per answer; the sentence is what a log line may show. The wire and the client library
 * have tables of their own (protocol/frame.h, client/include/farpage.h).
 */
#ifndef FARPAGE_BASE_STATUS_H
#define FARPAGE_BASE_STATUS_H

#define FP_STATUSES(X)                                                                             \
    X(FP_OK, "ok")                                                                                 \
    X(FP_NO_MEMORY, "out of memory: the limit is reached or the system has none")                  \
    X(FP_TOO_BIG, "larger than the limit for it")                                                  \
    X(FP_ABSENT, "nothing is stored there")                                                        \
    X(FP_EXISTS, "it has changed or exists already")                                               \
    X(FP_NOT_STORED, "the condition for storing does not hold")                                    \
    X(FP_NOT_A_NUMBER, "the stored value is not a decimal number")                                 \
    X(FP_CORRUPT, "the stored bytes do not match their checksum")                                  \
    X(FP_RANGE, "beyond the end")                                                                  \
    X(FP_INVALID, "not a valid argument")                                                          \
    X(FP_BUSY, "in use")                                                                           \
    X(FP_QUOTA, "more than it may hold")                                                           \
    X(FP_LOST, "what it was is no more")                                                           \
    X(FP_FROZEN, "no changes are taken for now")                                                   \
    X(FP_MOVED, "it is elsewhere now")                                                             \
    X(FP_SPILLED, "it is in the file below memory")                                                \
    X(FP_LATER, "memory is full and room is being made")                                           \
    X(FP_IO, "the system refused a read or write")

enum fp_status {
#define X(name, text) name,
    FP_STATUSES(X)
#undef X
};

/* A constant sentence without a final stop. Any thread. */
const char *fp_status_text(enum fp_status status);

#endif
