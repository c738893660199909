/* SPDX-License-Identifier: BSD-3-Clause
 * limits - everything on the wire has one, with its unit last. docs/protocol.md repeats them. */
#ifndef FARPAGE_PROTOCOL_LIMITS_H
#define FARPAGE_PROTOCOL_LIMITS_H
#include <stdint.h>

enum {
    KEY_BYTES_MAX = 250,           /* a memcached key */
    LINE_BYTES_MAX = 2048,         /* a command line that is not a get or gets */
    MULTIGET_BYTES_MAX = 1 << 20,  /* the line of a get or gets */
    META_WORDS_MAX = 20,           /* of a meta command, with its name */
    OPAQUE_BYTES_MAX = 32,         /* O and what follows */
    VALUE_BYTES_MAX = INT32_MAX - 2, /* a longer one is no length, so nothing is swallowed */
    ITEM_BYTES_MAX = 1 << 30,      /* what storage.item_size_max may be set to */
    LOGIN_LINE_BYTES_MAX = 256,    /* before a connection is authenticated */
    LOGIN_BODY_BYTES_MAX = 512,    /* a user and a password */
    AREA_NAME_BYTES_MAX = 64,      /* letters, digits and . _ - / */
    PAGE_BYTES_MIN = 4 << 10,
    PAGE_BYTES_MAX = 64 << 10,
    FRAME_BODY_BYTES_MAX = 64 << 10,      /* of a request: one page of the largest size */
    REFUSAL_BYTES_MAX = 400,              /* of the sentence that refuses an operator's command */
    MOVED_ADDRESS_BYTES_MAX = 255,        /* of the address an area moved to */
    FRAME_REPLY_BODY_BYTES_MAX = 4 << 20, /* of a reply: a long statistics table */
};

#define AREA_SLOTS_MAX (1ull << 34) /* 64 TiB of 4 KiB pages */

#endif
