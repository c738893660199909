/* SPDX-License-Identifier: BSD-3-Clause
 * tls - TLS 1.2 and 1.3 over a socket that never blocks. The only room that knows OpenSSL's TLS.
 *
 *   files -> tls_context, which never changes
 *   context + socket -> tls_open -> tls_handshake until DONE -> tls_read, tls_write -> tls_close
 *
 * A stream holds on to its context, which may be destroyed before it: what another context brings
 * is for streams to come.
 *
 * What is agreed on: ciphers with forward secrecy and authentication alone, no compression, no
 * renegotiation, and no session tickets: connections here live long, and a ticket would let a
 * client in whose certificate is no longer good.
 *
 * Threads: a context any, between its creation and its end; a stream is one thread's.
 * Blocks: tls_context_create reads files; nothing else.
 */
#ifndef FARPAGE_TLS_TLS_H
#define FARPAGE_TLS_TLS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/status.h"

enum {
    TLS_REASON_BYTES = 512,
    TLS_RECORD_BYTES = 16 << 10, /* the most that one record carries */
    /* What a stream holds while nothing is on its way; measured, see tests/unit/tls. While bytes
     * are, up to two records more. */
    TLS_IDLE_BYTES = 20 << 10,
    TLS_HANDSHAKE_BYTES = 48 << 10, /* until it is agreed on */
    TLS_PEER_NAME_BYTES = 256,
};

/* --- what both ends must agree on ------------------------------------------------------------- */

enum tls_role { TLS_SERVER, TLS_CLIENT };
enum tls_verify {
    TLS_VERIFY_NONE,     /* whoever is at the other end */
    TLS_VERIFY_OPTIONAL, /* of a server: a client may show no certificate, but no bad one */
    TLS_VERIFY_REQUIRED,
};
enum tls_version { TLS_1_2, TLS_1_3 };

struct tls_options {
    enum tls_role role;
    /* PEM files; NULL or "": none. A server needs the first two. */
    const char *certificate, *key; /* with what signed it, up to the authority; unencrypted */
    const char *authorities;       /* whom to believe; a client without them: the system's */
    enum tls_verify verify;
    enum tls_version minimum;
};

struct tls_context;

/* FP_IO or FP_INVALID: *reason names the file and what is wrong with it. */
enum fp_status tls_context_create(const struct tls_options *options, struct tls_context **context,
                                  char reason[TLS_REASON_BYTES]) FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void tls_context_destroy(struct tls_context **context) FP_NONNULL(1); /* takes it, leaves NULL */

/* When its certificate ends, in Unix seconds; 0: it has none. */
int64_t tls_context_expires(const struct tls_context *context) FP_NONNULL(1);

/* --- one stream ------------------------------------------------------------------------------- */

struct tls;

enum tls_step {
    TLS_DONE,
    TLS_WANT_READ,  /* again when the socket can be read */
    TLS_WANT_WRITE, /* again when it can be written */
    TLS_FAILED,     /* close it; tls_reason says why */
};

/* The socket stays the caller's, who closes it after tls_close. NULL: no memory. */
struct tls *tls_open(const struct tls_context *context, int fd) FP_MUST_CHECK FP_NONNULL(1);

/* Of a client, before the handshake: the name or address its server must have a certificate for. */
enum fp_status tls_expect_host(struct tls *tls, const char *host) FP_MUST_CHECK FP_NONNULL(1, 2);

/* Says goodbye where that is possible at once, and ends the stream. Takes it, leaves NULL. */
void tls_close(struct tls **tls) FP_NONNULL(1);

enum tls_step tls_handshake(struct tls *tls) FP_MUST_CHECK FP_NONNULL(1);
/* It failed because the other end is gone, not because of what it said. */
bool tls_was_cut(const struct tls *tls) FP_NONNULL(1);
/* Overwrites a secret, which a compiler may not leave out. */
void tls_forget(void *bytes, size_t size_bytes) FP_NONNULL(1);
/* One line, without a final stop; good until the next call for the stream. */
const char *tls_reason(const struct tls *tls) FP_NONNULL(1);

/* As recv and send on a socket that does not block: bytes moved; 0 of tls_read: the other end sends
 * no more; -1 with errno EAGAIN (wait for the socket, by tls_wants_write) or EPROTO (it is over).
 * tls_read fills the room as far as bytes have come. After tls_write said EAGAIN it must be called
 * with the same bytes again, at whatever address, and more behind them if there are. */
long tls_read(struct tls *tls, void *bytes, size_t room_bytes) FP_MUST_CHECK FP_NONNULL(1, 2);
long tls_write(struct tls *tls, const void *bytes, size_t size_bytes)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* What it holds, to be charged to whoever has it; less from when it is agreed on. */
uint64_t tls_held_bytes(const struct tls *tls) FP_NONNULL(1);

/* The last EAGAIN was about writing. */
bool tls_wants_write(const struct tls *tls) FP_NONNULL(1);

/* tls_read has something to say although the socket may be silent. */
bool tls_has_more(const struct tls *tls) FP_NONNULL(1);

/* The names in the certificate that the other end showed and that was verified: its common name,
 * then its DNS names. False: there are no more. One that is longer, or has a zero in it, is passed
 * over. */
bool tls_peer_name(const struct tls *tls, unsigned i, char name[TLS_PEER_NAME_BYTES])
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* "TLSv1.3"; "" before the handshake is done. */
const char *tls_version_name(const struct tls *tls) FP_NONNULL(1);

#endif
