// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// Files of the age format (age-encryption.org/v1): recipients of the kind X25519, and passwords.
package enum AgeFile {
    static let fileKeyByteCount = 16
    static let payloadNonceByteCount = 16
    /// The plaintext of all chunks but the last.
    static let chunkByteCount = 64 << 10

    /// Decrypts a file for identities.
    ///
    /// - Parameters:
    ///   - file: the whole file, not in armor.
    ///   - identities: what is tried.
    ///   - convert: turns a failure into the caller's error.
    ///   - write: takes the plaintext in order, chunk by chunk, each authentic. Only a call that returns says that the
    ///     file was whole.
    /// - Throws: what `convert` makes of an `AgeError`, or the error of `write`.
    package static func decrypt<E: Error>(
        _ file: Span<UInt8>,
        for identities: [AgeIdentity],
        orThrow convert: (AgeError) -> E,
        _ write: (Span<UInt8>) throws(E) -> Void
    ) throws(E) {
        let opened: Opened
        do throws(AgeError) {
            let header = try AgeHeader(file)
            opened = try Opened(file, header, fileKey: try fileKey(header, identities))
        } catch { throw convert(error) }
        try opened.decrypt(file, orThrow: convert, write)
    }

    /// Decrypts a file with a password; checks and release of plaintext as with identities.
    package static func decrypt<E: Error>(
        _ file: Span<UInt8>,
        password: Span<UInt8>,
        orThrow convert: (AgeError) -> E,
        _ write: (Span<UInt8>) throws(E) -> Void
    ) throws(E) {
        let opened: Opened
        do throws(AgeError) {
            let header = try AgeHeader(file)
            opened = try Opened(file, header, fileKey: try fileKey(header, password: password))
        } catch { throw convert(error) }
        try opened.decrypt(file, orThrow: convert, write)
    }

    private static func fileKey(_ header: AgeHeader, _ identities: [AgeIdentity]) throws(AgeError) -> SecureBuffer {
        for stanza in header.stanzas where stanza.type == AgeHeader.x25519 {
            for identity in identities {
                if let key = try stanza.fileKey(for: identity) { return key }
            }
        }
        throw noMatch(header)
    }

    private static func fileKey(_ header: AgeHeader, password: Span<UInt8>) throws(AgeError) -> SecureBuffer {
        for stanza in header.stanzas where stanza.type == AgeHeader.scrypt {
            if let key = try stanza.fileKey(password: password) { return key }
        }
        throw noMatch(header)
    }

    private static func noMatch(_ header: AgeHeader) -> AgeError {
        for stanza in header.stanzas {
            if let kind = AgeError.UnsupportedKind(rawValue: stanza.type) { return .unsupported(kind) }
        }
        return .noMatch
    }

    /// The key that authenticates the header.
    static func headerCode(_ text: Span<UInt8>, fileKey: borrowing SecureBuffer) throws(SealingError) -> [UInt8] {
        let key = try derive(fileKey, salt: [], "header")
        var code = try key.withBytes { (key) throws(SealingError) in try HMACSHA256(key: key) }
        try code.update(text)
        return try code.finalize()
    }

    static func payloadCipher(
        _ fileKey: borrowing SecureBuffer,
        nonce: [UInt8]
    ) throws(SealingError) -> ChaCha20Poly1305 {
        try ChaCha20Poly1305(key: try derive(fileKey, salt: nonce, "payload"))
    }

    /// The nonce of a chunk: its number in 11 bytes, and whether it is the last.
    static func nonce(ofChunk number: Int, isLast: Bool) -> [UInt8] {
        var nonce = [UInt8](repeating: 0, count: ChaCha20Poly1305.nonceByteCount)
        for index in 0..<8 { nonce[3 + index] = UInt8(truncatingIfNeeded: number >> (56 - 8 * index)) }
        nonce[11] = isLast ? 1 : 0
        return nonce
    }

    private static func derive(
        _ fileKey: borrowing SecureBuffer,
        salt: [UInt8],
        _ info: String
    ) throws(SealingError) -> Key256 {
        try fileKey.withBytes { (fileKey) throws(SealingError) in
            try Key256.filled { (bytes) throws(SealingError) in
                try HKDFSHA256.derive(from: fileKey, salt: salt.span, info: info.utf8.span, into: &bytes)
            }
        }
    }

    /// A file whose header is authentic.
    private struct Opened: ~Copyable {
        private let fileKey: SecureBuffer
        private let nonce: [UInt8]
        private let payloadStart: Int

        init(_ file: Span<UInt8>, _ header: AgeHeader, fileKey: consuming SecureBuffer) throws(AgeError) {
            let text = file.extracting(0..<header.authenticatedByteCount)
            let code: [UInt8]
            do throws(SealingError) { code = try headerCode(text, fileKey: fileKey) } catch { throw .sealing(error) }
            guard ConstantTime.equal(code.span, header.code.span) else { throw .headerAuthentication }
            let start = header.byteCount + payloadNonceByteCount
            guard file.count >= start else { throw .malformedHeader }
            nonce = (header.byteCount..<start).map { file[$0] }
            payloadStart = start
            self.fileKey = fileKey
        }

        func decrypt<E: Error>(
            _ file: Span<UInt8>,
            orThrow convert: (AgeError) -> E,
            _ write: (Span<UInt8>) throws(E) -> Void
        ) throws(E) {
            let size = min(chunkByteCount, max(0, file.count - payloadStart))
            var cipher = try AgeError.converted(convert) { () throws(SealingError) in
                try payloadCipher(fileKey, nonce: nonce)
            }
            var chunk = try AgeError.converted(convert) { () throws(SealingError) in
                try SealingError.wrap { () throws(SecureMemoryError) in try SecureBuffer(count: size) }
            }
            var start = payloadStart
            var number = 0
            var isLast = false
            while !isLast {
                let end = min(start + chunkByteCount + ChaCha20Poly1305.tagByteCount, file.count)
                let count = end - start - ChaCha20Poly1305.tagByteCount
                // Only the payload of nothing has a chunk of nothing.
                guard count > 0 || count == 0 && number == 0 else { throw convert(.payload) }
                chunk.setCount(count)
                let sealed = file.extracting(start..<end)
                isLast = count < chunkByteCount
                if try !open(sealed, number, isLast: isLast, &cipher, &chunk, convert) {
                    guard !isLast, try open(sealed, number, isLast: true, &cipher, &chunk, convert) else {
                        throw convert(.payload)
                    }
                    isLast = true
                }
                try chunk.withBytes(write)
                // An end that says so too early or not at all; what was written is authentic all the same.
                guard isLast == (end == file.count) else { throw convert(.payload) }
                start = end
                number += 1
            }
        }

        private func open<E: Error>(
            _ sealed: Span<UInt8>,
            _ number: Int,
            isLast: Bool,
            _ cipher: inout ChaCha20Poly1305,
            _ chunk: inout SecureBuffer,
            _ convert: (AgeError) -> E
        ) throws(E) -> Bool {
            let nonce = AgeFile.nonce(ofChunk: number, isLast: isLast)
            do throws(SealingError) {
                try chunk.withMutableBytes { (bytes) throws(SealingError) in
                    try cipher.open(sealed, nonce: nonce.span, into: &bytes)
                }
                return true
            } catch {
                guard error == .authenticationFailure else { throw convert(.sealing(error)) }
                return false
            }
        }
    }
}
