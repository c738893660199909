/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"

/* "/run/systemd/notify", or "@name" in the abstract namespace. */
static bool read_address(const char *text, struct notify *notify)
{
    size_t size = strlen(text);
    struct sockaddr_un *address = &notify->address;
    if ((text[0] != '/' && text[0] != '@') || size < 2 || size >= sizeof address->sun_path)
        return false;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, text, size + 1);
    bool abstract = text[0] == '@';
    if (abstract) address->sun_path[0] = '\0';
    notify->address_bytes =
        (uint32_t)(offsetof(struct sockaddr_un, sun_path) + size + (abstract ? 0 : 1));
    return true;
}

/* Meant for the process that was started, which a wrapper may be. */
static uint64_t watchdog_ns(void)
{
    const char *interval = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
    uint64_t us, pid;
    if (interval == NULL || !number_wire_u64(slice_text(interval), &us)) return 0;
    if (whose != NULL &&
        (!number_wire_u64(slice_text(whose), &pid) || pid != (uint64_t)getpid()))
        return 0;
    return us <= UINT64_MAX / 1000 ? us * 1000 : 0;
}

enum fp_status notify_open(struct notify *notify, char reason[NOTIFY_REASON_BYTES])
{
    const struct timeval wait = {0, NOTIFY_WAIT_MS * 1000};
    const char *where = getenv("NOTIFY_SOCKET");
    *notify = (struct notify){.fd = -1};
    if (where == NULL || where[0] == '\0') return FP_OK;
    if (!read_address(where, notify)) {
        snprintf(reason, NOTIFY_REASON_BYTES,
                 "NOTIFY_SOCKET is neither a path of at most 107 bytes nor @ and a name");
        return FP_INVALID;
    }
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd < 0 ||
        setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0) {
        snprintf(reason, NOTIFY_REASON_BYTES, "NOTIFY_SOCKET: %s", strerror(errno));
        notify_close(notify);
        return FP_IO;
    }
    notify->watchdog_ns = watchdog_ns();
    return FP_OK;
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0) close(notify->fd);
    notify->fd = -1;
}

bool notify_wanted(const struct notify *notify)
{
    return notify->fd >= 0;
}

void notify_tell(const struct notify *notify, const char *format, ...)
{
    char message[NOTIFY_MESSAGE_BYTES];
    va_list values;
    if (notify->fd < 0) return;
    va_start(values, format);
    int size = vsnprintf(message, sizeof message, format, values);
    va_end(values);
    if (size < 0) return;
    ssize_t sent = sendto(notify->fd, message, strlen(message), MSG_NOSIGNAL,
                          (const struct sockaddr *)&notify->address, notify->address_bytes);
    (void)sent; /* nobody to tell */
}

void notify_reloading(const struct notify *notify)
{
    notify_tell(notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading its file again",
                clock_monotonic_ns() / 1000);
}

void notify_ready(const struct notify *notify, const char *status)
{
    notify_tell(notify, "READY=1\nSTATUS=%s", status);
}
