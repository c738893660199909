/* SPDX-License-Identifier: BSD-3-Clause */
#include "tls/tls.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "tests/unit/tls/pair.h"

enum { TRAVELLING_BYTES = 1 << 20, IDLE_STREAMS = 64 };

static struct tls_context *server_context, *client_context;
static struct pair pair;
static uint8_t sent_bytes[TRAVELLING_BYTES], got_bytes[TRAVELLING_BYTES];

static void begin(void)
{
    server_context = pair_context(TLS_SERVER);
    client_context = pair_context(TLS_CLIENT);
    pair_open(&pair, server_context, client_context);
}

static void end(void)
{
    pair_close(&pair);
    tls_context_destroy(&server_context);
    tls_context_destroy(&client_context);
}

static size_t random_size(unsigned *seed)
{
    return (size_t)rand_r(seed) % 40000 + 1;
}

/* Both ways would block again and again: what was offered is offered again, at another address. */
static void travel(struct tls *from, struct tls *to, unsigned seed)
{
    static uint8_t moved[2][TRAVELLING_BYTES];
    size_t sent = 0, got = 0, offered = 0;
    int side = 0;
    for (size_t i = 0; i < TRAVELLING_BYTES; i++) sent_bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    while (got < TRAVELLING_BYTES) {
        size_t left = TRAVELLING_BYTES - sent;
        size_t size = random_size(&seed) + offered;
        if (size > left) size = left;
        if (size > 0) {
            memcpy(moved[side ^= 1], sent_bytes + sent, size);
            long now = tls_write(from, moved[side], size);
            ck_assert(now > 0 || errno == EAGAIN);
            offered = now > 0 ? 0 : size;
            sent += now > 0 ? (size_t)now : 0;
        }
        size_t room = random_size(&seed);
        if (room > TRAVELLING_BYTES - got) room = TRAVELLING_BYTES - got;
        long now = tls_read(to, got_bytes + got, room);
        ck_assert(now > 0 || errno == EAGAIN);
        got += now > 0 ? (size_t)now : 0;
    }
    ck_assert(memcmp(sent_bytes, got_bytes, TRAVELLING_BYTES) == 0);
}

START_TEST(what_is_written_is_read_however_it_is_cut)
{
    begin();
    ck_assert(pair_shake_hands(&pair));
    for (unsigned seed = 0; seed < 8; seed++) {
        travel(pair.client, pair.server, seed);
        travel(pair.server, pair.client, seed);
    }
    ck_assert_str_eq(tls_version_name(pair.server), "TLSv1.3");
    end();
}
END_TEST

START_TEST(what_tls_holds_already_is_told_though_the_socket_is_silent)
{
    char byte;
    begin();
    ck_assert(pair_shake_hands(&pair));
    ck_assert(!tls_has_more(pair.server));
    ck_assert_int_eq(tls_read(pair.server, &byte, 1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(tls_write(pair.client, "two", 3), 3);
    ck_assert_int_eq(tls_read(pair.server, &byte, 1), 1);
    ck_assert_int_eq(recv(pair.server_fd, &byte, 1, MSG_PEEK), -1);
    ck_assert(tls_has_more(pair.server));
    ck_assert_int_eq(tls_read(pair.server, &byte, 1), 1);
    ck_assert_int_eq(tls_read(pair.server, &byte, 1), 1);
    ck_assert(!tls_has_more(pair.server));
    end();
}
END_TEST

START_TEST(a_goodbye_comes_after_all_that_was_said)
{
    char text[8];
    begin();
    ck_assert(pair_shake_hands(&pair));
    ck_assert_int_eq(tls_write(pair.client, "last", 4), 4);
    tls_close(&pair.client);
    ck_assert_int_eq(tls_read(pair.server, text, sizeof text), 4);
    ck_assert(tls_has_more(pair.server));
    ck_assert_int_eq(tls_read(pair.server, text, sizeof text), 0);
    ck_assert_int_eq(tls_read(pair.server, text, sizeof text), 0);
    ck_assert_int_eq(tls_write(pair.server, "heard", 5), 5);
    end();
}
END_TEST

START_TEST(an_end_without_a_goodbye_is_one)
{
    char byte;
    begin();
    ck_assert(pair_shake_hands(&pair));
    close(pair.client_fd);
    pair.client_fd = -1;
    ck_assert_int_eq(tls_read(pair.server, &byte, 1), 0);
    end();
}
END_TEST

START_TEST(a_damaged_record_ends_the_stream)
{
    char bytes[64] = {0x17, 3, 3, 0, 30};
    begin();
    ck_assert(pair_shake_hands(&pair));
    ck_assert_int_eq(send(pair.client_fd, bytes, sizeof bytes, 0), sizeof bytes);
    ck_assert_int_eq(tls_read(pair.server, bytes, sizeof bytes), -1);
    ck_assert_int_eq(errno, EPROTO);
    ck_assert_str_ne(tls_reason(pair.server), "");
    ck_assert_int_eq(tls_write(pair.server, "no", 2), -1);
    ck_assert_int_eq(errno, EPROTO);
    end();
}
END_TEST

START_TEST(what_is_no_handshake_is_refused_with_the_reason)
{
    begin();
    ck_assert_int_eq(send(pair.client_fd, "version\r\n", 9, 0), 9);
    ck_assert_int_eq(tls_handshake(pair.server), TLS_FAILED);
    ck_assert_str_ne(tls_reason(pair.server), "");
    ck_assert_int_eq(tls_handshake(pair.server), TLS_FAILED);
    end();
}
END_TEST

START_TEST(a_client_believes_only_the_host_it_meant)
{
    static const struct {
        const char *host;
        bool good;
    } hosts[] = {{"here", true}, {"127.0.0.1", true}, {"there", false}, {"127.0.0.2", false}};
    for (size_t i = 0; i < FP_COUNT_OF(hosts); i++) {
        begin();
        ck_assert_int_eq(tls_expect_host(pair.client, hosts[i].host), FP_OK);
        ck_assert_msg(pair_shake_hands(&pair) == hosts[i].good, "%s", hosts[i].host);
        if (!hosts[i].good)
            ck_assert_msg(strstr(tls_reason(pair.client), "mismatch") != NULL, "%s",
                          tls_reason(pair.client));
        end();
    }
}
END_TEST

START_TEST(a_stream_outlives_its_context)
{
    begin();
    ck_assert(pair_shake_hands(&pair));
    tls_context_destroy(&server_context);
    tls_context_destroy(&client_context);
    travel(pair.client, pair.server, 1);
    end();
}
END_TEST

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEMORY_IS_OURS = false };
#else
enum { MEMORY_IS_OURS = true };
#endif

/* TLS_IDLE_BYTES is charged for each connection; each pair has two ends. */
START_TEST(an_idle_stream_holds_no_more_than_is_charged)
{
    static struct pair idle[IDLE_STREAMS];
    if (!MEMORY_IS_OURS) return; /* a sanitizer's malloc tells nothing */
    begin();
    ck_assert(pair_shake_hands(&pair)); /* what OpenSSL makes once */
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < IDLE_STREAMS; i++) {
        pair_open(&idle[i], server_context, client_context);
        ck_assert(pair_shake_hands(&idle[i]));
        char byte = 'x';
        ck_assert_int_eq(tls_write(idle[i].client, &byte, 1), 1);
        ck_assert_int_eq(tls_read(idle[i].server, &byte, 1), 1);
        ck_assert_int_eq(tls_write(idle[i].server, &byte, 1), 1);
        ck_assert_int_eq(tls_read(idle[i].client, &byte, 1), 1);
        ck_assert_int_eq(tls_read(idle[i].server, &byte, 1), -1);
        ck_assert_int_eq(tls_read(idle[i].client, &byte, 1), -1);
    }
    size_t each = (mallinfo2().uordblks - before) / IDLE_STREAMS / 2;
    ck_assert_msg(each <= TLS_IDLE_BYTES && each > TLS_IDLE_BYTES / 4, "%zu bytes", each);
    for (int i = 0; i < IDLE_STREAMS; i++) pair_close(&idle[i]);
    end();
}
END_TEST

