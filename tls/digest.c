/* SPDX-License-Identifier: BSD-3-Clause */
#include "tls/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

bool digest_make(struct slice bytes, struct digest *digest)
{
    size_t size = 0;
    return EVP_Q_digest(NULL, "SHA256", NULL, bytes.bytes, bytes.size_bytes, digest->bytes,
                        &size) == 1 &&
           size == DIGEST_BYTES;
}

bool digest_same(const struct digest *a, const struct digest *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

void digest_forget(void *bytes, size_t size_bytes)
{
    OPENSSL_cleanse(bytes, size_bytes);
}
