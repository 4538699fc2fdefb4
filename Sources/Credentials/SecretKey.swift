// SPDX-License-Identifier: Apache-2.0

internal import Sealing

/// A key of 256 bits in locked memory, wiped at its end.
///
/// As ``Secret``, it has one owner and cannot be printed, encoded or dumped. Where the kernel has secret memory
/// (memfd_secret), the key lives there, out of reach of the rest of the kernel too.
public struct SecretKey: ~Copyable, Sendable {
    /// The size of a key in bytes.
    public static let byteCount = 32

    /// The fewest bytes that a key is derived from: 128 bits, since HKDF makes nothing of little.
    public static let minimumInputByteCount = 16

    private let key: Key256

    private init(_ key: consuming Key256) {
        self.key = key
    }

    /// Loads a key that is written as 64 hexadecimal digits, with or without an end of line.
    ///
    /// - Parameters:
    ///   - source: where to look.
    ///   - policy: what the file must be before it is read.
    /// - Throws: a ``CredentialsError``: ``CredentialsError/Code/invalidFormat`` for what is empty, short, long or not
    ///   hexadecimal.
    public init(hexDigitsFrom source: CredentialSource, policy: FilePolicy = .standard) throws(CredentialsError) {
        let digits = try Secret(from: source, newline: .stripOne, policy: policy)
        do throws(CredentialsError) {
            try self.init(hexDigits: digits)
        } catch {
            throw error.located(path: source.path, name: source.path == nil ? source.label : nil)
        }
    }

    /// Loads a key that is written as 32 bytes, every one of which counts.
    ///
    /// - Parameters:
    ///   - source: where to look.
    ///   - policy: what the file must be before it is read.
    /// - Throws: a ``CredentialsError``: ``CredentialsError/Code/invalidFormat`` for another number of bytes.
    public init(bytesFrom source: CredentialSource, policy: FilePolicy = .standard) throws(CredentialsError) {
        let bytes = try Secret(from: source, newline: .exact, policy: policy)
        do throws(CredentialsError) {
            try self.init(bytes: bytes)
        } catch {
            throw error.located(path: source.path, name: source.path == nil ? source.label : nil)
        }
    }

    /// Reads a key from a secret of 64 hexadecimal digits, upper or lower case.
    ///
    /// - Parameter secret: the digits.
    /// - Throws: ``CredentialsError/Code/invalidFormat`` for anything else.
    public init(hexDigits secret: borrowing Secret) throws(CredentialsError) {
        key = try secret.withBytes { (digits) throws(CredentialsError) in
            guard digits.count > 0 else { throw CredentialsError(.invalidFormat, reason: "empty") }
            guard digits.count == 2 * Self.byteCount else {
                let form = digits.count % 2 == 0 ? "" : ", an odd number"
                throw CredentialsError(.invalidFormat, reason: "not 64 hexadecimal digits\(form)")
            }
            return try Self.filled { (bytes) throws(CredentialsError) in
                guard Base16.decode(digits, into: &bytes) else {
                    throw CredentialsError(.invalidFormat, reason: "not hexadecimal")
                }
            }
        }
    }

    /// Copies a key from a secret of 32 bytes.
    ///
    /// - Parameter secret: the bytes.
    /// - Throws: ``CredentialsError/Code/invalidFormat`` for another number of bytes.
    public init(bytes secret: borrowing Secret) throws(CredentialsError) {
        self = try secret.withBytes { (bytes) throws(CredentialsError) in try SecretKey(copying: bytes) }
    }

    /// Copies a key from 32 bytes that came another way; the caller wipes the original.
    ///
    /// - Parameter bytes: the key.
    /// - Throws: ``CredentialsError/Code/invalidFormat`` for another number of bytes.
    public init(copying bytes: Span<UInt8>) throws(CredentialsError) {
        guard bytes.count == Self.byteCount else {
            throw CredentialsError(.invalidFormat, reason: bytes.isEmpty ? "empty" : "not 32 bytes")
        }
        key = try Self.filled { (target) throws(CredentialsError) in
            for index in 0..<Self.byteCount { target[index] = bytes[index] }
        }
    }

    /// Makes a random key.
    ///
    /// - Throws: ``CredentialsError/Code/keyDerivation`` without random numbers,
    ///   ``CredentialsError/Code/memoryUnavailable``.
    public static func random() throws(CredentialsError) -> SecretKey {
        try sealing { () throws(SealingError) in SecretKey(try Key256.random()) }
    }

