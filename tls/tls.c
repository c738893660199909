/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a stream: open -> (handshake) -> established -> [ read | write ]* -> close
 *                              `-- failed                    `-- failed
 * Once it failed, nothing more is sent on it: OpenSSL forbids even a goodbye. */
#include "tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* TLS 1.2; those of 1.3 are all good. */
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

struct tls_context {
    SSL_CTX *ssl;
    enum tls_role role;
    int64_t expires_s;
};

struct tls {
    SSL *ssl;
    BIO_METHOD *method; /* how OpenSSL reaches the socket */
    int fd;
    bool cut; /* the socket has no more, with a goodbye or without */
    enum tls_role role;
    bool established, failed, ended; /* ended: the other end sends no more */
    bool wants_write;
    char reason[TLS_REASON_BYTES];
};

/* --- contexts --------------------------------------------------------------------------------- */

/* The first error is the cause; the others are who passed it on. */
static const char *openssl_reason(void)
{
    static const struct {
        int library, reason;
        const char *text;
    } clearer[] = {
        {ERR_LIB_PEM, PEM_R_NO_START_LINE, "it holds none in PEM"},
        {ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH, "it does not belong to the certificate"},
        /* What it said first was taken for a version. */
        {ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER, "the other end does not speak TLS"},
    };
    unsigned long error = ERR_peek_error();
    int library = ERR_GET_LIB(error), reason = ERR_GET_REASON(error);
    if (library == ERR_LIB_SYS) return strerror(reason);
    for (size_t i = 0; i < sizeof clearer / sizeof clearer[0]; i++)
        if (clearer[i].library == library && clearer[i].reason == reason) return clearer[i].text;
    const char *text = ERR_reason_error_string(error);
    return text != NULL ? text : "OpenSSL gives no reason";
}

static enum fp_status refuse(char reason[TLS_REASON_BYTES], const char *what, const char *path)
{
    snprintf(reason, TLS_REASON_BYTES, "the %s %.256s: %s", what, path, openssl_reason());
    return FP_INVALID;
}

/* Without it OpenSSL would ask the terminal. */
static int no_passphrase(char *text, int size, int writing, void *opaque)
{
    (void)text, (void)size, (void)writing;
    *(bool *)opaque = true;
    return 0;
}

static bool given(const char *path)
{
    return path != NULL && path[0] != '\0';
}

/* OpenSSL's words for a file that is not there would be "no such file" without saying which. */
static enum fp_status look_at(const char *what, const char *path, char reason[TLS_REASON_BYTES])
{
    struct stat file;
    int error = stat(path, &file) != 0 ? errno : S_ISREG(file.st_mode) ? 0 : EISDIR;
    if (error == 0) return FP_OK;
    snprintf(reason, TLS_REASON_BYTES, "the %s %.256s: %s", what, path,
             error == EISDIR ? "it is not a file" : strerror(error));
    return FP_IO;
}

static int64_t end_of(const SSL_CTX *ssl)
{
    struct tm end;
    const X509 *certificate = SSL_CTX_get0_certificate(ssl);
    if (certificate == NULL) return 0;
    return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1 ? timegm(&end) : 0;
}

static enum fp_status load_identity(SSL_CTX *ssl, const struct tls_options *options,
                                    char reason[TLS_REASON_BYTES])
{
    bool encrypted = false;
    enum fp_status status = look_at("certificate", options->certificate, reason);
    if (status == FP_OK) status = look_at("key", options->key, reason);
    if (status != FP_OK) return status;
    if (SSL_CTX_use_certificate_chain_file(ssl, options->certificate) != 1)
        return refuse(reason, "certificate", options->certificate);
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, &encrypted);
    int used = SSL_CTX_use_PrivateKey_file(ssl, options->key, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
    SSL_CTX_set_default_passwd_cb(ssl, NULL);
    if (used != 1 && encrypted) {
        snprintf(reason, TLS_REASON_BYTES,
                 "the key %.256s: it is encrypted and nobody is there to type its passphrase; "
                 "openssl pkey -in KEY -out PLAIN takes it off",
                 options->key);
        return FP_INVALID;
    }
    if (used != 1) return refuse(reason, "key", options->key);
    return SSL_CTX_check_private_key(ssl) == 1 ? FP_OK : refuse(reason, "key", options->key);
}

static enum fp_status load_authorities(SSL_CTX *ssl, const struct tls_options *options,
                                       char reason[TLS_REASON_BYTES])
{
    const char *path = options->authorities;
    if (!given(path)) {
        if (options->role == TLS_CLIENT && options->verify != TLS_VERIFY_NONE)
            (void)SSL_CTX_set_default_verify_paths(ssl); /* none there: nobody is believed */
        return FP_OK;
    }
    enum fp_status status = look_at("authority file", path, reason);
    if (status != FP_OK) return status;
    if (SSL_CTX_load_verify_file(ssl, path) != 1) return refuse(reason, "authority file", path);
    if (options->role == TLS_CLIENT) return FP_OK;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (names == NULL) return refuse(reason, "authority file", path);
    SSL_CTX_set_client_CA_list(ssl, names); /* which tells clients which certificate to show */
    return FP_OK;
}

