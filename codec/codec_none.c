/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The algorithm that never packs: every page is kept as it is, so nothing is ever unpacked. */
#include "codec/codec.h"

static enum fp_status none_pack(const struct codec_use *use, struct plain plain, struct space out,
                                size_t *size)
{
    (void)use, (void)plain, (void)out, (void)size;
    return FP_TOO_BIG;
}

static bool none_unpack(const struct codec_use *use, struct packed packed, struct space out)
{
    (void)use, (void)packed, (void)out;
    return false;
}

const struct codec codec_none = {.name = "none", .pack = none_pack, .unpack = none_unpack};
