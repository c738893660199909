/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crc32c.h"

#include <isa-l/crc.h>

#include "base/check.h"

/* ISA-L takes an int length and a non-const pointer, and leaves the final inversion to us. */
enum { CRC_STEP_BYTES = 1 << 30 };

uint32_t crc32c_extend(uint32_t crc, const void *bytes, size_t size_bytes)
{
    const unsigned char *at = bytes;
    unsigned state = ~crc;
    while (size_bytes > 0) {
        size_t step = size_bytes < CRC_STEP_BYTES ? size_bytes : (size_t)CRC_STEP_BYTES;
        state = crc32_iscsi((unsigned char *)(uintptr_t)at, (int)step, state);
        at += step;
        size_bytes -= step;
    }
    return ~state;
}

uint32_t crc32c(const void *bytes, size_t size_bytes)
{
    return crc32c_extend(0, bytes, size_bytes);
}
