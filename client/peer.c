/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/peer.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static void take_unix(struct peer *peer, const struct address *address)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    _Static_assert(sizeof to.sun_path > ADDRESS_PATH_BYTES_MAX, "a parsed path always fits");
    memcpy(to.sun_path, address->path, strlen(address->path));
    memcpy(&peer->addresses[0].at, &to, sizeof to);
    peer->addresses[0].size_bytes = sizeof to;
    peer->count = 1;
    snprintf(peer->text, sizeof peer->text, "unix:%.90s", address->path);
}

static enum farpage_status look_up(struct peer *peer, const struct address *address, int flags,
                                   struct reason *reason)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    hints.ai_flags = AI_NUMERICSERV | flags;
    struct addrinfo *list = NULL;
    int failure = getaddrinfo(address->host, address->port, &hints, &list);
    if (failure == EAI_MEMORY) {
        reason_set(reason, "out of memory while looking up '%.90s'", address->host);
        return FARPAGE_NO_MEMORY;
    }
    if (failure != 0) {
        reason_set(reason, "cannot look up host '%.90s': %s", address->host, gai_strerror(failure));
        return FARPAGE_UNREACHABLE;
    }
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        if (peer->count == PEER_ADDRESSES_MAX || at->ai_addrlen > sizeof peer->addresses[0].at) {
            continue;
        }
        struct peer_address *taken = &peer->addresses[peer->count++];
        memcpy(&taken->at, at->ai_addr, at->ai_addrlen);
        taken->size_bytes = at->ai_addrlen;
    }
    freeaddrinfo(list);
    snprintf(peer->text, sizeof peer->text, "%.90s port %s", address->host, address->port);
    memcpy(peer->host, address->host, sizeof peer->host);
    if (peer->count > 0) return FARPAGE_OK;
    reason_set(reason, "host '%.90s' has no address", address->host);
    return FARPAGE_UNREACHABLE;
}

static enum farpage_status resolve(struct peer *peer, const char *text, int flags,
                                   struct reason *reason)
{
    *peer = (struct peer){0};
    struct address address;
    if (!address_parse(text, &address, reason)) return FARPAGE_INVALID;
    if (!address.is_unix) return look_up(peer, &address, flags, reason);
    take_unix(peer, &address);
    return FARPAGE_OK;
}

enum farpage_status peer_resolve(struct peer *peer, const char *text, struct reason *reason)
{
    return resolve(peer, text, 0, reason);
}

enum farpage_status peer_resolve_numbers(struct peer *peer, const char *text,
                                         struct reason *reason)
{
    return resolve(peer, text, AI_NUMERICHOST, reason);
}
