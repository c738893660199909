/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/conn/conn_login.h"

#include "protocol/login.h"
#include "protocol/reply.h"
#include "server/dispatch/dispatch.h"
#include "server/peer/tenancy.h"

static struct slice skip(struct slice input, size_t bytes)
{
    return slice_of(input.bytes + bytes, input.size_bytes - bytes);
}

static void answer(struct output *output, const char *refusal)
{
    if (refusal[0] == '\0') return;
    output_text(output, refusal);
    output_text(output, "\r\n");
}

static enum login_step text(struct conn_login *login, struct dispatcher *dispatcher,
                            struct slice *input, size_t *need_bytes, struct output *output)
{
    struct login said;
    const char *refusal = "CLIENT_ERROR authentication failure";
    enum login_parse parsed = login_parse(*input, &said, &refusal);
    if (parsed == LOGIN_PARTIAL) {
        *need_bytes = input->size_bytes + 1;
        return LOGIN_WAIT;
    }
    if (parsed == LOGIN_READY) {
        counter_add(dispatcher->counters, COUNTER_auth_cmds, 1);
        login->wanted =
            !credentials_admit(&dispatcher->shared->credentials, said.user, said.password);
    }
    if (!login->wanted) tenancy_of_user(dispatcher->shared, said.user, login->tenant);
    *input = skip(*input, said.size_bytes);
    if (!login->wanted) {
        output_text(output, REPLY_STORED);
        return LOGIN_ON;
    }
    counter_add(dispatcher->counters, COUNTER_auth_errors, 1);
    answer(output, refusal);
    login->refused++;
    login->why = parsed == LOGIN_LOST ? "what it said was no login" : "it had its tries";
    return parsed == LOGIN_LOST || login->refused == LOGIN_TRIES_MAX ? LOGIN_CLOSE : LOGIN_ON;
}

/* Frames begin after a login in text; who sends one before is told so in frames. */
static enum login_step frames(struct conn_login *login, struct dispatcher *dispatcher,
                              struct slice input, size_t *need_bytes, struct output *output)
{
    struct frame frame = {0};
    *need_bytes = FRAME_HEADER_BYTES;
    if (input.size_bytes < FRAME_HEADER_BYTES) return LOGIN_WAIT;
    if (!frame_decode(input.bytes, FRAME_MAGIC_REQUEST, &frame)) frame = (struct frame){0};
    dispatch_frame_status(&frame, FRAME_NO_LOGIN, output);
    login->why = "a frame came before the login";
    counter_add(dispatcher->counters, COUNTER_auth_errors, 1);
    return LOGIN_CLOSE;
}

enum login_step conn_login(struct conn_login *login, struct dispatcher *dispatcher,
                           struct slice *input, size_t *need_bytes, struct output *output)
{
    if (input->bytes[0] == FRAME_MAGIC_REQUEST)
        return frames(login, dispatcher, *input, need_bytes, output);
    return text(login, dispatcher, input, need_bytes, output);
}