static int verify_mode(const struct tls_options *options)
{
    if (options->verify == TLS_VERIFY_NONE) return SSL_VERIFY_NONE;
    return options->verify == TLS_VERIFY_OPTIONAL
               ? SSL_VERIFY_PEER
               : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

static bool configure(SSL_CTX *ssl, const struct tls_options *options)
{
    int minimum = options->minimum == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ssl, verify_mode(options), NULL);
    return SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
           SSL_CTX_set_min_proto_version(ssl, minimum) == 1 &&
           SSL_CTX_set_cipher_list(ssl, CIPHERS_1_2) == 1;
}

enum fp_status tls_context_create(const struct tls_options *options, struct tls_context **out,
                                  char reason[TLS_REASON_BYTES])
{
    *out = NULL;
    ERR_clear_error();
    struct tls_context *context = calloc(1, sizeof *context);
    bool serves = options->role == TLS_SERVER;
    SSL_CTX *ssl = SSL_CTX_new(serves ? TLS_server_method() : TLS_client_method());
    enum fp_status status = FP_OK;
    if (context == NULL || ssl == NULL || !configure(ssl, options)) {
        snprintf(reason, TLS_REASON_BYTES, "out of memory");
        status = FP_NO_MEMORY;
    }
    if (status == FP_OK && (serves || given(options->certificate)))
        status = load_identity(ssl, options, reason);
    if (status == FP_OK) status = load_authorities(ssl, options, reason);
    ERR_clear_error();
    if (status != FP_OK) {
        SSL_CTX_free(ssl);
        free(context);
        return status;
    }
    *context = (struct tls_context){ssl, options->role, end_of(ssl)};
    *out = context;
    return FP_OK;
}

void tls_context_destroy(struct tls_context **context_ptr)
{
    struct tls_context *context = *context_ptr;
    if (context == NULL) return;
    SSL_CTX_free(context->ssl);
    free(context);
    *context_ptr = NULL;
}

int64_t tls_context_expires(const struct tls_context *context)
{
    return context->expires_s;
}

/* --- the socket ------------------------------------------------------------------------------- */

/* OpenSSL's own way to a socket raises SIGPIPE where the other end has gone. */

static bool is_for_later(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int socket_read(BIO *bio, char *bytes, int room)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got = room > 0 ? recv(tls->fd, bytes, (size_t)room, 0) : 0;
    if (got < 0 && is_for_later(errno)) BIO_set_retry_read(bio);
    if (room > 0 && (got == 0 || (got < 0 && !is_for_later(errno)))) tls->cut = true;
    return (int)got;
}

static int socket_write(BIO *bio, const char *bytes, int size)
{
    const struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t sent = size > 0 ? send(tls->fd, bytes, (size_t)size, MSG_NOSIGNAL) : 0;
    if (sent < 0 && is_for_later(errno)) BIO_set_retry_write(bio);
    return (int)sent;
}

static long socket_control(BIO *bio, int what, long number, void *pointer)
{
    (void)number, (void)pointer;
    const struct tls *tls = BIO_get_data(bio);
    if (what == BIO_CTRL_EOF) return tls->cut;
    return what == BIO_CTRL_FLUSH; /* there is nothing to flush */
}

static bool reach_socket(struct tls *tls)
{
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");
    BIO *bio = NULL;
    if (tls->method != NULL && BIO_meth_set_read(tls->method, socket_read) == 1 &&
        BIO_meth_set_write(tls->method, socket_write) == 1 &&
        BIO_meth_set_ctrl(tls->method, socket_control) == 1)
        bio = BIO_new(tls->method);
    if (bio == NULL) return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio); /* which takes it over */
    return true;
}

/* --- a stream --------------------------------------------------------------------------------- */

struct tls *tls_open(const struct tls_context *context, int fd)
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) return NULL;
    tls->role = context->role;
    tls->ssl = SSL_new(context->ssl); /* which counts who uses the context */
    tls->fd = fd;
    if (tls->ssl == NULL || !reach_socket(tls)) {
        tls_close(&tls);
        return NULL;
    }
    if (tls->role == TLS_SERVER) SSL_set_accept_state(tls->ssl);
    else SSL_set_connect_state(tls->ssl);
    return tls;
}

enum fp_status tls_expect_host(struct tls *tls, const char *host)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1) return FP_OK;
    ERR_clear_error(); /* it is a name, then */
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool set = X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1 &&
               SSL_set_tlsext_host_name(tls->ssl, host) == 1;
    ERR_clear_error();
    return set ? FP_OK : FP_INVALID;
}

