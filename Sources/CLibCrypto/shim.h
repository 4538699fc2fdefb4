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

#endif
