/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/number.h"
#include "server/config/config_text.h"
#include "server/config/config_value.h"

_Static_assert(CONFIG_HOST_BYTES == INET6_ADDRSTRLEN, "a host is what inet_ntop writes");
_Static_assert((int)CONFIG_VALUE_BYTES >= (int)CONFIG_ADDRESS_TEXT_BYTES, "an address is a value");

static bool refuse(struct slice text, const char *reason, char why[CONFIG_WHY_BYTES])
{
    char quoted[CONFIG_QUOTE_BYTES];
    snprintf(why, CONFIG_WHY_BYTES, "%s is not an address: %s", config_text_quote(text, quoted),
             reason);
    return false;
}

static struct slice from(struct slice text, size_t at)
{
    return slice_of(text.bytes + at, text.size_bytes - at);
}

static bool read_path(struct slice text, struct config_address *address, char *why)
{
    struct config_text_fault fault;
    struct slice path = from(text, strlen("unix:"));
    if (path.size_bytes < 2 || path.bytes[0] != '/')
        return refuse(text, "after unix: stands an absolute path", why);
    if (path.size_bytes >= sizeof address->path)
        return refuse(text, "the path of a socket has at most 107 bytes", why);
    if (!config_text_good(path, &fault) || memchr(path.bytes, '\n', path.size_bytes) != NULL)
        return refuse(text, "the path has control characters in it", why);
    address->kind = CONFIG_UNIX;
    memcpy(address->path, path.bytes, path.size_bytes);
    return true;
}

/* What systemd's FileDescriptorName= may be, as far as it is of use. */
static bool read_handed_name(struct slice text, struct config_address *address, char *why)
{
    struct slice name = from(text, strlen("systemd:"));
    bool good = name.size_bytes > 0 && name.size_bytes < sizeof address->path;
    for (size_t i = 0; good && i < name.size_bytes; i++)
        good = name.bytes[i] > ' ' && name.bytes[i] < 0x7f && name.bytes[i] != ':';
    if (!good)
        return refuse(text, "after systemd: stands a socket's FileDescriptorName=", why);
    address->kind = CONFIG_HANDED;
    memcpy(address->path, name.bytes, name.size_bytes);
    return true;
}

static bool begins(struct slice text, const char *word)
{
    size_t size = strlen(word);
    return text.size_bytes >= size && memcmp(text.bytes, word, size) == 0;
}

/* Writes the host as the system would: so that two spellings of one address are found out. */
static bool read_numeric(int family, struct slice text, struct config_address *address)
{
    char host[CONFIG_HOST_BYTES] = "";
    uint8_t binary[sizeof(struct in6_addr)];
    if (text.size_bytes == 0 || text.size_bytes >= sizeof host) return false;
    if (memchr(text.bytes, '\0', text.size_bytes) != NULL) return false;
    memcpy(host, text.bytes, text.size_bytes);
    if (inet_pton(family, host, binary) != 1) return false;
    address->kind = family == AF_INET6 ? CONFIG_IPV6 : CONFIG_IPV4;
    return inet_ntop(family, binary, address->host, sizeof address->host) != NULL;
}

static bool read_host(struct slice text, struct slice host, struct config_address *address,
                      char *why)
{
    bool bracketed = host.size_bytes >= 2 && host.bytes[0] == '[' &&
                     host.bytes[host.size_bytes - 1] == ']';
    if (host.size_bytes == 0) return refuse(text, "the host is missing; * means every one", why);
    if (slice_is(host, "*")) {
        address->kind = CONFIG_ANY;
        memcpy(address->host, "*", 2);
        return true;
    }
    if (slice_is(host, "localhost")) host = slice_text("127.0.0.1");
    if (bracketed) {
        struct slice inner = slice_of(host.bytes + 1, host.size_bytes - 2);
        return read_numeric(AF_INET6, inner, address) ||
               refuse(text, "no IPv6 address within the brackets", why);
    }
    if (memchr(host.bytes, ':', host.size_bytes) != NULL)
        return refuse(text, "an IPv6 address stands within brackets", why);
    return read_numeric(AF_INET, host, address) ||
           refuse(text, "the host is not numeric, and names are not looked up", why);
}

bool config_address_read(struct slice text, struct config_address *address,
                         char why[CONFIG_WHY_BYTES])
{
    static const char examples[] = "examples are 127.0.0.1:11211, \"[::1]:11211\", \"*:11211\" "
                                   "and unix:/run/farpage/farpage.sock";
    struct config_address read = {.kind = CONFIG_UNIX};
    uint64_t port = 0;
    if (begins(text, "unix:")) {
        if (!read_path(text, &read, why)) return false;
    } else if (begins(text, "systemd:")) {
        if (!read_handed_name(text, &read, why)) return false;
    } else {
        const uint8_t *colon = text.size_bytes ? memrchr(text.bytes, ':', text.size_bytes) : NULL;
        if (colon == NULL) return refuse(text, examples, why);
        size_t at = (size_t)(colon - text.bytes);
        if (!number_u64(from(text, at + 1), &port) || port > UINT16_MAX)
            return refuse(text, "the port is not a number from 0 to 65535", why);
        if (!read_host(text, slice_of(text.bytes, at), &read, why)) return false;
    }
    read.port = (uint16_t)port;
    *address = read;
    return true;
}

void config_address_text(const struct config_address *address, char text[CONFIG_ADDRESS_TEXT_BYTES])
{
    if (address->kind == CONFIG_UNIX)
        snprintf(text, CONFIG_ADDRESS_TEXT_BYTES, "unix:%s", address->path);
    else if (address->kind == CONFIG_HANDED)
        snprintf(text, CONFIG_ADDRESS_TEXT_BYTES, "systemd:%s", address->path);
    else
        snprintf(text, CONFIG_ADDRESS_TEXT_BYTES,
                 address->kind == CONFIG_IPV6 ? "[%s]:%" PRIu16 : "%s:%" PRIu16, address->host,
                 address->port);
}

bool config_is_local(const struct config_address *address)
{
    return address->kind == CONFIG_UNIX || address->kind == CONFIG_HANDED ||
           strncmp(address->host, "127.", 4) == 0 ||
           strcmp(address->host, "::1") == 0;
}
