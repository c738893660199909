/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/http.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/base/suite.h"

static struct http_request request;
static enum http_status refusal;

static enum http_parse parse(const char *text)
{
    return http_parse(slice_text(text), &request, &refusal);
}

START_TEST(a_request_is_a_path_a_query_and_what_matters_of_the_headers)
{
    ck_assert_int_eq(parse("GET /readyz?verbose&x=1 HTTP/1.1\r\nHost: a:1\r\nAccept: */*\r\n"
                           "AUTHORIZATION:  Basic dTpw \r\nContent-Length: 0\r\n\r\n"),
                     HTTP_READY);
    ck_assert(slice_is(request.path, "/readyz") && !request.head);
    ck_assert(http_query_has(request.query, "verbose") && http_query_has(request.query, "x"));
    ck_assert(!http_query_has(request.query, "verb") && !http_query_has(request.query, ""));
    ck_assert(slice_is(request.host, "a:1") && slice_is(request.credentials, "Basic dTpw"));
    ck_assert_int_eq(parse("HEAD / HTTP/1.0\n\n"), HTTP_READY);
    ck_assert(request.head && request.host.size_bytes == 0 && request.query.size_bytes == 0);
}
END_TEST

START_TEST(what_comes_in_pieces_is_waited_for)
{
    static const char text[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    for (size_t size = 0; size < sizeof text - 1; size++)
        ck_assert_int_eq(http_parse(slice_of(text, size), &request, &refusal), HTTP_PARTIAL);
    ck_assert_int_eq(parse(text), HTTP_READY);
}
END_TEST

START_TEST(what_is_no_question_is_refused)
{
    static const struct {
        const char *text;
        enum http_status status;
    } rows[] = {
        {"POST /metrics HTTP/1.1\r\n\r\n", HTTP_NOT_ALLOWED},
        {"get / HTTP/1.1\r\n\r\n", HTTP_NOT_ALLOWED},
        {"GET / HTTP/2.0\r\n\r\n", HTTP_VERSION_REFUSED},
        {"GET /\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET  / HTTP/1.1\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET / HTTP/1.1 \r\n\r\n", HTTP_BAD_REQUEST},
        {"GET http://a/ HTTP/1.1\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET / HTTP/1.1\r\n folded: x\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nno colon\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nA: x\ry\r\n\r\n", HTTP_BAD_REQUEST},
        {"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", HTTP_BODY_REFUSED},
        {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BODY_REFUSED},
        {"\x16\x03\x01", HTTP_BAD_REQUEST}, /* TLS */
        {"\x80", HTTP_BAD_REQUEST},
    };
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        ck_assert_msg(parse(rows[i].text) == HTTP_REFUSED, "%s", rows[i].text);
        ck_assert_msg(refusal == rows[i].status, "%s: %u", rows[i].text,
                      http_status_number(refusal));
    }
}
END_TEST

START_TEST(nothing_grows_beyond_its_limit)
{
    static char text[HTTP_REQUEST_BYTES_MAX + 1];
    memset(text, 'a', sizeof text - 1);
    ck_assert_int_eq(http_parse(slice_of(text, HTTP_REQUEST_BYTES_MAX - 1), &request, &refusal),
                     HTTP_PARTIAL);
    ck_assert_int_eq(parse(text), HTTP_REFUSED);
    ck_assert_int_eq(refusal, HTTP_TARGET_TOO_LONG);
    memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
    ck_assert_int_eq(parse(text), HTTP_REFUSED);
    ck_assert_int_eq(refusal, HTTP_HEADERS_TOO_LARGE);
    int used = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n");
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "a%d: b\r\n", i);
    snprintf(text + used, sizeof text - (size_t)used, "\r\n");
    ck_assert_int_eq(parse(text), HTTP_REFUSED);
    ck_assert_int_eq(refusal, HTTP_HEADERS_TOO_LARGE);
    used = snprintf(text, sizeof text, "GET /%01025d HTTP/1.1\r\n\r\n", 0);
    ck_assert_int_eq(parse(text), HTTP_REFUSED);
    ck_assert_int_eq(refusal, HTTP_TARGET_TOO_LONG);
}
END_TEST

START_TEST(a_login_is_taken_apart)
{
    struct http_login login;
    ck_assert(http_login(slice_text("Basic dXNlcjpwYXNzOndvcmQ="), &login));
    ck_assert(slice_is(login.user, "user") && slice_is(login.password, "pass:word"));
    ck_assert(http_login(slice_text("basic Og"), &login)); /* ":" */
    ck_assert(login.user.size_bytes == 0 && login.password.size_bytes == 0);
    static const char *const bad[] = {"", "Basic", "Bearer dTpw", "Basic dTp!", "Basic dXNlcg=="};
    for (size_t i = 0; i < FP_COUNT_OF(bad); i++)
        ck_assert_msg(!http_login(slice_text(bad[i]), &login), "%s", bad[i]);
    char text[6 + 4 * HTTP_LOGIN_BYTES_MAX] = "Basic ";
    memset(text + 6, 'A', sizeof text - 7);
    text[sizeof text - 1] = '\0';
    ck_assert(!http_login(slice_text(text), &login));
}
END_TEST

START_TEST(a_host_that_is_a_name_is_told_apart)
{
    static const char *const plain[] = {"", "127.0.0.1", "127.0.0.1:9090", "localhost",
                                        "LocalHost:1", "[::1]:80"};
    static const char *const named[] = {"evil.com", "evil.com:80", "127.0.0.1.evil.com"};
    for (size_t i = 0; i < FP_COUNT_OF(plain); i++)
        ck_assert_msg(http_host_is_plain(slice_text(plain[i])), "%s", plain[i]);
    for (size_t i = 0; i < FP_COUNT_OF(named); i++)
        ck_assert_msg(!http_host_is_plain(slice_text(named[i])), "%s", named[i]);
}
END_TEST

START_TEST(an_answer_says_how_long_it_is)
{
    char head[HTTP_HEAD_BYTES_MAX];
    size_t size = http_head(HTTP_NOT_ALLOWED, "text/plain", UINT64_MAX, head);
    ck_assert_uint_eq(size, strlen(head));
    ck_assert_ptr_nonnull(strstr(head, "HTTP/1.1 405 Method Not Allowed\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "Content-Length: 18446744073709551615\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "Allow: GET, HEAD\r\n"));
    ck_assert_str_eq(head + size - 4, "\r\n\r\n");
    ck_assert_uint_eq(http_status_number(HTTP_OK), 200);
}
END_TEST

int main(void)
{
    return suite_run("http", a_request_is_a_path_a_query_and_what_matters_of_the_headers,
                     what_comes_in_pieces_is_waited_for, what_is_no_question_is_refused,
                     nothing_grows_beyond_its_limit, a_login_is_taken_apart,
                     a_host_that_is_a_name_is_told_apart, an_answer_says_how_long_it_is);
}