START_TEST(a_handshake_under_way_holds_no_more_than_is_charged)
{
    static struct pair under_way[IDLE_STREAMS];
    if (!MEMORY_IS_OURS) return;
    begin();
    ck_assert(pair_shake_hands(&pair));
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < IDLE_STREAMS; i++) {
        pair_open(&under_way[i], server_context, client_context);
        ck_assert_int_eq(tls_handshake(under_way[i].client), TLS_WANT_READ);
        ck_assert_int_eq(tls_handshake(under_way[i].server), TLS_WANT_READ);
        tls_close(&under_way[i].client);
    }
    size_t each = (mallinfo2().uordblks - before) / IDLE_STREAMS;
    ck_assert_uint_eq(tls_held_bytes(under_way[0].server), TLS_HANDSHAKE_BYTES);
    ck_assert_msg(each <= TLS_HANDSHAKE_BYTES && each > TLS_HANDSHAKE_BYTES / 2, "%zu bytes", each);
    for (int i = 0; i < IDLE_STREAMS; i++) pair_close(&under_way[i]);
    end();
}
END_TEST

START_TEST(what_is_wrong_with_a_file_is_said)
{
    struct tls_options options = {.role = TLS_SERVER, .certificate = "/nowhere", .key = pair_key};
    struct tls_context *context;
    char reason[TLS_REASON_BYTES];
    ck_assert_int_eq(tls_context_create(&options, &context, reason), FP_IO);
    ck_assert_str_eq(reason, "the certificate /nowhere: No such file or directory");
    options.certificate = pair_key;
    ck_assert_int_eq(tls_context_create(&options, &context, reason), FP_INVALID);
    ck_assert_ptr_nonnull(strstr(reason, pair_key));
    options.certificate = pair_pem;
    options.authorities = pair_key;
    options.verify = TLS_VERIFY_REQUIRED;
    ck_assert_int_eq(tls_context_create(&options, &context, reason), FP_INVALID);
    ck_assert_ptr_nonnull(strstr(reason, "the authority file"));
    ck_assert_ptr_null(context);
}
END_TEST

int main(void)
{
    if (!pair_make_identity()) return 1;
    int failed = suite_run(
        "tls", what_is_written_is_read_however_it_is_cut,
        what_tls_holds_already_is_told_though_the_socket_is_silent,
        a_goodbye_comes_after_all_that_was_said, an_end_without_a_goodbye_is_one,
        a_damaged_record_ends_the_stream, what_is_no_handshake_is_refused_with_the_reason,
        a_client_believes_only_the_host_it_meant, a_stream_outlives_its_context,
        an_idle_stream_holds_no_more_than_is_charged,
        a_handshake_under_way_holds_no_more_than_is_charged,
        what_is_wrong_with_a_file_is_said);
    pair_remove_identity();
    return failed;
}
