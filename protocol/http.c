/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A request is found whole first, by its empty line, and only then taken apart: so it does not
 * matter how it was cut. What grows too long is refused before it is whole. */
#include "protocol/http.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"

static bool is_token(uint8_t c)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static bool same_word(struct slice a, const char *b)
{
    if (a.size_bytes != strlen(b)) return false;
    for (size_t i = 0; i < a.size_bytes; i++)
        if (lower(a.bytes[i]) != (uint8_t)b[i]) return false;
    return true;
}

static enum http_parse refuse(enum http_status *refusal, enum http_status status)
{
    *refusal = status;
    return HTTP_REFUSED;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Takes the next line off *rest, without its end. False: it is not whole. */
static bool next_line(struct slice *rest, struct slice *line)
{
    const uint8_t *end =
        rest->size_bytes > 0 ? memchr(rest->bytes, '\n', rest->size_bytes) : NULL;
    if (end == NULL) return false;
    size_t size = (size_t)(end - rest->bytes);
    *line = slice_of(rest->bytes, size);
    *rest = slice_of(end + 1, rest->size_bytes - size - 1);
    if (size > 0 && line->bytes[size - 1] == '\r') line->size_bytes--;
    return true;
}

/* No control character, so no bare CR either. */
static bool is_clean(struct slice text)
{
    for (size_t i = 0; i < text.size_bytes; i++)
        if ((text.bytes[i] < ' ' && text.bytes[i] != '\t') || text.bytes[i] == 0x7f) return false;
    return true;
}

/* Up to the next blank, which goes with it. */
static struct slice next_word(struct slice *line)
{
    size_t size = 0;
    while (size < line->size_bytes && line->bytes[size] != ' ') size++;
    struct slice word = slice_of(line->bytes, size);
    size_t past = size < line->size_bytes ? size + 1 : size;
    *line = slice_of(line->bytes + past, line->size_bytes - past);
    return word;
}

static bool split_target(struct slice target, struct http_request *request)
{
    if (target.size_bytes == 0 || target.bytes[0] != '/') return false;
    for (size_t i = 0; i < target.size_bytes; i++)
        if (target.bytes[i] <= ' ' || target.bytes[i] > 0x7e) return false;
    const uint8_t *mark = memchr(target.bytes, '?', target.size_bytes);
    size_t path = mark != NULL ? (size_t)(mark - target.bytes) : target.size_bytes;
    request->path = slice_of(target.bytes, path);
    if (mark != NULL) request->query = slice_of(mark + 1, target.size_bytes - path - 1);
    return true;
}

static enum http_parse request_line(struct slice line, struct http_request *request,
                                    enum http_status *refusal)
{
    struct slice method = next_word(&line), target = next_word(&line), version = line;
    bool good = method.size_bytes > 0;
    for (size_t i = 0; i < method.size_bytes; i++) good = good && is_token(method.bytes[i]);
    if (!good || version.size_bytes != 8 || memcmp(version.bytes, "HTTP/", 5) != 0)
        return refuse(refusal, HTTP_BAD_REQUEST);
    if (!slice_is(version, "HTTP/1.1") && !slice_is(version, "HTTP/1.0"))
        return refuse(refusal, HTTP_VERSION_REFUSED);
    request->head = slice_is(method, "HEAD");
    if (!request->head && !slice_is(method, "GET")) return refuse(refusal, HTTP_NOT_ALLOWED);
    if (target.size_bytes > HTTP_TARGET_BYTES_MAX) return refuse(refusal, HTTP_TARGET_TOO_LONG);
    if (!split_target(target, request)) return refuse(refusal, HTTP_BAD_REQUEST);
    return HTTP_READY;
}

static struct slice trimmed(struct slice text)
{
    while (text.size_bytes > 0 && (text.bytes[0] == ' ' || text.bytes[0] == '\t'))
        text = slice_of(text.bytes + 1, text.size_bytes - 1);
    while (text.size_bytes > 0 && (text.bytes[text.size_bytes - 1] == ' ' ||
                                   text.bytes[text.size_bytes - 1] == '\t'))
        text.size_bytes--;
    return text;
}

static enum http_parse take_header(struct slice line, struct http_request *request,
                                   enum http_status *refusal)
{
    size_t name_bytes = 0;
    while (name_bytes < line.size_bytes && is_token(line.bytes[name_bytes])) name_bytes++;
    bool good = name_bytes > 0 && name_bytes < line.size_bytes && line.bytes[name_bytes] == ':' &&
                is_clean(line);
    if (!good) return refuse(refusal, HTTP_BAD_REQUEST);
    struct slice name = slice_of(line.bytes, name_bytes);
    struct slice value =
        trimmed(slice_of(line.bytes + name_bytes + 1, line.size_bytes - name_bytes - 1));
    struct slice *kept = same_word(name, "host")            ? &request->host
                         : same_word(name, "authorization") ? &request->credentials
                                                            : NULL;
    bool has_body = same_word(name, "transfer-encoding") ||
                    (same_word(name, "content-length") && !slice_is(value, "0"));
    if (has_body) return refuse(refusal, HTTP_BODY_REFUSED);
    if (kept == NULL) return HTTP_READY;
    if (kept->bytes != NULL) return refuse(refusal, HTTP_BAD_REQUEST); /* whom to believe? */
    *kept = value;
    return HTTP_READY;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* The request up to its empty line; false: it is not there yet. */
static bool find_end(struct slice buffer, struct slice *whole)
{
    struct slice rest = buffer, line;
    while (next_line(&rest, &line)) {
        if (line.size_bytes > 0) continue;
        *whole = slice_of(buffer.bytes, buffer.size_bytes - rest.size_bytes);
        return true;
    }
    return false;
}

static enum http_parse parse_whole(struct slice whole, struct http_request *request,
                                   enum http_status *refusal)
{
    struct slice line;
    bool there = next_line(&whole, &line);
    fp_assert(there);
    enum http_parse result = request_line(line, request, refusal);
    for (unsigned count = 0; result == HTTP_READY && next_line(&whole, &line); count++) {
        if (line.size_bytes == 0) break;
        if (count == HTTP_HEADERS_MAX) return refuse(refusal, HTTP_HEADERS_TOO_LARGE);
        result = take_header(line, request, refusal);
    }
    return result;
}

enum http_parse http_parse(struct slice buffer, struct http_request *request,
                           enum http_status *refusal)
{
    struct slice whole;
    *request = (struct http_request){0};
    struct slice within = buffer;
    if (within.size_bytes > HTTP_REQUEST_BYTES_MAX) within.size_bytes = HTTP_REQUEST_BYTES_MAX;
    /* TLS, a frame, memcached's binary protocol: no use in waiting for more. */
    if (within.size_bytes > 0 && !is_token(within.bytes[0]))
        return refuse(refusal, HTTP_BAD_REQUEST);
    if (find_end(within, &whole)) return parse_whole(whole, request, refusal);
    if (buffer.size_bytes < HTTP_REQUEST_BYTES_MAX) return HTTP_PARTIAL;
    bool line_ended = memchr(within.bytes, '\n', within.size_bytes) != NULL;
    return refuse(refusal, line_ended ? HTTP_HEADERS_TOO_LARGE : HTTP_TARGET_TOO_LONG);
}

bool http_query_has(struct slice query, const char *word)
{
    while (query.size_bytes > 0) {
        size_t size = 0;
        while (size < query.size_bytes && query.bytes[size] != '&') size++;
        struct slice part = slice_of(query.bytes, size);
        const uint8_t *equals = size > 0 ? memchr(part.bytes, '=', size) : NULL;
        if (equals != NULL) part.size_bytes = (size_t)(equals - part.bytes);
        if (slice_is(part, word)) return true;
        size_t past = size < query.size_bytes ? size + 1 : size;
        query = slice_of(query.bytes + past, query.size_bytes - past);
    }
    return false;
}

bool http_host_is_plain(struct slice host)
{
    if (host.size_bytes == 0 || host.bytes[0] == '[') return true; /* IPv6 has brackets */
    const uint8_t *colon = memchr(host.bytes, ':', host.size_bytes);
    if (colon != NULL) host.size_bytes = (size_t)(colon - host.bytes);
    if (same_word(host, "localhost")) return true;
    for (size_t i = 0; i < host.size_bytes; i++)
        if ((host.bytes[i] < '0' || host.bytes[i] > '9') && host.bytes[i] != '.') return false;
    return true;
}

/* --- who it is -------------------------------------------------------------------------------- */

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Padding may be left out. False: a byte that is none of its, or more than there is room for. */
static bool decode_base64(struct slice text, char *out, size_t room, size_t *size)
{
    uint32_t bits = 0;
    unsigned held = 0;
    *size = 0;
    while (text.size_bytes > 0 && text.bytes[text.size_bytes - 1] == '=') text.size_bytes--;
    for (size_t i = 0; i < text.size_bytes; i++) {
        int value = base64_value(text.bytes[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        if (*size == room) return false;
        out[(*size)++] = (char)(bits >> held & 0xff);
    }
    return true;
}

bool http_login(struct slice credentials, struct http_login *login)
{
    size_t size;
    if (credentials.size_bytes == 0) return false;
    struct slice scheme = next_word(&credentials);
    if (!same_word(scheme, "basic")) return false;
    if (!decode_base64(trimmed(credentials), login->bytes, sizeof login->bytes, &size))
        return false;
    const char *colon = size > 0 ? memchr(login->bytes, ':', size) : NULL;
    if (colon == NULL) return false;
    size_t user_bytes = (size_t)(colon - login->bytes);
    login->user = slice_of(login->bytes, user_bytes);
    login->password = slice_of(colon + 1, size - user_bytes - 1);
    return true;
}

/* --- answers ---------------------------------------------------------------------------------- */

unsigned http_status_number(enum http_status status)
{
    static const unsigned numbers[] = {
#define X(name, number, reason) number,
        HTTP_STATUSES(X)
#undef X
    };
    fp_assert(status < HTTP_STATUSES_COUNT);
    return numbers[status];
}

const char *http_status_reason(enum http_status status)
{
    static const char *const reasons[] = {
#define X(name, number, reason) reason,
        HTTP_STATUSES(X)
#undef X
    };
    fp_assert(status < HTTP_STATUSES_COUNT);
    return reasons[status];
}

size_t http_head(enum http_status status, const char *type, uint64_t body_bytes,
                 char head[HTTP_HEAD_BYTES_MAX])
{
    const char *more = "";
    if (status == HTTP_NOT_ALLOWED) more = "Allow: GET, HEAD\r\n";
    if (status == HTTP_UNAUTHORIZED) more = "WWW-Authenticate: Basic realm=\"farpage\"\r\n";
    int size = snprintf(head, HTTP_HEAD_BYTES_MAX,
                        "HTTP/1.1 %u %s\r\n"
                        "Content-Type: %s\r\n"
                        "Content-Length: %" PRIu64 "\r\n"
                        "Cache-Control: no-store\r\n"
                        "X-Content-Type-Options: nosniff\r\n"
                        "%sConnection: close\r\n\r\n",
                        http_status_number(status), http_status_reason(status), type, body_bytes,
                        more);
    fp_assert(size > 0 && size < HTTP_HEAD_BYTES_MAX);
    return (size_t)size;
}
