/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What strangers send, and what an operator's file of users may hold. The first byte chooses.
 *   - however a login is cut, it is read as if it came at once, and never longer than its limit;
 *   - what is READY lies within the buffer, and its line and body are those that were sent;
 *   - of a file every line counts or is refused with its number; each user it lists with a plain
 *     password comes in, and nobody does with another one. */
#include <stdio.h>

#include "fuzz.h"
#include "protocol/login.h"
#include "server/door/auth.h"

static void expect_within(struct slice whole, struct slice part)
{
    fp_assert(part.bytes >= whole.bytes && part.size_bytes > 0);
    fp_assert(part.bytes + part.size_bytes <= whole.bytes + whole.size_bytes);
}

static void try_login(struct slice input)
{
    struct login login, again;
    const char *refusal = NULL, *refusal_again = NULL;
    if (input.size_bytes == 0) return;
    enum login_parse whole = login_parse(input, &login, &refusal);
    if (whole == LOGIN_READY) {
        expect_within(input, login.user);
        expect_within(input, login.password);
    }
    if (whole == LOGIN_READY || whole == LOGIN_REFUSED)
        fp_assert(login.size_bytes > 0 && login.size_bytes <= input.size_bytes &&
                  login.size_bytes <= LOGIN_BYTES_MAX);
    if (whole == LOGIN_PARTIAL) fp_assert(input.size_bytes < LOGIN_BYTES_MAX);
    for (size_t size = 1; size < input.size_bytes && size <= LOGIN_BYTES_MAX; size++) {
        struct slice cut = tight_create(input.bytes, size);
        enum login_parse part = login_parse(cut, &again, &refusal_again);
        tight_destroy(&cut);
        if (part == LOGIN_PARTIAL) continue;
        fp_assert(part == whole && again.size_bytes == login.size_bytes);
        fp_assert(part == LOGIN_READY || strcmp(refusal, refusal_again) == 0);
    }
}

static void try_file(struct slice text)
{
    struct auth *auth;
    char reason[AUTH_REASON_BYTES] = "";
    if (auth_parse(text, &auth, reason) != FP_OK) {
        unsigned line;
        fp_assert(auth == NULL && sscanf(reason, "%u: ", &line) == 1);
        return;
    }
    fp_assert(auth_users(auth) >= 1 && auth_users(auth) <= AUTH_USERS_MAX);
    const uint8_t *colon = memchr(text.bytes, ':', text.size_bytes);
    const uint8_t *end = memchr(text.bytes, '\n', text.size_bytes);
    if (end == NULL) end = text.bytes + text.size_bytes;
    if (colon != NULL && colon < end && text.bytes[0] != '#' && end[-1] != '\r') {
        struct slice user = slice_of(text.bytes, (size_t)(colon - text.bytes));
        struct slice password = slice_of(colon + 1, (size_t)(end - colon) - 1);
        bool hashed = password.size_bytes > 7 && memcmp(password.bytes, "sha256:", 7) == 0;
        fp_assert(auth_admits(auth, user, password) == !hashed);
        password.size_bytes--;
        fp_assert(!auth_admits(auth, user, password));
    }
    auth_destroy(&auth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    if (size_bytes == 0) return 0;
    struct slice rest = tight_create(data + 1, size_bytes - 1);
    if (data[0] % 2 == 0) try_file(rest);
    else try_login(rest);
    tight_destroy(&rest);
    return 0;
}
