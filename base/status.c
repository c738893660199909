/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/status.h"

#include "base/attrs.h"

const char *fp_status_text(enum fp_status status)
{
    static const char *const texts[] = {
#define X(name, text) text,
        FP_STATUSES(X)
#undef X
    };
    return (unsigned)status < FP_COUNT_OF(texts) ? texts[status] : "unknown status";
}
