/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

/* The definition, bit by bit. */
static uint32_t plain_crc32c(const uint8_t *bytes, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

START_TEST(the_published_values_come_out)
{
    uint8_t bytes[32];
    ck_assert_uint_eq(crc32c("123456789", 9), 0xE3069283u);
    ck_assert_uint_eq(crc32c("", 0), 0);
    ck_assert_uint_eq(crc32c(NULL, 0), 0);
    memset(bytes, 0, sizeof bytes); /* RFC 3720, B.4 */
    ck_assert_uint_eq(crc32c(bytes, sizeof bytes), 0x8A9136AAu);
    memset(bytes, 0xff, sizeof bytes);
    ck_assert_uint_eq(crc32c(bytes, sizeof bytes), 0x62A8AB43u);
    for (uint8_t i = 0; i < sizeof bytes; i++) bytes[i] = i;
    ck_assert_uint_eq(crc32c(bytes, sizeof bytes), 0x46DD794Eu);
}
END_TEST

START_TEST(it_is_the_definition_at_every_length_and_alignment)
{
    uint8_t bytes[600];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37 + i / 7);
    for (size_t from = 0; from < 9; from++)
        for (size_t size = 0; from + size <= sizeof bytes; size += size < 70 ? 1 : 13)
            ck_assert_uint_eq(crc32c(bytes + from, size), plain_crc32c(bytes + from, size));
}
END_TEST

START_TEST(extending_is_the_same_as_one_piece)
{
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i ^ i >> 5);
    uint32_t whole = crc32c(bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 31)
        ck_assert_uint_eq(
            crc32c_extend(crc32c(bytes, cut), bytes + cut, sizeof bytes - cut), whole);
    ck_assert_uint_eq(crc32c_extend(0, bytes, sizeof bytes), whole);
}
END_TEST

int main(void)
{
    return suite_run("crc32c", the_published_values_come_out,
                     it_is_the_definition_at_every_length_and_alignment,
                     extending_is_the_same_as_one_piece);
}
