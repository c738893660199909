/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/nbd.h"

#include "protocol/bigendian.h"
#include "tests/unit/base/suite.h"

enum { SIZE = 1 << 30, MANY = 12 };

static struct nbd_request asked(uint16_t type, uint16_t flags, uint64_t offset, uint32_t length)
{
    return (struct nbd_request){.type = type, .flags = flags, .offset = offset, .length = length};
}

static enum nbd_error judge(struct nbd_request request, bool read_only, bool structured,
                            bool contexts)
{
    struct nbd_terms terms = {SIZE, read_only, structured, contexts};
    return nbd_request_check(&request, &terms);
}

/* What the protocol says of each flag on each command, written down by hand: F everywhere, D on
 * reads where chunks were agreed on, N and Z on write zeroes, 1 on block status. */
static bool takes_flag(unsigned type, unsigned flag, bool structured)
{
    if (type > 7) return false;
    if (flag == 1) return true;
    if (flag == 4) return type == 0 && structured;
    if (flag == 2 || flag == 16) return type == 6;
    return flag == 8 && type == 7;
}

START_TEST(every_flag_on_every_command_is_decided)
{
    for (unsigned type = 0; type < MANY; type++)
        for (unsigned bit = 0; bit < 16; bit++)
            for (int structured = 0; structured < 2; structured++) {
                bool ranged = type != 2 && type != 3;
                struct nbd_request request =
                    asked((uint16_t)type, (uint16_t)(1u << bit), 0, ranged ? 4096 : 0);
                bool good = takes_flag(type, 1u << bit, structured);
                enum nbd_error error = judge(request, false, structured, true);
                ck_assert_msg(error == (good ? NBD_OK : NBD_EINVAL), "type %u bit %u: %d", type,
                              bit, (int)error);
            }
}
END_TEST

START_TEST(every_command_is_decided_for_a_read_only_export)
{
    static const enum nbd_error wanted[MANY] = {
        NBD_OK, NBD_EPERM, NBD_OK, NBD_OK, NBD_EPERM, NBD_OK, NBD_EPERM, NBD_OK,
        NBD_EINVAL, NBD_EINVAL, NBD_EINVAL, NBD_EINVAL};
    for (uint16_t type = 0; type < MANY; type++) {
        uint32_t length = type == NBD_DISC || type == NBD_FLUSH ? 0 : 512;
        ck_assert_int_eq(judge(asked(type, 0, 0, length), true, true, true), wanted[type]);
    }
    ck_assert_int_eq(judge(asked(NBD_BLOCK_STATUS, 0, 0, 512), false, true, false), NBD_EINVAL);
    ck_assert_int_eq(judge(asked(UINT16_MAX, 0, 0, 512), false, true, true), NBD_EINVAL);
}
END_TEST

START_TEST(beyond_the_end_is_einval_and_for_who_writes_enospc)
{
    static const struct {
        uint64_t offset;
        uint32_t length;
        bool within;
    } ranges[] = {{0, 1, true},
                  {SIZE - 1, 1, true},
                  {SIZE, 0, true},
                  {SIZE - 1, 2, false},
                  {SIZE, 1, false},
                  {SIZE + 1ull, 0, false},
                  {UINT64_MAX, 1, false},
                  {UINT64_MAX - 5, 5, false},
                  {UINT64_MAX, UINT32_MAX, false},
                  {1, UINT32_MAX, false}};
    static const uint16_t types[] = {NBD_READ, NBD_WRITE, NBD_TRIM, NBD_CACHE, NBD_WRITE_ZEROES,
                                     NBD_BLOCK_STATUS};
    for (size_t i = 0; i < FP_COUNT_OF(ranges); i++)
        for (size_t t = 0; t < FP_COUNT_OF(types); t++) {
            bool fills = types[t] == NBD_WRITE || types[t] == NBD_WRITE_ZEROES;
            bool nothing = ranges[i].length == 0 && types[t] == NBD_BLOCK_STATUS;
            enum nbd_error beyond = fills ? NBD_ENOSPC : NBD_EINVAL;
            enum nbd_error wanted = !ranges[i].within ? beyond : nothing ? NBD_EINVAL : NBD_OK;
            struct nbd_request request = asked(types[t], 0, ranges[i].offset, ranges[i].length);
            ck_assert_int_eq(judge(request, false, true, true), wanted);
        }
}
END_TEST

