// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

extension AgeFile {
    /// The cost that the age program has for new passwords, as a power of two.
    package static let usualWorkFactor = 18

    /// Encrypts for recipients.
    ///
    /// - Parameters:
    ///   - plaintext: any bytes.
    ///   - recipients: at least one.
    /// - Returns: the file, not in armor.
    /// - Throws: `SealingError`.
    package static func encrypt(_ plaintext: Span<UInt8>, for recipients: [AgeRecipient]) throws(SealingError)
        -> [UInt8]
    {
        precondition(!recipients.isEmpty, "a file is for somebody")
        let fileKey = try newFileKey()
        var stanzas: [AgeStanza] = []
        for recipient in recipients { stanzas.append(try .wrap(fileKey, for: recipient)) }
        return try encrypt(plaintext, stanzas, fileKey)
    }

    /// Encrypts with a password.
    ///
    /// - Parameters:
    ///   - plaintext: any bytes.
    ///   - password: any bytes.
    ///   - workFactor: the cost as a power of two.
    /// - Returns: the file, not in armor.
    /// - Throws: `SealingError`.
    package static func encrypt(
        _ plaintext: Span<UInt8>,
        password: Span<UInt8>,
        workFactor: Int = usualWorkFactor
    ) throws(SealingError) -> [UInt8] {
        let fileKey = try newFileKey()
        let stanza = try AgeStanza.wrap(fileKey, password: password, workFactor: workFactor)
        return try encrypt(plaintext, [stanza], fileKey)
    }

    private static func newFileKey() throws(SealingError) -> SecureBuffer {
        try SecureBuffer.filled(
            capacity: fileKeyByteCount,
            backing: .secret,
            orThrow: { SealingError.memory($0) },
            { (bytes) throws(SealingError) in
                try RandomBytes.fillPrivate(&bytes)
                return bytes.count
            }
        )
    }

    private static func encrypt(
        _ plaintext: Span<UInt8>,
        _ stanzas: [AgeStanza],
        _ fileKey: borrowing SecureBuffer
    ) throws(SealingError) -> [UInt8] {
        var file = AgeHeader.text(stanzas)
        let code = try headerCode(file.span, fileKey: fileKey)
        file += Array(" \(AgeHeader.base64(code))\n".utf8)
        let nonce = try RandomBytes.array(count: payloadNonceByteCount)
        file += nonce
        var cipher = try payloadCipher(fileKey, nonce: nonce)
        var start = 0
        var number = 0
        repeat {
            let end = min(start + chunkByteCount, plaintext.count)
            var chunk = [UInt8](repeating: 0, count: end - start + ChaCha20Poly1305.tagByteCount)
            var span = chunk.mutableSpan
            let chunkNonce = Self.nonce(ofChunk: number, isLast: end == plaintext.count)
            try cipher.seal(plaintext.extracting(start..<end), nonce: chunkNonce.span, into: &span)
            file += chunk
            start = end
            number += 1
        } while start < plaintext.count
        return file
    }
}
