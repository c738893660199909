/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The algorithm that never packs: every page is kept as it is, so nothing is ever unpacked. */
#include "storage/compressor_codec.h"

static char no_state; /* never written: only its address is used */

static void *none_create(void)
{
    return &no_state;
}

static void none_destroy(void *state)
{
    (void)state;
}

static size_t none_pack(void *state, int level, struct plain plain, struct space out)
{
    (void)state, (void)level, (void)plain, (void)out;
    return 0;
}

static bool none_unpack(void *state, struct packed packed, struct space out)
{
    (void)state, (void)packed, (void)out;
    return false;
}

const struct codec codec_none = {
    .name = "none",
    .state_create = none_create,
    .state_destroy = none_destroy,
    .pack = none_pack,
    .unpack = none_unpack,
};
