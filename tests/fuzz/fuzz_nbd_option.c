/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The bodies of options, and requests, of block devices: any bytes.
 *   - no decoder looks outside its slice, and the names it hands out lie within it;
 *   - a request that may be carried out lies within the export, changes nothing that is read-only,
 *     and is no larger than one may be;
 *   - an option has one verdict in each state, and before TLS none but two are carried out. */
#include "fuzz.h"
#include "protocol/nbd.h"
#include "protocol/nbd_option.h"

static void within(struct slice inner, struct slice outer)
{
    fp_assert(inner.size_bytes <= NBD_TEXT_BYTES_MAX);
    if (inner.size_bytes == 0) return;
    fp_assert(inner.bytes >= outer.bytes);
    fp_assert(inner.bytes + inner.size_bytes <= outer.bytes + outer.size_bytes);
}

static void try_bodies(struct slice body)
{
    struct nbd_go go;
    struct nbd_contexts contexts;
    if (nbd_go_decode(body, &go)) {
        within(go.name, body);
        fp_assert(go.infos >> (NBD_INFO_BLOCK_SIZE + 1) == 0);
    }
    for (int set = 0; set < 2; set++)
        if (nbd_contexts_decode(body, set, &contexts)) within(contexts.name, body);
}

static void try_option(const uint8_t *bytes)
{
    struct nbd_option option;
    struct nbd_client_flags flags;
    (void)!nbd_client_flags_decode(bytes, &flags);
    if (!nbd_option_decode(bytes, &option)) return;
    for (unsigned state = 0; state < NBD_STATES; state++)
        for (int structured = 0; structured < 2; structured++) {
            enum nbd_verdict verdict =
                nbd_option_verdict((enum nbd_state)state, structured, option.number);
            bool known = option.number == NBD_OPT_STARTTLS || option.number == NBD_OPT_ABORT;
            fp_assert(state != NBD_BEFORE_TLS || verdict != NBD_DO || known);
            fp_assert(option.number <= NBD_OPT_SET_META_CONTEXT || verdict != NBD_DO);
        }
}

static void try_request(const uint8_t *bytes)
{
    struct nbd_request request;
    if (!nbd_request_decode(bytes, &request)) return;
    for (unsigned how = 0; how < 8; how++) {
        struct nbd_terms terms = {.size_bytes = 1ull << 33,
                                  .read_only = (how & 1) != 0,
                                  .structured = (how & 2) != 0,
                                  .contexts = (how & 4) != 0};
        if (nbd_request_check(&request, &terms) != NBD_OK) continue;
        fp_assert(request.type <= NBD_BLOCK_STATUS);
        fp_assert(request.offset <= terms.size_bytes);
        fp_assert(request.length <= terms.size_bytes - request.offset);
        bool moves = request.type == NBD_READ || request.type == NBD_WRITE;
        bool changes = request.type == NBD_WRITE || request.type == NBD_TRIM ||
                       request.type == NBD_WRITE_ZEROES;
        fp_assert(!moves || request.length <= NBD_TRANSFER_BYTES_MAX);
        fp_assert(!changes || !terms.read_only);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct slice tight = tight_create(data, size_bytes);
    try_bodies(tight);
    if (size_bytes >= NBD_OPTION_HEAD_BYTES) try_option(tight.bytes);
    if (size_bytes >= NBD_REQUEST_BYTES) try_request(tight.bytes);
    tight_destroy(&tight);
    return 0;
}
