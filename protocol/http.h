/* SPDX-License-Identifier: BSD-3-Clause
 * http - the little of HTTP/1 that a door for monitors needs: a request without a body, the head of
 * an answer.
 *
 * GET and HEAD alone. One request a connection: what comes behind it is nobody's. Whatever has a
 * body, or could be read in two ways (a line folded, a header without a name, a bare CR), is
 * refused, not guessed at.
 *
 * Pure, as request.h.
 */
#ifndef FARPAGE_PROTOCOL_HTTP_H
#define FARPAGE_PROTOCOL_HTTP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"

enum {
    HTTP_REQUEST_BYTES_MAX = 8 << 10, /* its line and all headers */
    HTTP_TARGET_BYTES_MAX = 1 << 10,
    HTTP_HEADERS_MAX = 64,
    HTTP_HEAD_BYTES_MAX = 512, /* of an answer */
    HTTP_LOGIN_BYTES_MAX = 256, /* USER:PASSWORD, decoded */
};

/* X(status, number, reason) */
#define HTTP_STATUSES(X)                                                                           \
    X(HTTP_OK, 200, "OK")                                                                          \
    X(HTTP_BAD_REQUEST, 400, "Bad Request")                                                        \
    X(HTTP_UNAUTHORIZED, 401, "Unauthorized")                                                      \
    X(HTTP_FORBIDDEN, 403, "Forbidden")                                                            \
    X(HTTP_NOT_FOUND, 404, "Not Found")                                                            \
    X(HTTP_NOT_ALLOWED, 405, "Method Not Allowed")                                                 \
    X(HTTP_TIMEOUT, 408, "Request Timeout")                                                        \
    X(HTTP_BODY_REFUSED, 413, "Content Too Large")                                                 \
    X(HTTP_TARGET_TOO_LONG, 414, "URI Too Long")                                                   \
    X(HTTP_HEADERS_TOO_LARGE, 431, "Request Header Fields Too Large")                              \
    X(HTTP_UNAVAILABLE, 503, "Service Unavailable")                                                \
    X(HTTP_VERSION_REFUSED, 505, "HTTP Version Not Supported")

enum http_status {
#define X(status, number, reason) status,
    HTTP_STATUSES(X)
#undef X
    HTTP_STATUSES_COUNT
};

enum http_parse {
    HTTP_READY,
    HTTP_PARTIAL, /* read more, then call again from the same start */
    HTTP_REFUSED, /* answer *refusal and close */
};

struct http_request { /* borrows from the buffer */
    bool head;        /* the answer's body is not wanted */
    struct slice path, query;      /* of the target; the query without its '?' */
    struct slice host;             /* the value of the header; empty where there is none */
    struct slice credentials;      /* the value of Authorization; empty where there is none */
};

/* The buffer may be empty. However a request is cut, it is read as if it came at once. */
enum http_parse http_parse(struct slice buffer, struct http_request *request,
                           enum http_status *refusal) FP_MUST_CHECK FP_NONNULL(2, 3);

/* Is `word` one of the query's words, as in ?verbose or ?verbose&x=1? */
bool http_query_has(struct slice query, const char *word) FP_NONNULL(2);

/* Is it a number of an address, "localhost", or nothing, with a port or without? A name that
 * somebody else's server of names may point here is not. */
bool http_host_is_plain(struct slice host);

struct http_login {
    char bytes[HTTP_LOGIN_BYTES_MAX];
    struct slice user, password; /* within bytes */
};
/* "Basic dXNlcjpwYXNz" taken apart. False: it is anything else. */
bool http_login(struct slice credentials, struct http_login *login) FP_MUST_CHECK FP_NONNULL(2);

unsigned http_status_number(enum http_status status);
const char *http_status_reason(enum http_status status);

/* The head of an answer up to its body, which is the connection's last. Returns its length. */
size_t http_head(enum http_status status, const char *type, uint64_t body_bytes,
                 char head[HTTP_HEAD_BYTES_MAX]) FP_NONNULL(2, 4);

#endif
