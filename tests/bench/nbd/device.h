/* SPDX-License-Identifier: BSD-3-Clause
 * device - one block device under measurement: farpaged's, or that of nbdkit's memory plugin. */
#ifndef FARPAGE_TESTS_BENCH_NBD_DEVICE_H
#define FARPAGE_TESTS_BENCH_NBD_DEVICE_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/options.h"

enum device_kind {
    DEVICE_FARPAGED,
    DEVICE_NBDKIT_MALLOC,
    DEVICE_NBDKIT_SPARSE,
    DEVICE_NBDKIT_ZSTD,
    DEVICE_KINDS
};

struct device {
    enum device_kind kind;
    pid_t pid;
    char uri[256];
    char text_address[64]; /* of farpaged, for statistics */
    uint64_t empty_bytes;  /* resident before anything was stored */
};

const char *device_name(enum device_kind kind);

/* Starts it with so many bytes, and waits until it answers. False after a line on stderr. */
bool device_start(const struct options *options, enum device_kind kind, bool over_unix,
                  uint64_t size_bytes, struct device *device) FP_MUST_CHECK;
void device_stop(struct device *device);

/* What its pages are packed to, by its own count; 0: it does not say. */
double device_packed_bytes(const struct device *device);

#endif
