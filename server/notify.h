/* SPDX-License-Identifier: BSD-3-Clause
 * notify - tells systemd how the server stands: the datagrams of sd_notify(3).
 *
 * Where NOTIFY_SOCKET is not set nobody is told anything. The socket is opened once, before the
 * sandbox, and kept: libsystemd's own sd_notify() opens one for every message, which a server that
 * serves has given up the right to.
 *
 * Threads: one at a time. Blocks: at most NOTIFY_WAIT_MS, where systemd does not read.
 */
#ifndef FARPAGE_SERVER_NOTIFY_H
#define FARPAGE_SERVER_NOTIFY_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/attrs.h"
#include "base/status.h"

enum { NOTIFY_REASON_BYTES = 192, NOTIFY_MESSAGE_BYTES = 1024, NOTIFY_WAIT_MS = 200 };

struct notify {
    int fd; /* -1: nobody is to be told */
    struct sockaddr_un address;
    uint32_t address_bytes;
    uint64_t watchdog_ns; /* a sign of life is awaited at least so often; 0: never */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. FP_INVALID, FP_IO: they are of no use and
 * *reason says why; the server can go on, untold. */
enum fp_status notify_open(struct notify *notify, char reason[NOTIFY_REASON_BYTES]) FP_MUST_CHECK
    FP_NONNULL(1);
void notify_close(struct notify *notify) FP_NONNULL(1);
bool notify_wanted(const struct notify *notify) FP_NONNULL(1);

/* Assignments, one a line: "READY=1\nSTATUS=...". What is longer than NOTIFY_MESSAGE_BYTES is cut;
 * what cannot be sent is lost. */
FP_PRINTF(2, 3) void notify_tell(const struct notify *notify, const char *format, ...)
    FP_NONNULL(1, 2);

/* What systemd waits for until notify_ready: the time tells it which reload it was. */
void notify_reloading(const struct notify *notify) FP_NONNULL(1);
void notify_ready(const struct notify *notify, const char *status) FP_NONNULL(1, 2);

#endif
