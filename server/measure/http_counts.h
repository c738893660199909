/* SPDX-License-Identifier: BSD-3-Clause
 * http_counts - what is counted of the door for monitors, since the start. */
#ifndef FARPAGE_SERVER_HTTP_COUNTS_H
#define FARPAGE_SERVER_HTTP_COUNTS_H
#include <stdatomic.h>
#include <stdint.h>

#include "protocol/http.h"

struct http_counts {
    _Atomic uint64_t answered[HTTP_STATUSES_COUNT];
    _Atomic uint64_t turned_away; /* because there were too many */
    _Atomic uint64_t too_slow;    /* closed at their deadline */
    _Atomic uint32_t open;        /* now */
};

#endif
