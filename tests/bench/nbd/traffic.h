/* SPDX-License-Identifier: BSD-3-Clause
 * traffic - reads and writes of a block device by libnbd, so many on the way at once, each page
 * that is read compared with what was written. Threads: one. */
#ifndef FARPAGE_TESTS_BENCH_NBD_TRAFFIC_H
#define FARPAGE_TESTS_BENCH_NBD_TRAFFIC_H
#include "base/histogram.h"
#include "tests/bench/draw.h"
#include "tests/bench/pageset.h"

enum { TRAFFIC_DEPTH_MAX = 64, TRAFFIC_RUN_PAGES = 32 };

struct traffic;

struct traffic_options {
    const char *uri;
    const struct pageset *pages;
    uint64_t slots; /* pages of the device that are used */
    uint64_t seed;
};
/* NULL after a line on stderr. */
struct traffic *traffic_create(const struct traffic_options *options) FP_MUST_CHECK;
void traffic_destroy(struct traffic **traffic);

enum traffic_kind { TRAFFIC_READ, TRAFFIC_WRITE };
struct traffic_plan {
    enum traffic_kind kind;
    bool in_order;      /* from the first page on, around and around; else at random */
    unsigned run_pages; /* of a request */
    unsigned depth;
    uint64_t duration_ns; /* 0: until all slots were once */
};
struct traffic_result {
    uint64_t requests, duration_ns;
    double p50_us, p99_us;
};
/* False after a line on stderr: an error, or other bytes than were written. */
bool traffic_run(struct traffic *traffic, const struct traffic_plan *plan,
                 struct traffic_result *result) FP_MUST_CHECK;

#endif
