/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/door/descriptors.h"

#include <sys/resource.h>

#include "base/arith.h"

enum { DESCRIPTORS_BESIDES_CONNECTIONS = 96 }; /* 32 of them for monitors */

void descriptors_fit(struct settings *settings, struct log *log)
{
    uint64_t besides =
        atomic_load(&settings->reserved_connections) + DESCRIPTORS_BESIDES_CONNECTIONS;
    uint64_t wanted = atomic_load(&settings->max_connections) + besides;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = max_u64(wanted, limit.rlim_max)};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return;
    raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &raised);
    uint64_t left = limit.rlim_max > besides + DESCRIPTORS_BESIDES_CONNECTIONS
                        ? limit.rlim_max - besides
                        : DESCRIPTORS_BESIDES_CONNECTIONS;
    atomic_store(&settings->max_connections, (uint32_t)min_u64(left, wanted));
    log_event(log, LOG_WARN, "server.max_connections is lowered: RLIMIT_NOFILE is too low",
              log_number("rlimit", limit.rlim_max), log_number("max_connections", left));
}
