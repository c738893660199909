/* SPDX-License-Identifier: BSD-3-Clause
 * fake_server - a server of farpage frames inside the test, that lies where it is told to.
 *
 * One thread serves its connections on a unix socket in a directory of its own. It keeps areas of
 * pages until it is destroyed or rebooted. The mischief is done in replies to requests with the
 * opcode `to`, from the reply number `after` on (0: at once), `times` times (0: always); all others
 * are answered well.
 */
#ifndef FARPAGE_TESTS_FAKE_SERVER_H
#define FARPAGE_TESTS_FAKE_SERVER_H
#include <stddef.h>
#include <stdint.h>

enum mischief {
    FAKE_BEHAVES,
    FAKE_OVERTAKES,       /* answers what came together last to first */
    FAKE_WRONG_MAGIC,     /* and the right checksum over it */
    FAKE_WRONG_HEADER_CRC,
    FAKE_WRONG_TAG,
    FAKE_WRONG_OPCODE,
    FAKE_WRONG_SLOT,
    FAKE_WRONG_AREA,      /* of OPEN's reply: 0 */
    FAKE_WRONG_COUNT,
    FAKE_WRONG_STATUS,    /* one that does not exist */
    FAKE_WRONG_BODY_CRC,
    FAKE_FLIPPED_BODY,    /* one bit of the body, after its checksum was taken */
    FAKE_LENGTH_HUGE,     /* announces 2^32-1 bytes of body */
    FAKE_LENGTH_LESS,     /* a body one byte short, its checksum right */
    FAKE_RESERVED_SET,
    FAKE_TWICE,           /* the same reply two times */
    FAKE_CUT,             /* only the first `amount` bytes of the reply, then it closes */
    FAKE_SILENT,          /* reads, and never answers */
    FAKE_LATE,            /* the reply `amount` milliseconds later; others overtake it */
    FAKE_DRIPS,           /* a byte of the reply every `amount` milliseconds */
    FAKE_TEXT,            /* answers like memcached: "ERROR\r\n" */
    FAKE_STATUS,          /* the status `amount`, no body */
    FAKE_LAST_WORDS,      /* BAD_HEADER with tag 0, then it closes */
    FAKE_WHOLE,           /* a batch refused as a whole, with the status `amount` */
    FAKE_MOVED,           /* a page is elsewhere; an OPEN's reply says where: `body` */
    FAKE_BODY,            /* FRAME_OK with `body` as its body, checksums right */
};

struct fake_plan {
    enum mischief mischief;
    uint8_t to;      /* enum frame_opcode; 0: all */
    unsigned after, times;
    size_t amount;
    const void *body; /* FAKE_BODY: `amount` bytes, borrowed */
    uint32_t page_bytes; /* 0: 4096 */
    uint32_t codecs;     /* it takes, a bit for each; 0: pages travel plain */
    uint8_t hint;        /* what it says that it packs with */
    uint32_t dictionary_id;
    const void *dictionary; /* `dictionary_bytes` of it, borrowed */
    size_t dictionary_bytes;
    int receive_buffer_bytes; /* 0: the system's; small ones make senders wait */
};

struct fake_server;

/* Stops the test where it cannot be made. */
struct fake_server *fake_server_create(const struct fake_plan *plan);
void fake_server_destroy(struct fake_server **server);

const char *fake_server_address(const struct fake_server *server); /* "unix:/..." */
unsigned fake_server_invalidations(const struct fake_server *server); /* requests seen so far */
unsigned fake_server_greeted(const struct fake_server *server); /* hellos, so connections */
unsigned fake_server_packed(const struct fake_server *server); /* entries that were not plain */
unsigned fake_server_with_dictionary(const struct fake_server *server); /* of these */
unsigned fake_server_dictionaries(const struct fake_server *server); /* requests for one */
/* Before the first connection: what could not be known before it had its address. */
void fake_server_plan_amount(struct fake_server *server, size_t amount);
unsigned fake_server_map_writes(const struct fake_server *server); /* requests seen so far */

void fake_server_cut(struct fake_server *server);    /* closes every connection */
void fake_server_reboot(struct fake_server *server); /* and forgets its areas, with a new boot id */

#endif