    /// Derives a key for one use from a secret with HKDF-SHA256 (RFC 5869).
    ///
    /// The salt is absent, the input keying material is the content of `secret`, `info` is the UTF-8 of `domain`, the
    /// output has 32 bytes: any other implementation of HKDF gives the same key.
    ///
    /// - Parameters:
    ///   - secret: at least ``minimumInputByteCount`` random bytes. Not a password that people chose: HKDF does not
    ///     slow down guessing.
    ///   - domain: what the key is for, such as `example.com/invoices/signature/v1`. Different labels give unrelated
    ///     keys; a key is used for one label only.
    /// - Returns: the key for this use.
    /// - Throws: ``CredentialsError/Code/keyDerivation`` for a short secret or an empty label.
    public static func derive(from secret: borrowing Secret, domain: String) throws(CredentialsError) -> SecretKey {
        try secret.withBytes { (bytes) throws(CredentialsError) in try derive(from: bytes, domain: domain) }
    }

    /// Derives a key for one use from another key; as from a secret.
    ///
    /// - Parameters:
    ///   - key: the key to derive from.
    ///   - domain: what the key is for.
    /// - Returns: the key for this use.
    /// - Throws: ``CredentialsError/Code/keyDerivation`` for an empty label.
    public static func derive(from key: borrowing SecretKey, domain: String) throws(CredentialsError) -> SecretKey {
        try key.withBytes { (bytes) throws(CredentialsError) in try derive(from: bytes, domain: domain) }
    }

    private static func derive(from bytes: Span<UInt8>, domain: String) throws(CredentialsError) -> SecretKey {
        guard !domain.isEmpty else { throw CredentialsError(.keyDerivation, reason: "empty domain label") }
        guard bytes.count >= minimumInputByteCount else {
            throw CredentialsError(.keyDerivation, reason: "fewer than \(minimumInputByteCount) bytes to derive from")
        }
        return try derive(from: bytes, salt: [UInt8]().span, info: domain.utf8.span)
    }

    /// HKDF-SHA256 as the RFC's vectors have it.
    package static func derive(
        from bytes: Span<UInt8>,
        salt: Span<UInt8>,
        info: Span<UInt8>
    ) throws(CredentialsError) -> SecretKey {
        try sealing { () throws(SealingError) in
            SecretKey(
                try Key256.filled { (output) throws(SealingError) in
                    try HKDFSHA256.derive(from: bytes, salt: salt, info: info, into: &output)
                }
            )
        }
    }

    /// The HMAC-SHA256 (RFC 2104) of a message, which is published.
    ///
    /// - Parameter message: the message.
    /// - Returns: 32 bytes.
    /// - Throws: ``CredentialsError/Code/keyDerivation`` for a message of more than 2 GiB, and should libcrypto fail.
    public func hmacSHA256(of message: Span<UInt8>) throws(CredentialsError) -> [UInt8] {
        guard message.count <= Int(Int32.max) else {
            throw CredentialsError(.keyDerivation, reason: "a message of more than 2 GiB")
        }
        return try Self.sealing { () throws(SealingError) in
            var mac = try key.withBytes { (bytes) throws(SealingError) in try HMACSHA256(key: bytes) }
            try mac.update(message)
            return try mac.finalize()
        }
    }

    /// The HMAC-SHA256 of a text's UTF-8.
    ///
    /// - Parameter message: the message.
    /// - Returns: 32 bytes.
    /// - Throws: ``CredentialsError/Code/keyDerivation`` should libcrypto fail.
    public func hmacSHA256(of message: String) throws(CredentialsError) -> [UInt8] {
        try hmacSHA256(of: message.utf8.span)
    }

    /// Verifies an HMAC-SHA256 of a message, in a time that does not depend on how much of it is right.
    ///
    /// - Parameters:
    ///   - code: what came with the message.
    ///   - message: the message.
    /// - Returns: false for a wrong code, and should libcrypto fail.
    public func isValidHMACSHA256(_ code: Span<UInt8>, of message: Span<UInt8>) -> Bool {
        guard let expected = try? hmacSHA256(of: message) else { return false }
        return ConstantTime.equal(expected.span, code)
    }

    /// Lends the 32 bytes.
    ///
    /// - Parameter body: gets the bytes; they must not be copied to memory that nobody wipes.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws.
    public func withBytes<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try key.withBytes(body)
    }

    /// Compares two keys, in a time that does not depend on where they differ.
    ///
    /// - Parameter other: the key to compare with.
    /// - Returns: whether they are the same.
    public func matches(_ other: borrowing SecretKey) -> Bool {
        withBytes { mine in other.withBytes { ConstantTime.equal(mine, $0) } }
    }

    private static func filled(
        _ fill: (inout MutableSpan<UInt8>) throws(CredentialsError) -> Void
    ) throws(CredentialsError) -> Key256 {
        try Key256.filled(orThrow: { CredentialsError($0) }, fill)
    }

    private static func sealing<R: ~Copyable>(
        _ body: () throws(SealingError) -> R
    ) throws(CredentialsError) -> R {
        do throws(SealingError) { return try body() } catch { throw CredentialsError(error) }
    }
}
