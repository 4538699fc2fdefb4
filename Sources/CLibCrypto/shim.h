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
#include <openssl/pem.h>
#include <openssl/rand.h>

/* ORed macros with casts are not imported by Swift. Configuration files are left alone: what credfs computes must not
 * depend on a file that a variable (OPENSSL_CONF) can name. Nothing is taken down at exit, where the kernel does it. */
static inline int credfs_crypto_init(void) {
    return OPENSSL_init_crypto(
        OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
            OPENSSL_INIT_NO_ADD_ALL_DIGESTS | OPENSSL_INIT_NO_ATEXIT,
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

/* What HKDF derives from; none of it is kept beyond the call but by the context, which wipes it. */
struct credfs_hkdf_input {
    const unsigned char *key;
    size_t key_count;
    const unsigned char *salt;
    size_t salt_count;
    const unsigned char *info;
    size_t info_count;
};

/* An empty text needs an address, as above; libcrypto only reads. */
static inline OSSL_PARAM credfs_octets(const char *name, const unsigned char *bytes, size_t count) {
    return OSSL_PARAM_construct_octet_string(name, bytes ? (void *)bytes : (void *)"", count);
}

static inline int credfs_hkdf_sha256(
    EVP_KDF_CTX *context, struct credfs_hkdf_input input, unsigned char *output, size_t count) {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        credfs_octets(OSSL_KDF_PARAM_KEY, input.key, input.key_count),
        credfs_octets(OSSL_KDF_PARAM_SALT, input.salt, input.salt_count),
        credfs_octets(OSSL_KDF_PARAM_INFO, input.info, input.info_count),
        OSSL_PARAM_construct_end(),
    };
    return EVP_KDF_derive(context, output, count, parameters);
}

/* No password is asked for: libcrypto would read one from the terminal. */
static inline int credfs_no_password(char *buffer, int size, int writing, void *context) {
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

/* The private key of a PEM text; the memory of the text is read in place. */
static inline EVP_PKEY *credfs_private_key(const unsigned char *text, int count) {
    BIO *source = text ? BIO_new_mem_buf(text, count) : NULL;
    if (!source) return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(source, NULL, credfs_no_password, NULL);
    BIO_free(source);
    return key;
}

#endif
