/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenSSL 3 libcrypto. Sealing is the only importer. No wrapper is needed but for macros.
 */
#ifndef CREDFS_CLIBCRYPTO_SHIM_H
#define CREDFS_CLIBCRYPTO_SHIM_H

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

/* ORed macros with casts are not imported by Swift. Configuration files are left alone: what credfs computes must not
 * depend on a file that a variable (OPENSSL_CONF) can name. */
static inline int credfs_crypto_init(void) {
    return OPENSSL_init_crypto(
        OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
            OPENSSL_INIT_NO_ADD_ALL_DIGESTS,
        NULL);
}

/* A parameter keeps the pointer to its name, which Swift would pass as a temporary. A null key would mean "the key of
 * before": an empty key needs an address. */
static inline int credfs_hmac_sha256_init(EVP_MAC_CTX *context, const unsigned char *key, size_t count) {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_init(context, key ? key : (const unsigned char *)"", count, parameters);
}

#endif