void tls_close(struct tls **tls_ptr)
{
    struct tls *tls = *tls_ptr;
    if (tls == NULL) return;
    if (tls->established && !tls->failed) (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
    SSL_free(tls->ssl);
    BIO_meth_free(tls->method);
    free(tls);
    *tls_ptr = NULL;
}

static void fail(struct tls *tls)
{
    int error = errno;
    long verified = SSL_get_verify_result(tls->ssl);
    tls->failed = true;
    if (verified != X509_V_OK && !tls->established)
        snprintf(tls->reason, sizeof tls->reason, "certificate: %s",
                 X509_verify_cert_error_string(verified));
    else if (ERR_peek_error() != 0)
        snprintf(tls->reason, sizeof tls->reason, "%s", openssl_reason());
    else
        snprintf(tls->reason, sizeof tls->reason, "%s",
                 error != 0 ? strerror(error) : "the other end is gone");
    ERR_clear_error();
}

/* What OpenSSL's `result` means; of an end that sends no more TLS_DONE, and `ended`. */
static enum tls_step step_of(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_ZERO_RETURN:
        tls->ended = true;
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        tls->wants_write = false;
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        tls->wants_write = true;
        return TLS_WANT_WRITE;
    default:
        fail(tls);
        return TLS_FAILED;
    }
}

static void begin_call(struct tls *tls)
{
    ERR_clear_error(); /* whoever used OpenSSL on this thread before */
    errno = 0;
    tls->wants_write = false;
}

enum tls_step tls_handshake(struct tls *tls)
{
    if (tls->failed) return TLS_FAILED;
    begin_call(tls);
    enum tls_step step = step_of(tls, SSL_do_handshake(tls->ssl));
    if (step == TLS_DONE && tls->ended) { /* goodbye instead of a handshake */
        snprintf(tls->reason, sizeof tls->reason, "the other end has hung up");
        tls->failed = true;
        return TLS_FAILED;
    }
    tls->established = step == TLS_DONE;
    return step;
}

bool tls_was_cut(const struct tls *tls)
{
    return tls->failed && tls->cut;
}

void tls_forget(void *bytes, size_t size_bytes)
{
    OPENSSL_cleanse(bytes, size_bytes);
}

const char *tls_reason(const struct tls *tls)
{
    return tls->reason;
}

long tls_read(struct tls *tls, void *bytes, size_t room_bytes)
{
    size_t got = 0;
    enum tls_step step = TLS_DONE;
    while (got < room_bytes && !tls->ended && !tls->failed && step == TLS_DONE) {
        size_t more = 0;
        begin_call(tls);
        int result = SSL_read_ex(tls->ssl, (uint8_t *)bytes + got, room_bytes - got, &more);
        step = step_of(tls, result);
        got += more;
    }
    if (got > 0 || (tls->ended && !tls->failed)) return (long)got;
    errno = tls->failed ? EPROTO : EAGAIN;
    return -1;
}

long tls_write(struct tls *tls, const void *bytes, size_t size_bytes)
{
    size_t sent = 0;
    enum tls_step step = TLS_FAILED;
    if (size_bytes == 0) return 0;
    if (!tls->failed) {
        begin_call(tls);
        step = step_of(tls, SSL_write_ex(tls->ssl, bytes, size_bytes, &sent));
    }
    if (step == TLS_DONE && sent > 0) return (long)sent;
    errno = step == TLS_WANT_READ || step == TLS_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

uint64_t tls_held_bytes(const struct tls *tls)
{
    return tls->established ? TLS_IDLE_BYTES : TLS_HANDSHAKE_BYTES;
}

bool tls_wants_write(const struct tls *tls)
{
    return tls->wants_write;
}

bool tls_has_more(const struct tls *tls)
{
    return tls->ended || tls->failed || SSL_pending(tls->ssl) > 0;
}

static bool common_name(const X509 *certificate, unsigned i, char name[TLS_PEER_NAME_BYTES])
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (i != 0 || at < 0) return false;
    ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int size = ASN1_STRING_length(text);
    if (size <= 0 || size >= TLS_PEER_NAME_BYTES) return false;
    memcpy(name, ASN1_STRING_get0_data(text), (size_t)size);
    name[size] = '\0';
    return strlen(name) == (size_t)size;
}

/* The i-th one that fits. */
static bool dns_name(const X509 *certificate, unsigned i, char name[TLS_PEER_NAME_BYTES])
{
    bool found = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int k = 0; k < sk_GENERAL_NAME_num(names) && !found; k++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, k);
        if (one->type != GEN_DNS) continue;
        int size = ASN1_STRING_length(one->d.dNSName);
        const unsigned char *bytes = ASN1_STRING_get0_data(one->d.dNSName);
        if (size <= 0 || size >= TLS_PEER_NAME_BYTES) continue;
        if (memchr(bytes, '\0', (size_t)size) != NULL || i-- > 0) continue;
        memcpy(name, bytes, (size_t)size);
        name[size] = '\0';
        found = true;
    }
    GENERAL_NAMES_free(names);
    return found;
}

bool tls_peer_name(const struct tls *tls, unsigned i, char name[TLS_PEER_NAME_BYTES])
{
    const X509 *certificate = tls->established ? SSL_get0_peer_certificate(tls->ssl) : NULL;
    char first[TLS_PEER_NAME_BYTES];
    if (certificate == NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK) return false;
    if (!common_name(certificate, 0, first)) return dns_name(certificate, i, name);
    return i == 0 ? common_name(certificate, 0, name) : dns_name(certificate, i - 1, name);
}

const char *tls_version_name(const struct tls *tls)
{
    return tls->established ? SSL_get_version(tls->ssl) : "";
}
