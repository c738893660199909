/* SPDX-License-Identifier: BSD-3-Clause
 * trace - a churn trace: what is stored, forgotten, compacted and looked at, in its order.
 *
 * `farpage help replay` shows the format. All of it is read and checked before any of it is used.
 */
#ifndef FARPAGE_CLIENT_CLI_TRACE_H
#define FARPAGE_CLIENT_CLI_TRACE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"

enum { TRACE_PAGE_BYTES = 4096, TRACE_CORPORA_MAX = 1024 };

enum trace_kind { TRACE_STORE, TRACE_DISCARD, TRACE_COMPACT, TRACE_SNAPSHOT, TRACE_WAIT };

struct trace_op {
    uint64_t slot; /* SNAPSHOT: index of its label. WAIT: milliseconds */
    uint32_t line;
    uint32_t page;   /* STORE: of the corpus */
    uint16_t corpus; /* STORE */
    uint8_t kind;    /* enum trace_kind */
};

struct trace {
    const char *path; /* borrowed */
    uint64_t slots;
    uint32_t corpus_pages[TRACE_CORPORA_MAX];
    unsigned corpora;
    struct trace_op *ops; /* owned */
    size_t count, room;
    char **labels; /* owned, each of them too */
    size_t label_count, label_room;
    uint64_t line; /* read so far */
};

/* False with "file:line: what is wrong". trace_fini is due either way. */
bool trace_init(struct trace *trace, const char *path, struct complaint *complaint) FP_MUST_CHECK;
void trace_fini(struct trace *trace);

#endif
