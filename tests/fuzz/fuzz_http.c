/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What anybody sends to the door for monitors.
 *   - however a request is cut, it is read as if it came at once, and never longer than its limit;
 *   - what is READY lies within the buffer and holds no control character;
 *   - a login that is taken apart lies within its room. */
#include "fuzz.h"
#include "protocol/http.h"

static void expect_within(struct slice whole, struct slice part)
{
    if (part.size_bytes == 0) return;
    fp_assert(part.bytes >= whole.bytes);
    fp_assert(part.bytes + part.size_bytes <= whole.bytes + whole.size_bytes);
    for (size_t i = 0; i < part.size_bytes; i++)
        fp_assert(part.bytes[i] >= ' ' || part.bytes[i] == '\t');
}

static void expect_request(struct slice input, const struct http_request *request)
{
    struct http_login login;
    expect_within(input, request->path);
    expect_within(input, request->query);
    expect_within(input, request->host);
    expect_within(input, request->credentials);
    fp_assert(request->path.size_bytes > 0 && request->path.bytes[0] == '/');
    (void)http_query_has(request->query, "verbose");
    (void)http_host_is_plain(request->host);
    if (!http_login(request->credentials, &login)) return;
    fp_assert(login.user.size_bytes + login.password.size_bytes < HTTP_LOGIN_BYTES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct slice input = tight_create(data, size_bytes);
    struct http_request request, again;
    enum http_status refusal = HTTP_OK, refusal_again = HTTP_OK;
    enum http_parse whole = http_parse(input, &request, &refusal);
    if (whole == HTTP_READY) expect_request(input, &request);
    if (whole == HTTP_PARTIAL) fp_assert(size_bytes < HTTP_REQUEST_BYTES_MAX);
    if (whole == HTTP_REFUSED) fp_assert(http_status_number(refusal) >= 400);
    for (size_t size = 0; size < size_bytes && size <= HTTP_REQUEST_BYTES_MAX; size++) {
        struct slice cut = tight_create(data, size);
        enum http_parse part = http_parse(cut, &again, &refusal_again);
        tight_destroy(&cut);
        if (part == HTTP_PARTIAL) continue;
        fp_assert(part == whole && refusal_again == refusal);
        break; /* what follows is nobody's */
    }
    tight_destroy(&input);
    return 0;
}
