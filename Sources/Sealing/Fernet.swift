// SPDX-License-Identifier: Apache-2.0

internal import CLibCrypto

/// Tokens of Fernet (github.com/fernet/spec): AES-128-CBC, authenticated with HMAC-SHA256.
///
/// They can be opened, for what another program sealed, and not be made. A token's time is not looked at: that it is too old
/// is for the program to say that gave it a lifetime.
package enum Fernet {
    /// Beginning of every token: the version and the first bytes of a time before the year 36812.
    package static let opening = "gAAAA"

    private static let version: UInt8 = 0x80
    private static let headerByteCount = 1 + 8 + blockByteCount
    private static let blockByteCount = 16

    /// Reads a key: 32 bytes in URL-safe Base64, with or without its padding.
    ///
    /// - Throws: `SealingError.authenticationFailure` for any other text.
    package static func key(_ text: Span<UInt8>) throws(SealingError) -> Key256 {
        let text = text.extracting(0..<characterCount(text))
        return try Key256.filled { (bytes) throws(SealingError) in
            guard Base64.decode(text, .urlSafe, into: &bytes) else { throw .authenticationFailure }
        }
    }

    /// The room that the content of a token may need.
    ///
    /// - Parameter tokenByteCount: the length of the token in characters.
    /// - Returns: a number of bytes.
    package static func capacity(_ tokenByteCount: Int) -> Int { tokenByteCount / 4 * 3 + blockByteCount }

    /// Opens a token.
    ///
    /// - Parameters:
    ///   - token: its text, with or without padding.
    ///   - key: its key.
    ///   - plaintext: at least `capacity` bytes; filled from the start, or zeros after an error.
    /// - Returns: how many bytes were sealed.
    /// - Throws: `SealingError.authenticationFailure`, without detail, if it is no token of this key.
    package static func open(
        _ token: Span<UInt8>,
        key: borrowing Key256,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(SealingError) -> Int {
        precondition(plaintext.count >= capacity(token.count), "the size is the caller's")
        guard let bytes = Base64.bytes(token.extracting(0..<characterCount(token)), .urlSafe),
            bytes.count >= headerByteCount + blockByteCount + HMACSHA256.byteCount, bytes[0] == version
        else { throw .authenticationFailure }
        let signed = bytes.count - HMACSHA256.byteCount
        do throws(SealingError) {
            return try key.withBytes { (key) throws(SealingError) in
                var code = try HMACSHA256(key: key.extracting(0..<blockByteCount))
                try code.update(bytes.span.extracting(0..<signed))
                let expected = try code.finalize()
                guard ConstantTime.equal(expected.span, bytes.span.extracting(signed..<bytes.count)) else {
                    throw .authenticationFailure
                }
                return try decrypt(
                    bytes.span.extracting(headerByteCount..<signed),
                    nonce: bytes.span.extracting(headerByteCount - blockByteCount..<headerByteCount),
                    key: key.extracting(blockByteCount..<Key256.byteCount),
                    into: &plaintext
                )
            }
        } catch {
            CipherContext.cleanse(&plaintext)
            throw error
        }
    }

    /// Only behind the authentication: what this says of padding would be an oracle else.
    private static func decrypt(
        _ ciphertext: Span<UInt8>,
        nonce: Span<UInt8>,
        key: Span<UInt8>,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(SealingError) -> Int {
        let context = unsafe try LibCrypto.require(EVP_CIPHER_CTX_new())
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        unsafe try LibCrypto.withPointer(key) { (key, _) throws(SealingError) in
            unsafe try LibCrypto.withPointer(nonce) { (nonce, _) throws(SealingError) in
                try LibCrypto.check(unsafe EVP_CipherInit_ex(context, EVP_aes_128_cbc(), nil, key, nonce, 0))
            }
        }
        return unsafe try LibCrypto.withPointer(ciphertext) { (source, count) throws(SealingError) in
            unsafe try LibCrypto.withPointer(&plaintext) { (target, _) throws(SealingError) in
                var written: Int32 = 0
                var last: Int32 = 0
                try LibCrypto.check(unsafe EVP_CipherUpdate(context, target, &written, source, count))
                try LibCrypto.check(
                    unsafe EVP_CipherFinal_ex(context, target?.advanced(by: Int(written)), &last),
                    orThrow: .authenticationFailure
                )
                return Int(written + last)
            }
        }
    }

    /// The number of characters before the padding.
    private static func characterCount(_ text: Span<UInt8>) -> Int {
        guard text.count.isMultiple(of: 4) else { return text.count }
        var count = text.count
        while count > max(0, text.count - 2), text[count - 1] == UInt8(ascii: "=") { count -= 1 }
        return count
    }
}
