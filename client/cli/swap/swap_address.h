/* SPDX-License-Identifier: BSD-3-Clause
 * swap_address - where a block device is: an NBD URI, taken apart. Pure.
 *
 *   nbd://HOST[:PORT]/EXPORT             over TCP, port 10809 where none is named
 *   nbd+unix:///EXPORT?socket=/PATH      over a unix socket
 *
 * HOST[:PORT]/EXPORT alone means the first. An IPv6 address stands in brackets; %XX is a byte. */
#ifndef FARPAGE_CLIENT_CLI_SWAP_ADDRESS_H
#define FARPAGE_CLIENT_CLI_SWAP_ADDRESS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "client/cli/say/complaint.h"

enum {
    SWAP_PORT = 10809,
    SWAP_HOST_BYTES = 256,
    SWAP_SOCKET_BYTES = 108,  /* sun_path, its final zero included */
    SWAP_EXPORT_BYTES = 256,
    SWAP_ADDRESS_BYTES = 1024, /* of the text, with room for bytes that are written as %XX */
};

struct swap_address {
    char host[SWAP_HOST_BYTES]; /* "": a unix socket */
    uint16_t port;
    char socket[SWAP_SOCKET_BYTES];
    char export[SWAP_EXPORT_BYTES]; /* may be "": the server's default */
};

/* False with the reason. What is taken has no control characters and begins with no '-', so a
 * program cannot take it for one of its options. */
bool swap_address_parse(const char *text, struct swap_address *address,
                        struct complaint *complaint) FP_MUST_CHECK;

/* Are both of one server, by their hosts' spelling? */
bool swap_address_same_server(const struct swap_address *a, const struct swap_address *b);

/* The inverse: what swap_address_parse would take for the same. */
void swap_address_text(const struct swap_address *address, char text[SWAP_ADDRESS_BYTES]);

#endif
