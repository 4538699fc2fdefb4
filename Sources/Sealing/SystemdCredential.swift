// SPDX-License-Identifier: Apache-2.0

package import SecureMemory

/// Failure to open an encrypted credential of systemd; never with a byte of it.
package enum SystemdCredentialError: Error, Sendable, Equatable {
    /// Not an encrypted credential.
    case malformed
    /// Encrypted with a key of a kind that is known here by name only.
    case unsupported(String)
    /// Encrypted with no key at all: neither secret nor authentic.
    case unprotected
    /// Not of this key, or changed.
    case authentication
    /// A credential of another name.
    case otherName
    /// Its time is over.
    case expired
    /// libcrypto or memory failed.
    case sealing(SealingError)
}

/// Encrypted credential of systemd (systemd-creds, version 252 and later), for the key of a host.
///
/// Base64 of a header of little-endian numbers, AES-256-GCM ciphertext and tag; the header is authenticated with it.
package struct SystemdCredential: Sendable {
    private static let headerByteCount = 48
    private static let kindByteCount = 16
    private static let nonceRange = 32..<44
    private static let nameLimit = 255
    /// Binds the identifier of a host's key to that use (sd_id128_get_machine_app_specific).
    private static let application: [UInt8] = [
        0xd3, 0xac, 0xec, 0xba, 0x0d, 0xad, 0x4c, 0xdf, 0xb8, 0xc9, 0x38, 0x15, 0x28, 0x93, 0x6c, 0x58,
    ]
    private static let host = "5a1c6a86df9d4096b1d5a65e0862f19a"
    private static let unprotected = "058469daf6f54324800549da0f8ea2fb"
    private static let others = [
        "55b9ed1d38594d43a8319d2ebb332ac6": "the key of the host for one user",
        "0c7cc07b117645919c4b0bea08bc20fe": "a TPM2",
        "faf7eb9341e3412ca1a436f95a29362f": "a TPM2 with a signed policy",
        "93a894094874449090caf2fc93cab553": "the key of the host and a TPM2",
        "af4950a849134eb1a73846304ff30c05": "the key of the host and a TPM2 with a signed policy",
        "ef4ac13679a9480ea7db68897f9f165d": "the key of the host and a TPM2 for one user",
        "adbc4ca3efb64201ba881b6f2e4095ea": "the key of the host and a TPM2 with a signed policy for one user",
    ]

    private let bytes: [UInt8]

    /// Reads the text of a file.
    ///
    /// - Throws: `malformed`, `unsupported` or `unprotected`.
    package init(_ text: Span<UInt8>) throws(SystemdCredentialError) {
        var characters: [UInt8] = []
        characters.reserveCapacity(text.count)
        for index in text.indices where !(text[index] == 0x20 || (0x09...0x0d).contains(text[index])) {
            characters.append(text[index])
        }
        guard let bytes = Base64.bytes(characters.span), bytes.count >= Self.headerByteCount + AES256GCM.tagByteCount
        else { throw .malformed }
        let kind = Base16.text(Array(bytes.prefix(Self.kindByteCount)))
        guard kind == Self.host else {
            if kind == Self.unprotected { throw .unprotected }
            throw Self.others[kind].map { .unsupported($0) } ?? .malformed
        }
        guard Self.number(bytes, 16) == Key256.byteCount, Self.number(bytes, 20) == 1,
            Self.number(bytes, 24) == AES256GCM.nonceByteCount, Self.number(bytes, 28) == AES256GCM.tagByteCount
        else { throw .malformed }
        self.bytes = bytes
    }

    /// Opens it.
    ///
    /// - Parameters:
    ///   - key: the key of the host.
    ///   - names: names that it may have; one without a name fits all.
    ///   - now: the time in microseconds since 1970.
    /// - Returns: the value.
    /// - Throws: `authentication`, `otherName` or `expired`.
    package func open(
        _ key: borrowing Key256,
        named names: [String],
        now: UInt64
    ) throws(SystemdCredentialError) -> SecureBuffer {
        let end = bytes.count - AES256GCM.tagByteCount
        let plaintext: SecureBuffer
        do throws(SealingError) {
            var cipher = try AES256GCM(key: key)
            plaintext = try SecureBuffer.filled(
                capacity: end - Self.headerByteCount,
                orThrow: { .memory($0) },
                { (plaintext) throws(SealingError) in
                    try cipher.open(
                        bytes.span.extracting(Self.headerByteCount..<end),
                        nonce: bytes.span.extracting(Self.nonceRange),
                        tag: bytes.span.extracting(end..<bytes.count),
                        associatedData: bytes.span.extracting(0..<Self.headerByteCount),
                        into: &plaintext
                    )
                    return plaintext.count
                }
            )
        } catch { throw error == .authenticationFailure ? .authentication : .sealing(error) }
        let start = try plaintext.withBytes { (bytes) throws(SystemdCredentialError) in
            try Self.check(bytes, names, now)
        }
        return try plaintext.withBytes { (bytes) throws(SystemdCredentialError) in
            try Self.copy(bytes.extracting(start..<bytes.count))
        }
    }

    /// Checks what precedes a value: the times, and the name that it is bound to.
    ///
    /// - Returns: where the value begins.
    private static func check(
        _ bytes: Span<UInt8>,
        _ names: [String],
        _ now: UInt64
    ) throws(SystemdCredentialError) -> Int {
        let nameStart = 20
        guard bytes.count >= nameStart else { throw .malformed }
        let end = long(bytes, 8)
        let nameCount = Int(UInt32(truncatingIfNeeded: long(bytes, 16)))
        let start = (nameStart + nameCount + 7) / 8 * 8
        guard nameCount <= nameLimit, start <= bytes.count, end > long(bytes, 0) else { throw .malformed }
        let name = bytes.extracting(nameStart..<nameStart + nameCount)
        guard name.isEmpty || names.contains(where: { name.count == $0.utf8.count && name.begins(with: $0) })
        else { throw .otherName }
        guard end == .max || end >= now else { throw .expired }
        return start
    }

    private static func copy(_ bytes: Span<UInt8>) throws(SystemdCredentialError) -> SecureBuffer {
        try SecureBuffer.filled(
            capacity: bytes.count,
            orThrow: { .sealing(.memory($0)) },
            { (copy) throws(SystemdCredentialError) in
                for index in bytes.indices { copy[index] = bytes[index] }
                return bytes.count
            }
        )
    }

    /// Derives the key of credentials from the secret of a host.
    package static func key(hostSecret: Span<UInt8>) throws(SealingError) -> Key256 {
        var digest = try SHA256Digest()
        try digest.update(hostSecret)
        return try digest.key()
    }

    /// Identifier that binds the secret of a host to a machine.
    package static func hostIdentifier(machine: [UInt8]) throws(SealingError) -> [UInt8] {
        var code = try HMACSHA256(key: machine.span)
        try code.update(application.span)
        var identifier = Array(try code.finalize().prefix(16))
        // A random identifier of RFC 9562, version 4.
        identifier[6] = identifier[6] & 0x0f | 0x40
        identifier[8] = identifier[8] & 0x3f | 0x80
        return identifier
    }

    private static func number(_ bytes: [UInt8], _ offset: Int) -> Int {
        bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    /// A number of 64 bits; what is missing at the end counts as zeros.
    private static func long(_ bytes: Span<UInt8>, _ offset: Int) -> UInt64 {
        var number: UInt64 = 0
        for index in (0..<8).reversed() {
            number = number << 8 | UInt64(offset + index < bytes.count ? bytes[offset + index] : 0)
        }
        return number
    }
}
