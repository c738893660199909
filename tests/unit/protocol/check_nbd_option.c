/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/nbd_option.h"

#include "edge.h"
#include "protocol/bigendian.h"
#include "tests/unit/base/suite.h"

/* A letter for each verdict: d do, c close, u unsup, p policy, i invalid, t TLS first. */
static char letter(enum nbd_state state, bool structured, uint32_t number)
{
    static const char letters[] = {
        [NBD_DO] = 'd',         [NBD_CLOSE] = 'c',       [NBD_SAY_UNSUP] = 'u',
        [NBD_SAY_POLICY] = 'p', [NBD_SAY_INVALID] = 'i', [NBD_SAY_TLS] = 't'};
    return letters[nbd_option_verdict(state, structured, number)];
}

/* Options 0 to 12 in each state, by hand from the protocol. */
START_TEST(every_option_in_every_state_is_decided)
{
    static const struct {
        enum nbd_state state;
        bool structured;
        const char *wanted;
    } rows[] = {
        {NBD_UNFIXED, false, "cdccccccccccc"},    {NBD_BEFORE_TLS, false, "tcdttdttttttt"},
        {NBD_PLAIN, false, "udddupdddiiuu"},      {NBD_PLAIN, true, "udddupddddduu"},
        {NBD_SECURE, false, "uddduidddiiuu"},          {NBD_SECURE, true, "uddduiddddduu"},
    };
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++)
        for (uint32_t number = 0; number < strlen(rows[i].wanted); number++) {
            char got = letter(rows[i].state, rows[i].structured, number);
            ck_assert_msg(got == rows[i].wanted[number], "row %zu option %u: %c", i, number, got);
        }
    ck_assert(letter(NBD_PLAIN, true, UINT32_MAX) == 'u');
    ck_assert(letter(NBD_BEFORE_TLS, true, UINT32_MAX) == 't');
    ck_assert(letter(NBD_UNFIXED, true, UINT32_MAX) == 'c');
}
END_TEST

START_TEST(flags_that_were_not_offered_are_refused)
{
    uint8_t bytes[NBD_CLIENT_FLAGS_BYTES];
    struct nbd_client_flags flags;
    for (unsigned bit = 2; bit < 32; bit++) {
        put32(bytes, 1u << bit | 3);
        ck_assert(!nbd_client_flags_decode(bytes, &flags));
    }
    for (uint32_t wanted = 0; wanted < 4; wanted++) {
        put32(bytes, wanted);
        ck_assert(nbd_client_flags_decode(bytes, &flags));
        ck_assert(flags.fixed == (wanted & 1) && flags.no_zeroes == wanted >> 1);
    }
}
END_TEST

START_TEST(an_option_is_read_and_what_is_none_is_told_apart)
{
    uint8_t bytes[NBD_OPTION_HEAD_BYTES];
    struct nbd_option option;
    memcpy(bytes, "IHAVEOPT", 8);
    put32(bytes + 8, UINT32_MAX);
    put32(bytes + 12, 0x80000001);
    ck_assert(nbd_option_decode(bytes, &option));
    ck_assert(option.number == UINT32_MAX && option.length == 0x80000001);
    bytes[7] ^= 1;
    ck_assert(!nbd_option_decode(bytes, &option));
}
END_TEST

static size_t put_text(uint8_t *at, const char *text)
{
    put32(at, (uint32_t)strlen(text));
    memcpy(at + 4, text, strlen(text));
    return 4 + strlen(text);
}

/* Read at the end of what may be read: no byte behind is looked at. */
START_TEST(go_is_read_whole_or_not_at_all)
{
    struct edge edge = edge_create(128);
    uint8_t body[64];
    struct nbd_go go;
    size_t size = put_text(body, "swap");
    put16(body + size, 4);
    put16(body + size + 2, NBD_INFO_BLOCK_SIZE);
    put16(body + size + 4, NBD_INFO_NAME);
    put16(body + size + 6, 77);
    put16(body + size + 8, 0x8003);
    size += 10;
    ck_assert(nbd_go_decode(edge_place(&edge, slice_of(body, size)), &go));
    ck_assert(slice_is(go.name, "swap"));
    ck_assert_uint_eq(go.infos, 1u << NBD_INFO_BLOCK_SIZE | 1u << NBD_INFO_NAME);
    for (size_t less = 0; less < size; less++)
        ck_assert(!nbd_go_decode(edge_place(&edge, slice_of(body, less)), &go));
    ck_assert(!nbd_go_decode(edge_place(&edge, slice_of(body, size + 1)), &go));
    static const uint32_t lengths[] = {5, 4097, 1u << 31, UINT32_MAX, UINT32_MAX - 3};
    for (size_t i = 0; i < FP_COUNT_OF(lengths); i++) {
        put32(body, lengths[i]);
        ck_assert(!nbd_go_decode(edge_place(&edge, slice_of(body, size)), &go));
    }
    edge_destroy(&edge);
}
END_TEST

