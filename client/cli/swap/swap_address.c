/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/swap/swap_address.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/slice.h"

#define TCP_SCHEME "nbd://"
#define UNIX_SCHEME "nbd+unix://"
#define SOCKET_QUERY "?socket="

/* One part of the address: its text, what it is called, and where what it means goes. */
struct part {
    struct slice text;
    const char *what;
    char *out;
    size_t out_bytes;
};

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte at *at, which moves to its last character; 0 where %XX is none. */
static uint8_t byte_at(struct slice text, size_t *at)
{
    const uint8_t *c = text.bytes + *at;
    if (*c != '%') return *c;
    if (text.size_bytes - *at < 3) return 0;
    int high = digit_of(c[1]), low = digit_of(c[2]);
    *at += 2;
    if (high < 0 || low < 0) return 0;
    return (uint8_t)(high << 4 | low);
}

static bool decode(const struct part *part, struct complaint *complaint)
{
    size_t used = 0;
    for (size_t i = 0; i < part->text.size_bytes; i++) {
        uint8_t byte = byte_at(part->text, &i);
        if (byte < ' ' || byte == 0x7f) {
            complain(complaint, "the %s has a byte that cannot be in one", part->what);
            return false;
        }
        if (used + 1 == part->out_bytes) {
            complain(complaint, "the %s is longer than %zu bytes", part->what,
                     part->out_bytes - 1);
            return false;
        }
        part->out[used++] = (char)byte;
    }
    part->out[used] = '\0';
    if (part->out[0] == '-') complain(complaint, "the %s begins with '-'", part->what);
    return part->out[0] != '-';
}

static struct slice until(const char *text, const char *end)
{
    return slice_of(text, (size_t)(end - text));
}

/* HOST, HOST:PORT or [IPV6]:PORT. */
static bool take_host(struct slice text, struct swap_address *address, struct complaint *complaint)
{
    const char *from = (const char *)text.bytes, *end = from + text.size_bytes;
    bool brackets = text.size_bytes > 0 && from[0] == '[';
    const char *close = brackets ? memchr(from, ']', text.size_bytes) : NULL;
    if (brackets && close == NULL) {
        complain(complaint, "'[' has no ']'");
        return false;
    }
    const char *behind = brackets ? close + 1 : memchr(from, ':', text.size_bytes);
    if (behind == NULL) behind = end;
    uint64_t port = SWAP_PORT;
    if (behind < end && (*behind != ':' || !number_u64(until(behind + 1, end), &port) ||
                         port == 0 || port > UINT16_MAX)) {
        complain(complaint, "'%.*s' is not a port", (int)(end - behind - (*behind == ':')),
                 behind + (*behind == ':'));
        return false;
    }
    address->port = (uint16_t)port;
    struct slice host = brackets ? until(from + 1, close) : until(from, behind);
    struct part part = {host, "host", address->host, sizeof address->host};
    if (!decode(&part, complaint)) return false;
    if (address->host[0] == '\0') complain(complaint, "it names no host");
    return address->host[0] != '\0';
}

static bool take_export(struct slice text, struct swap_address *address,
                        struct complaint *complaint)
{
    struct part part = {text, "export's name", address->export, sizeof address->export};
    return decode(&part, complaint);
}

static bool take_unix(const char *rest, struct swap_address *address, struct complaint *complaint)
{
    const char *query = strstr(rest, SOCKET_QUERY);
    if (rest[0] != '/' || query == NULL) {
        complain(complaint, "a unix socket's is nbd+unix:///EXPORT?socket=/PATH");
        return false;
    }
    struct slice path = slice_text(query + strlen(SOCKET_QUERY));
    struct part part = {path, "socket", address->socket, sizeof address->socket};
    if (!take_export(until(rest + 1, query), address, complaint) || !decode(&part, complaint))
        return false;
    if (address->socket[0] != '/') complain(complaint, "the socket's path begins with '/'");
    return address->socket[0] == '/';
}

bool swap_address_parse(const char *text, struct swap_address *address,
                        struct complaint *complaint)
{
    *address = (struct swap_address){.port = SWAP_PORT};
    if (strncmp(text, UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0)
        return take_unix(text + strlen(UNIX_SCHEME), address, complaint);
    const char *scheme = strstr(text, "://");
    bool tcp = strncmp(text, TCP_SCHEME, strlen(TCP_SCHEME)) == 0;
    if (strncmp(text, "nbds", 4) == 0 && scheme != NULL) {
        complain(complaint, "with TLS every page would pass through a program that needs memory "
                            "itself: swap through a tunnel of the kernel's, such as WireGuard");
        return false;
    }
    if (scheme != NULL && !tcp) {
        complain(complaint, "it begins with neither nbd:// nor nbd+unix://");
        return false;
    }
    const char *host = tcp ? text + strlen(TCP_SCHEME) : text;
    const char *slash = strchr(host, '/');
    if (slash == NULL) {
        complain(complaint, "it names no export: nbd://HOST[:PORT]/EXPORT");
        return false;
    }
    return take_host(until(host, slash), address, complaint) &&
           take_export(slice_text(slash + 1), address, complaint);
}

bool swap_address_same_server(const struct swap_address *a, const struct swap_address *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port &&
           strcmp(a->socket, b->socket) == 0;
}

static void put_encoded(const char *part, char text[SWAP_ADDRESS_BYTES], size_t *used)
{
    for (; *part != '\0' && *used + 4 < SWAP_ADDRESS_BYTES; part++) {
        bool plain = strchr("%? ", *part) == NULL && (unsigned char)*part < 0x7f;
        *used += (size_t)snprintf(text + *used, 4, plain ? "%c" : "%%%02X",
                                  (unsigned char)*part);
    }
}

void swap_address_text(const struct swap_address *address, char text[SWAP_ADDRESS_BYTES])
{
    size_t used = 0;
    if (address->host[0] == '\0') {
        used += (size_t)snprintf(text, SWAP_ADDRESS_BYTES, UNIX_SCHEME "/");
        put_encoded(address->export, text, &used);
        used += (size_t)snprintf(text + used, SWAP_ADDRESS_BYTES - used, SOCKET_QUERY);
        put_encoded(address->socket, text, &used);
        return;
    }
    bool brackets = strchr(address->host, ':') != NULL;
    used += (size_t)snprintf(text, SWAP_ADDRESS_BYTES, TCP_SCHEME "%s", brackets ? "[" : "");
    put_encoded(address->host, text, &used);
    if (brackets) used += (size_t)snprintf(text + used, SWAP_ADDRESS_BYTES - used, "]");
    if (address->port != SWAP_PORT)
        used += (size_t)snprintf(text + used, SWAP_ADDRESS_BYTES - used, ":%" PRIu16,
                                 address->port);
    used += (size_t)snprintf(text + used, SWAP_ADDRESS_BYTES - used, "/");
    put_encoded(address->export, text, &used);
}
