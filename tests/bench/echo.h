/* SPDX-License-Identifier: BSD-3-Clause
 * echo - what the echo server is told: how much to read and how much to answer. Every request
 * begins with this head, in the machine's own byte order, and is as long as it says; the answer is
 * reply_bytes of anything. "stats" is answered with the process id, as in memcached's text, so that
 * whoever started it can tell that it is there: no size within the limit below looks like that. */
#ifndef FARPAGE_TESTS_BENCH_ECHO_H
#define FARPAGE_TESTS_BENCH_ECHO_H
#include <stdint.h>

struct echo_head {
    uint32_t request_bytes; /* of the whole request, this head included */
    uint32_t reply_bytes;
};

enum { ECHO_REQUEST_BYTES_MAX = 16 << 20 };

#endif
