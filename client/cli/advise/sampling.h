/* SPDX-License-Identifier: BSD-3-Clause
 * sampling - some of the pages that an area holds, from all over it, as plain LOADs bring them.
 *
 * Slots are asked for in runs of 16 neighbours, in an order that is spread over the area from the
 * start. Where that finds too little for too long - an area that is nearly empty - the rest is
 * looked for from its first slot on. Each of the two looks ends by itself after its time. */
#ifndef FARPAGE_CLIENT_CLI_SAMPLING_H
#define FARPAGE_CLIENT_CLI_SAMPLING_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"
#include "client/include/farpage.h"

enum { SAMPLING_RUN_PAGES = 16 };

struct sampling {
    uint8_t *pages; /* owned; page after page, by slot */
    size_t count;
    uint32_t page_bytes;
    uint64_t asked, corrupt; /* slots looked at; those whose page did not match its checksum */
};

struct sampling_wish {
    const char *area;
    size_t pages;     /* at most */
    uint64_t look_ns; /* time for each of the two looks */
};

/* sampling_fini is due either way. False with the reason; an area without pages is none. */
bool sampling_take(struct sampling *sampling, struct farpage *client,
                   const struct sampling_wish *wish, struct complaint *complaint) FP_MUST_CHECK;
void sampling_fini(struct sampling *sampling);

#endif