START_TEST(one_transfer_has_a_limit_and_a_trim_has_none)
{
    const uint32_t most = NBD_TRANSFER_BYTES_MAX;
    ck_assert_uint_eq(most, 1u << 25);
    ck_assert_int_eq(judge(asked(NBD_READ, 0, 0, most), false, true, true), NBD_OK);
    ck_assert_int_eq(judge(asked(NBD_READ, 0, 0, most + 1), false, true, true), NBD_EINVAL);
    ck_assert_int_eq(judge(asked(NBD_READ, NBD_FLAG_DF, 0, most), false, true, true), NBD_OK);
    ck_assert_int_eq(judge(asked(NBD_READ, NBD_FLAG_DF, 0, most + 1), false, true, true),
                     NBD_EOVERFLOW);
    ck_assert_int_eq(judge(asked(NBD_WRITE, 0, 0, most), false, true, true), NBD_OK);
    ck_assert_int_eq(judge(asked(NBD_WRITE, 0, 0, most + 1), false, true, true), NBD_EINVAL);
    ck_assert_int_eq(judge(asked(NBD_TRIM, 0, 0, SIZE), false, true, true), NBD_OK);
    ck_assert_int_eq(judge(asked(NBD_CACHE, 0, 0, SIZE), false, true, true), NBD_OK);
    ck_assert_int_eq(judge(asked(NBD_WRITE_ZEROES, 0, 0, SIZE), false, true, true), NBD_OK);
    ck_assert_int_eq(judge(asked(NBD_FLUSH, 0, 1, 0), false, true, true), NBD_EINVAL);
    ck_assert_int_eq(judge(asked(NBD_FLUSH, 0, 0, 1), false, true, true), NBD_EINVAL);
}
END_TEST

START_TEST(a_request_is_read_and_what_is_none_is_told_apart)
{
    uint8_t bytes[NBD_REQUEST_BYTES];
    struct nbd_request request;
    put32(bytes, 0x25609513);
    put16(bytes + 4, 0x0102);
    put16(bytes + 6, NBD_WRITE);
    put64(bytes + 8, 0x1122334455667788u);
    put64(bytes + 16, 1ull << 40);
    put32(bytes + 24, 77);
    ck_assert(nbd_request_decode(bytes, &request));
    ck_assert(request.flags == 0x0102 && request.type == NBD_WRITE && request.length == 77);
    ck_assert(request.cookie == 0x1122334455667788u && request.offset == 1ull << 40);
    ck_assert_uint_eq(nbd_request_payload(&request), 77);
    request.type = NBD_TRIM;
    ck_assert_uint_eq(nbd_request_payload(&request), 0);
    for (unsigned bit = 0; bit < 32; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert(!nbd_request_decode(bytes, &request));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

START_TEST(what_is_answered_is_as_the_protocol_has_it)
{
    static const uint8_t simple[] = {0x67, 0x44, 0x66, 0x98, 0, 0, 0, 28, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t chunk[] = {0x66, 0x8e, 0x33, 0xef, 0, 1, 0x80, 2, 1,
                                    2,    3,    4,    5,    6, 7, 8,    0, 0, 1, 0};
    uint8_t out[NBD_CHUNK_BYTES];
    nbd_simple_encode(0x0102030405060708u, NBD_ENOSPC, out);
    ck_assert_mem_eq(out, simple, sizeof simple);
    struct nbd_chunk head = {NBD_CHUNK_ERROR_OFFSET, true, 0x0102030405060708u, 256};
    nbd_chunk_encode(&head, out);
    ck_assert_mem_eq(out, chunk, sizeof chunk);
    head.done = false;
    nbd_chunk_encode(&head, out);
    ck_assert(out[5] == 0);
}
END_TEST

START_TEST(what_can_be_done_is_said_and_what_cannot_is_not)
{
    struct nbd_terms terms = {.size_bytes = SIZE};
    ck_assert_uint_eq(nbd_transmission_flags(&terms),
                      0x1 | 0x4 | 0x8 | 0x20 | 0x40 | 0x100 | 0xc00);
    terms.structured = true;
    ck_assert_uint_eq(nbd_transmission_flags(&terms) & 0x80, 0x80);
    terms.read_only = true;
    ck_assert_uint_eq(nbd_transmission_flags(&terms), 0x1 | 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x400);
}
END_TEST

int main(void)
{
    return suite_run("nbd", every_flag_on_every_command_is_decided,
                     every_command_is_decided_for_a_read_only_export,
                     beyond_the_end_is_einval_and_for_who_writes_enospc,
                     one_transfer_has_a_limit_and_a_trim_has_none,
                     a_request_is_read_and_what_is_none_is_told_apart,
                     what_is_answered_is_as_the_protocol_has_it,
                     what_can_be_done_is_said_and_what_cannot_is_not);
}
