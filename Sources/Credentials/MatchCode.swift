// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecureMemory

/// Code that a candidate is compared with instead of the secret: an HMAC-SHA256 of the secret under a random key of its
/// own.
///
/// The work of a comparison depends on the candidate alone, whose length its sender knows: neither where two values
/// begin to differ nor how long the secret is can be read off the time. Equal codes without equal values would be a
/// collision of HMAC-SHA256.
enum MatchCode {
    private static let keyByteCount = 32
    private static let byteCount = keyByteCount + HMACSHA256.byteCount

    /// Writes a fresh key and the code of the content to the end of a buffer.
    static func write(into buffer: inout SecureBuffer, contentCount: Int) throws(CredentialsError) {
        do throws(SealingError) {
            try buffer.withMutableBytes { (bytes) throws(SealingError) in
                let start = bytes.count - byteCount
                precondition((0...start).contains(contentCount), "the content leaves room for its code")
                // What is not content, such as a stripped end of line, is zero.
                for index in contentCount..<start { bytes[index] = 0 }
                try withPart(of: &bytes, from: start, count: keyByteCount) { (key) throws(SealingError) in
                    try RandomBytes.fillPrivate(&key)
                }
                var mac = try HMACSHA256(key: bytes.span.extracting(start..<(start + keyByteCount)))
                try mac.update(bytes.span.extracting(0..<contentCount))
                try finish(mac, into: &bytes, from: start + keyByteCount)
            }
        } catch {
            throw CredentialsError(error)
        }
    }

    private static func finish(
        _ mac: consuming HMACSHA256,
        into bytes: inout MutableSpan<UInt8>,
        from start: Int
    ) throws(SealingError) {
        let code = try mac.finalize()
        for index in code.indices { bytes[start + index] = code[index] }
    }

    private static func withPart(
        of bytes: inout MutableSpan<UInt8>,
        from start: Int,
        count: Int,
        _ body: (inout MutableSpan<UInt8>) throws(SealingError) -> Void
    ) throws(SealingError) {
        unsafe try bytes.withUnsafeMutableBufferPointer { (buffer) throws(SealingError) in
            // SAFETY: slicing checks the range; the part ends with this closure, as the access to the whole does.
            var part = unsafe UnsafeMutableBufferPointer(rebasing: buffer[start..<(start + count)]).mutableSpan
            try body(&part)
        }
    }

    /// Compares a candidate with the code at the end of `bytes`.
    ///
    /// False where libcrypto fails.
    static func matches(_ candidate: Span<UInt8>, _ bytes: Span<UInt8>) -> Bool {
        let start = bytes.count - byteCount
        // No secret is as long, and libcrypto's wrapper counts in 32 bits.
        guard candidate.count <= Int(Int32.max) else { return false }
        do throws(SealingError) {
            var mac = try HMACSHA256(key: bytes.extracting(start..<(start + keyByteCount)))
            try mac.update(candidate)
            let code = try mac.finalize()
            return ConstantTime.equal(code.span, bytes.extracting((start + keyByteCount)..<bytes.count))
        } catch {
            return false
        }
    }
}

extension CredentialsError {
    /// The failure of a primitive.
    init(_ error: SealingError) {
        switch error {
        case .memory(let memory): self.init(memory)
        case .randomUnavailable: self.init(.keyDerivation, reason: "no random numbers")
        case .authenticationFailure, .libraryFailure: self.init(.keyDerivation, reason: "libcrypto failed")
        }
    }
}