static bool contexts_of(bool set, const char *const *queries, uint32_t count, bool *allocation)
{
    uint8_t body[1024];
    struct nbd_contexts contexts;
    size_t size = put_text(body, "disk");
    put32(body + size, count);
    size += 4;
    for (uint32_t i = 0; i < count; i++) size += put_text(body + size, queries[i]);
    bool good = nbd_contexts_decode(slice_of(body, size), set, &contexts);
    if (good) *allocation = contexts.allocation && slice_is(contexts.name, "disk");
    return good;
}

START_TEST(a_context_is_selected_by_its_name_and_listed_by_its_space_too)
{
    static const char *const queries[] = {"qemu:dirty", "base:", "base:allocation", "base:alloc"};
    bool allocation;
    ck_assert(contexts_of(false, queries, 0, &allocation) && allocation);
    ck_assert(contexts_of(true, queries, 0, &allocation) && !allocation);
    ck_assert(contexts_of(false, queries, 1, &allocation) && !allocation);
    ck_assert(contexts_of(false, queries, 2, &allocation) && allocation);
    ck_assert(contexts_of(true, queries, 2, &allocation) && !allocation);
    ck_assert(contexts_of(true, queries, 3, &allocation) && allocation);
    ck_assert(contexts_of(true, queries + 3, 1, &allocation) && !allocation);
}
END_TEST

START_TEST(queries_that_lie_about_themselves_are_refused)
{
    struct edge edge = edge_create(512);
    uint8_t body[NBD_QUERIES_MAX * 4 + 64];
    struct nbd_contexts contexts;
    size_t head = put_text(body, "d");
    memset(body + head, 0, sizeof body - head);
    put32(body + head, NBD_QUERIES_MAX);
    struct slice most = slice_of(body, head + 4 + 4 * NBD_QUERIES_MAX);
    ck_assert(nbd_contexts_decode(edge_place(&edge, most), true, &contexts));
    put32(body + head, NBD_QUERIES_MAX + 1);
    most.size_bytes += 4;
    ck_assert(!nbd_contexts_decode(edge_place(&edge, most), true, &contexts));
    static const uint32_t numbers[] = {1, 2, UINT32_MAX, 1u << 31};
    for (size_t i = 0; i < FP_COUNT_OF(numbers); i++) {
        put32(body + head, numbers[i]);
        struct slice short_one = edge_place(&edge, slice_of(body, head + 4));
        ck_assert(!nbd_contexts_decode(short_one, true, &contexts));
        put32(body + head, 1);
        put32(body + head + 4, numbers[i]);
        struct slice cut = edge_place(&edge, slice_of(body, head + 8));
        ck_assert(!nbd_contexts_decode(cut, false, &contexts));
    }
    edge_destroy(&edge);
}
END_TEST

START_TEST(replies_are_as_the_protocol_has_them)
{
    static const uint8_t greeting[] = "NBDMAGICIHAVEOPT\0\3";
    static const uint8_t wanted[] = {0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9, 0, 0, 0, 7,
                                     0x80, 0, 0, 6, 0, 0, 0, 9};
    static const uint8_t export[] = {0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2};
    static const uint8_t blocks[] = {0, 3, 0, 0, 0, 1, 0, 0, 0x10, 0, 2, 0, 0, 0};
    uint8_t out[NBD_OPTION_REPLY_BYTES];
    nbd_greeting_encode(out);
    ck_assert_mem_eq(out, greeting, NBD_GREETING_BYTES);
    nbd_option_reply_encode(NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, 9, out);
    ck_assert_mem_eq(out, wanted, sizeof wanted);
    nbd_option_reply_encode(NBD_OPT_LIST, NBD_REP_SERVER, 0, out);
    ck_assert(get32(out + 12) == 2);
    nbd_option_reply_encode(NBD_OPT_LIST, NBD_REP_ERR_TOO_BIG, 0, out);
    ck_assert_uint_eq(get32(out + 12), 0x80000009u);
    nbd_info_export_encode(1 << 30, 0x102, out);
    ck_assert_mem_eq(out, export, sizeof export);
    nbd_info_block_size_encode(4096, out);
    ck_assert_mem_eq(out, blocks, sizeof blocks);
    nbd_end_encode(1 << 30, 0x102, out);
    ck_assert_mem_eq(out, export + 2, NBD_END_BYTES);
}
END_TEST

int main(void)
{
    return suite_run("nbd_option", every_option_in_every_state_is_decided,
                     flags_that_were_not_offered_are_refused,
                     an_option_is_read_and_what_is_none_is_told_apart,
                     go_is_read_whole_or_not_at_all,
                     a_context_is_selected_by_its_name_and_listed_by_its_space_too,
                     queries_that_lie_about_themselves_are_refused,
                     replies_are_as_the_protocol_has_them);
}
