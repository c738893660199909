/* SPDX-License-Identifier: BSD-3-Clause
 * nbd_option - the handshake of the network block device protocol (fixed newstyle): the greeting,
 * options and the replies to them. What is done with which option in which state is decided here,
 * by one table; docs/nbd.md repeats it.
 *
 *   greeting      "NBDMAGIC" 8 | "IHAVEOPT" 8 | flags 2
 *   client flags  4
 *   option        "IHAVEOPT" 8 | number 4 | length 4, and so many bytes
 *   reply         magic 8 | option 4 | type 4 | length 4, and so many bytes
 *   end           of EXPORT_NAME alone: size 8 | flags 2, and 124 zeros unless both can do without
 *
 * Every length is checked before what it speaks of is looked at. Pure; any thread.
 */
#ifndef FARPAGE_PROTOCOL_NBD_OPTION_H
#define FARPAGE_PROTOCOL_NBD_OPTION_H
#include <stdbool.h>

#include "base/attrs.h"
#include "base/slice.h"

enum {
    NBD_GREETING_BYTES = 18,
    NBD_CLIENT_FLAGS_BYTES = 4,
    NBD_OPTION_HEAD_BYTES = 16,
    NBD_OPTION_REPLY_BYTES = 20,
    NBD_END_BYTES = 10,
    NBD_END_ZEROS_BYTES = 124,
    NBD_OPTIONS_MAX = 64,            /* of one connection */
    NBD_OPTION_BYTES_MAX = 16 << 10, /* of one; the bytes of a longer one are not looked at */
    NBD_OPTION_DROP_BYTES_MAX = 1 << 20, /* and of one still longer not even read */
    NBD_TEXT_BYTES_MAX = 4096,       /* of a name or query */
    NBD_QUERIES_MAX = 64,
    NBD_INFO_EXPORT_BYTES = 12,
    NBD_INFO_BLOCK_SIZE_BYTES = 14,
};

void nbd_greeting_encode(uint8_t out[NBD_GREETING_BYTES]);

struct nbd_client_flags {
    bool fixed;      /* it knows other options than EXPORT_NAME */
    bool no_zeroes;
};
/* False: it wants what was not offered. */
bool nbd_client_flags_decode(const uint8_t bytes[NBD_CLIENT_FLAGS_BYTES],
                             struct nbd_client_flags *flags) FP_MUST_CHECK FP_NONNULL(2);

/* --- options ---------------------------------------------------------------------------------- */

enum nbd_state { /* of the handshake */
    NBD_UNFIXED,    /* a client that knows EXPORT_NAME alone */
    NBD_BEFORE_TLS, /* TLS is wanted, and has not begun */
    NBD_PLAIN,      /* options may be asked; no TLS is to be had */
    NBD_SECURE,     /* the same, within TLS */
    NBD_STATES,
};

enum nbd_verdict {
    NBD_DO, /* what the option says */
    NBD_CLOSE,
    NBD_SAY_UNSUP, /* replies without more ado */
    NBD_SAY_POLICY,
    NBD_SAY_INVALID,
    NBD_SAY_TLS,
};

/* X(number, name, text, unfixed, before TLS, plain, secure, whether it needs structured replies) */
#define NBD_OPTIONS(X)                                                                             \
    X(1, NBD_OPT_EXPORT_NAME, "export name", NBD_DO, NBD_CLOSE, NBD_DO, NBD_DO, false)             \
    X(2, NBD_OPT_ABORT, "abort", NBD_CLOSE, NBD_DO, NBD_DO, NBD_DO, false)                         \
    X(3, NBD_OPT_LIST, "list", NBD_CLOSE, NBD_SAY_TLS, NBD_DO, NBD_DO, false)                      \
    X(5, NBD_OPT_STARTTLS, "starttls", NBD_CLOSE, NBD_DO, NBD_SAY_POLICY, NBD_SAY_INVALID, false)  \
    X(6, NBD_OPT_INFO, "info", NBD_CLOSE, NBD_SAY_TLS, NBD_DO, NBD_DO, false)                      \
    X(7, NBD_OPT_GO, "go", NBD_CLOSE, NBD_SAY_TLS, NBD_DO, NBD_DO, false)                          \
    X(8, NBD_OPT_STRUCTURED_REPLY, "structured reply", NBD_CLOSE, NBD_SAY_TLS, NBD_DO, NBD_DO,     \
      false)                                                                                       \
    X(9, NBD_OPT_LIST_META_CONTEXT, "list meta context", NBD_CLOSE, NBD_SAY_TLS, NBD_DO, NBD_DO,   \
      true)                                                                                        \
    X(10, NBD_OPT_SET_META_CONTEXT, "set meta context", NBD_CLOSE, NBD_SAY_TLS, NBD_DO, NBD_DO,    \
      true)

enum nbd_option_number {
#define X(number, name, text, unfixed, before_tls, plain, secure, structured) name = number,
    NBD_OPTIONS(X)
#undef X
};

struct nbd_option {
    uint32_t number; /* any that the client sent */
    uint32_t length;
};
/* False: it does not begin as an option does. */
bool nbd_option_decode(const uint8_t bytes[NBD_OPTION_HEAD_BYTES], struct nbd_option *option)
    FP_MUST_CHECK FP_NONNULL(2);

enum nbd_verdict nbd_option_verdict(enum nbd_state state, bool structured, uint32_t number);

enum nbd_info { NBD_INFO_EXPORT, NBD_INFO_NAME, NBD_INFO_DESCRIPTION, NBD_INFO_BLOCK_SIZE };

struct nbd_go { /* of GO and INFO */
    struct slice name;
    uint32_t infos; /* a bit for each enum nbd_info that is asked for */
};
bool nbd_go_decode(struct slice body, struct nbd_go *go) FP_MUST_CHECK FP_NONNULL(2);

struct nbd_contexts { /* of LIST and SET_META_CONTEXT */
    struct slice name; /* of the export */
    bool allocation;   /* base:allocation is meant, or selected */
};
bool nbd_contexts_decode(struct slice body, bool set, struct nbd_contexts *contexts)
    FP_MUST_CHECK FP_NONNULL(3);

/* --- replies ---------------------------------------------------------------------------------- */

#define NBD_REP_ERROR (1u << 31)
enum nbd_reply_type {
    NBD_REP_ACK = 1,
    NBD_REP_SERVER = 2,
    NBD_REP_INFO = 3,
    NBD_REP_META_CONTEXT = 4,
    NBD_REP_ERR_UNSUP = 0x101, /* 0x100: NBD_REP_ERROR on the wire */
    NBD_REP_ERR_POLICY,
    NBD_REP_ERR_INVALID,
    NBD_REP_ERR_PLATFORM,
    NBD_REP_ERR_TLS_REQD,
    NBD_REP_ERR_UNKNOWN,
    NBD_REP_ERR_SHUTDOWN,
    NBD_REP_ERR_BLOCK_SIZE_REQD,
    NBD_REP_ERR_TOO_BIG,
};

void nbd_option_reply_encode(uint32_t option, enum nbd_reply_type type, uint32_t length,
                             uint8_t out[NBD_OPTION_REPLY_BYTES]);

void nbd_info_export_encode(uint64_t size_bytes, uint16_t flags,
                            uint8_t out[NBD_INFO_EXPORT_BYTES]);
void nbd_info_block_size_encode(uint32_t preferred_bytes, uint8_t out[NBD_INFO_BLOCK_SIZE_BYTES]);
void nbd_end_encode(uint64_t size_bytes, uint16_t flags, uint8_t out[NBD_END_BYTES]);

#endif
