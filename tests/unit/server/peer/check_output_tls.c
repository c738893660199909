/* SPDX-License-Identifier: BSD-3-Clause
 * An output whose bytes leave through TLS: in the order they were written, whether they were added,
 * reserved or lent, and whatever the socket takes at a time. */
#include "server/peer/output.h"

#include <string.h>

#include "tests/unit/tls/pair.h"

enum { LENT_BYTES = 50000, ROUNDS = 300, ALL_BYTES = ROUNDS * (LENT_BYTES + 40000) };

static struct output_desk desk;
static struct output output;
static struct pair pair;
static uint8_t lent[LENT_BYTES], all[ALL_BYTES], got[ALL_BYTES];
static size_t written, read_bytes;
static int loans;

static void on_returned(void *owner)
{
    (void)owner;
    loans--;
}

static void write_some(unsigned *seed)
{
    size_t size = (size_t)rand_r(seed) % LENT_BYTES;
    struct slice bytes = slice_of(lent, size);
    memcpy(all + written, lent, size);
    written += size;
    switch (rand_r(seed) % 4) {
    case 0:
        loans++;
        output_lend(&output, bytes, on_returned, NULL);
        break;
    case 1: {
        uint8_t *at = output_reserve(&output, size + 100);
        ck_assert_ptr_nonnull(at);
        memcpy(at, lent, size);
        output_commit(&output, size);
        break;
    }
    default:
        output_add(&output, bytes);
    }
}

static void hear(unsigned *seed)
{
    size_t most = (size_t)rand_r(seed) % 60000 + 1;
    if (most > ALL_BYTES - read_bytes) most = ALL_BYTES - read_bytes;
    long now = tls_read(pair.client, got + read_bytes, most);
    if (now > 0) read_bytes += (size_t)now;
}

START_TEST(bytes_leave_through_tls_in_order)
{
    struct tls_context *server = pair_context(TLS_SERVER), *client = pair_context(TLS_CLIENT);
    unsigned seed = 7;
    uint64_t sent_bytes = 0;
    for (size_t i = 0; i < LENT_BYTES; i++) lent[i] = (uint8_t)(i * 2654435761u >> 11);
    desk = (struct output_desk){.bytes = malloc(OUTPUT_DESK_BYTES)};
    ck_assert(output_init(&output, &desk));
    pair_open(&pair, server, client);
    ck_assert(pair_shake_hands(&pair));
    for (int i = 0; i < ROUNDS || output_pending(&output) > 0 || read_bytes < written; i++) {
        if (i < ROUNDS) write_some(&seed);
        long sent = output_send_tls(&output, pair.server);
        ck_assert_int_ge(sent, 0);
        sent_bytes += (uint64_t)sent;
        hear(&seed);
    }
    ck_assert_uint_eq(sent_bytes, written);
    ck_assert(memcmp(all, got, written) == 0);
    ck_assert(!output.broken && loans == 0);
    output_fini(&output);
    pair_close(&pair);
    tls_context_destroy(&server);
    tls_context_destroy(&client);
    free(desk.bytes);
}
END_TEST

START_TEST(who_has_gone_is_noticed)
{
    struct tls_context *server = pair_context(TLS_SERVER), *client = pair_context(TLS_CLIENT);
    ck_assert(output_init(&output, NULL));
    pair_open(&pair, server, client);
    ck_assert(pair_shake_hands(&pair));
    close(pair.client_fd);
    pair.client_fd = -1;
    output_add(&output, slice_of(lent, LENT_BYTES));
    ck_assert_int_eq(output_send_tls(&output, pair.server), -1);
    output_fini(&output);
    pair_close(&pair);
    tls_context_destroy(&server);
    tls_context_destroy(&client);
}
END_TEST

int main(void)
{
    if (!pair_make_identity()) return 1;
    int failed = suite_run("output through tls", bytes_leave_through_tls_in_order,
                           who_has_gone_is_noticed);
    pair_remove_identity();
    return failed;
}
