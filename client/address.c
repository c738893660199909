/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/address.h"

#include <string.h>

#include "base/number.h"

/* Copies into a field of `room` bytes and ends it; false where it does not fit or is empty. */
static bool copy_text(char *field, size_t room, const char *from, size_t size_bytes)
{
    if (size_bytes == 0 || size_bytes >= room) return false;
    memcpy(field, from, size_bytes);
    field[size_bytes] = '\0';
    return true;
}

static bool parse_unix(const char *path, struct address *address, struct reason *reason)
{
    address->is_unix = true;
    if (copy_text(address->path, sizeof address->path, path, strlen(path))) return true;
    if (path[0] == '\0') {
        reason_set(reason, "'unix:' needs a path behind it, as in unix:/run/farpage.sock");
    } else {
        reason_set(reason, "the socket path is longer than %d bytes", ADDRESS_PATH_BYTES_MAX);
    }
    return false;
}

static bool parse_port(const char *port, struct address *address, struct reason *reason)
{
    uint64_t number;
    char quoted[REASON_QUOTE_BYTES];
    if (number_u64(slice_text(port), &number) && number >= 1 && number <= 65535) {
        return copy_text(address->port, sizeof address->port, port, strlen(port));
    }
    reason_quote(slice_text(port), quoted);
    reason_set(reason, "'%s' is not a port: a number from 1 to 65535", quoted);
    return false;
}

static bool refuse(const char *text, const char *why, struct reason *reason)
{
    char quoted[REASON_QUOTE_BYTES];
    reason_quote(slice_text(text), quoted);
    reason_set(reason, "'%s' is not an address: %s", quoted, why);
    return false;
}

bool address_parse(const char *text, struct address *address, struct reason *reason)
{
    *address = (struct address){0};
    if (strncmp(text, "unix:", 5) == 0) return parse_unix(text + 5, address, reason);

    const char *host = text;
    const char *colon = strrchr(text, ':');
    if (colon == NULL) return refuse(text, "it needs HOST:PORT, [IPV6]:PORT or unix:/path", reason);
    size_t host_bytes = (size_t)(colon - text);
    bool bracketed = text[0] == '[';
    if (bracketed) {
        if (host_bytes < 3 || colon[-1] != ']') {
            return refuse(text, "a bracketed host is written [IPV6]:PORT", reason);
        }
        host++;
        host_bytes -= 2;
    }
    if (memchr(host, ':', host_bytes) != NULL && !bracketed) {
        return refuse(text, "an IPv6 host needs brackets, as in [::1]:11211", reason);
    }
    if (!copy_text(address->host, sizeof address->host, host, host_bytes)) {
        return refuse(text, host_bytes == 0 ? "the host is missing" : "the host is too long",
                      reason);
    }
    return parse_port(colon + 1, address, reason);
}
