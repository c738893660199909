/* SPDX-License-Identifier: BSD-3-Clause
 * renewal - farpage_area_renew() without waiting, for who has an event loop and other things to do.
 *
 * Threads: the area's. Blocks: never. */
#ifndef FARPAGE_CLIENT_RENEWAL_H
#define FARPAGE_CLIENT_RENEWAL_H
#include "base/attrs.h"

struct farpage_area;

/* Requests are taken again from now on, and sent when the area is open: engine_renew_begin. */
void area_renew_begin(struct farpage_area *area) FP_NONNULL(1);

#endif
