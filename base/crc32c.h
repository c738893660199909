/* SPDX-License-Identifier: BSD-3-Clause
 * crc32c - the checksum (Castagnoli polynomial) of pages and frames, from the client's memory to
 * the server's and back: one value, computed where the page is, checked wherever it arrives.
 *
 * Standard form, as in iSCSI and RFC 3720: crc32c("123456789") is 0xE3069283, of nothing 0.
 * Any thread; pure.
 */
#ifndef FARPAGE_BASE_CRC32C_H
#define FARPAGE_BASE_CRC32C_H
#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *bytes, size_t size_bytes);

/* The checksum of a followed by `bytes`, given that of a. crc32c(x) == crc32c_extend(0, x). */
uint32_t crc32c_extend(uint32_t crc, const void *bytes, size_t size_bytes);

#endif
