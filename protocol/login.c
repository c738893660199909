/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/login.h"

#include <string.h>

#include "base/number.h"
#include "protocol/request.h"

enum { WORDS_NEEDED = 5, WORD_OF_BYTES = 4 };

#define REFUSAL_UNAUTHENTICATED "CLIENT_ERROR unauthenticated"
#define REFUSAL_BAD_END "CLIENT_ERROR bad command line termination"
#define REFUSAL_BAD_TOKEN "CLIENT_ERROR bad authentication token format"

/* The line's BYTES where it is a set that could be a login. */
static bool read_line(struct slice line, uint64_t *body_bytes)
{
    struct slice word;
    unsigned words = 0;
    bool good = true;
    while (request_next_word(&line, &word)) {
        if (words == 0) good = slice_is(word, "set");
        if (words == WORD_OF_BYTES) good = good && number_u64(word, body_bytes);
        words++;
    }
    return good && words >= WORDS_NEEDED;
}

/* A browser sends its request line first; what follows it must not be tried as a login. */
static bool is_http(struct slice line)
{
    struct slice word, last = slice_of(NULL, 0);
    while (request_next_word(&line, &word)) last = word;
    return last.size_bytes >= 5 && memcmp(last.bytes, "HTTP/", 5) == 0;
}

static bool read_body(struct slice body, struct login *login)
{
    const uint8_t *blank =
        body.size_bytes > 0 ? memchr(body.bytes, ' ', body.size_bytes) : NULL;
    if (blank == NULL) return false;
    login->user = slice_of(body.bytes, (size_t)(blank - body.bytes));
    login->password = slice_of(blank + 1, body.size_bytes - login->user.size_bytes - 1);
    return login->user.size_bytes > 0 && login->password.size_bytes > 0;
}

/* How many bytes end the body: 2 or 1; 0: not seen yet; -1: it does not end where it should. */
static int end_of_body(struct slice behind)
{
    if (behind.size_bytes == 0) return 0;
    if (behind.bytes[0] == '\n') return 1;
    if (behind.bytes[0] != '\r') return -1;
    if (behind.size_bytes == 1) return 0;
    return behind.bytes[1] == '\n' ? 2 : -1;
}

static enum login_parse refuse(const char *why, size_t size_bytes, struct login *login,
                               const char **refusal)
{
    login->size_bytes = size_bytes;
    *refusal = why;
    return LOGIN_REFUSED;
}

static enum login_parse lose(const char *why, const char **refusal)
{
    *refusal = why;
    return LOGIN_LOST;
}

enum login_parse login_parse(struct slice buffer, struct login *login, const char **refusal)
{
    size_t most = buffer.size_bytes < LOGIN_LINE_BYTES_MAX + 1 ? buffer.size_bytes
                                                               : LOGIN_LINE_BYTES_MAX + 1;
    const uint8_t *newline = memchr(buffer.bytes, '\n', most);
    *login = (struct login){0};
    if (newline == NULL)
        return most <= LOGIN_LINE_BYTES_MAX ? LOGIN_PARTIAL
                                            : lose(REFUSAL_UNAUTHENTICATED, refusal);
    size_t line_bytes = (size_t)(newline - buffer.bytes), used = line_bytes + 1;
    if (line_bytes > 0 && buffer.bytes[line_bytes - 1] == '\r') line_bytes--;
    struct slice line = slice_of(buffer.bytes, line_bytes);
    uint64_t body_bytes = 0;
    if (is_http(line)) return lose("", refusal);
    if (!read_line(line, &body_bytes))
        return refuse(REFUSAL_UNAUTHENTICATED, used, login, refusal);
    if (body_bytes > LOGIN_BODY_BYTES_MAX) return lose(REFUSAL_BAD_TOKEN, refusal);
    if (buffer.size_bytes - used < body_bytes) return LOGIN_PARTIAL;
    struct slice body = slice_of(buffer.bytes + used, (size_t)body_bytes);
    used += (size_t)body_bytes;
    int end = end_of_body(slice_of(buffer.bytes + used, buffer.size_bytes - used));
    if (end == 0) return LOGIN_PARTIAL;
    if (end < 0) return lose(REFUSAL_BAD_END, refusal); /* the rest would be read as lines */
    used += (size_t)end;
    if (!read_body(body, login)) return refuse(REFUSAL_BAD_TOKEN, used, login, refusal);
    login->size_bytes = used;
    return LOGIN_READY;
}
