// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecureMemory

extension SecretEntry {
    /// Reads the entry of a secret.
    static func read(
        _ name: SecretName,
        _ events: inout YAMLEventReader,
        _ sealer: ManifestReader.Sealer?
    ) throws(StoreError) -> SecretEntry {
        var entry = SecretEntry(name: name)
        var plaintext: SecureBuffer?
        var hasValue = false
        try events.mapping { (key, events) throws(StoreError) in
            if let attribute = SecretAttribute.byKey[key] { return try attribute.read(&entry, &events) }
            guard key == "value" else {
                let keys = ["value"] + SecretAttribute.all.dropLast().map(\.key)
                throw events.unknownKey("\(keys.joined(separator: ", ")) and \(SecretAttribute.all.last?.key ?? "")")
            }
            hasValue = true
            try events.expectScalar()
            if sealer != nil, events.holdsPlaintext {
                plaintext = try events.copyScalar(name)
            } else {
                entry.value = try events.sealedValue(name, refusing: sealer != nil)
            }
        }
        guard hasValue else { throw events.invalid("secret '\(name.text)' has no 'value'") }
        if let plaintext = consume plaintext, let sealer { try sealer(&entry, plaintext) }
        return entry
    }
}

extension YAMLEventReader {
    /// Plaintext in place of a sealed value.
    fileprivate var holdsPlaintext: Bool {
        withScalar { bytes in !bytes.isEmpty && !bytes.starts(with: SealedValue.opening) }
    }

    /// Copies the current scalar into secure memory.
    fileprivate func copyScalar(_ name: SecretName) throws(StoreError) -> SecureBuffer {
        try withScalar { (bytes) throws(StoreError) in
            guard bytes.count <= Manifest.maximumSecretByteCount else { throw tooLarge(name) }
            var copy = try StoreError.locking { () throws(SecureMemoryError) in try SecureBuffer(count: bytes.count) }
            copy.withMutableBytes { target in
                for index in bytes.indices { target[index] = bytes[index] }
            }
            return copy
        }
    }

    /// The current scalar as a sealed value.
    ///
    /// - Parameters:
    ///   - name: its secret, for messages.
    ///   - refusing: whether a value that only begins like a sealed one is an error here, and not left to the acceptance
    ///     guard.
    /// - Returns: the value; its bytes only if it is sealed.
    /// - Throws: class `invalid` if it is too large, `unsealed` as above.
    fileprivate func sealedValue(_ name: SecretName, refusing: Bool) throws(StoreError) -> SecretEntry.Value {
        try withScalar { (bytes) throws(StoreError) in
            if bytes.isEmpty { return .empty }
            guard let value = SealedValue(bytes) else { return try unsealed(name, refusing: refusing) }
            guard value.ciphertext.count <= Manifest.maximumSecretByteCount else { throw tooLarge(name) }
            return .sealed(value)
        }
    }

    private func unsealed(_ name: SecretName, refusing: Bool) throws(StoreError) -> SecretEntry.Value {
        guard refusing else { return .unsealed(position) }
        throw StoreError(
            .unsealed,
            "the value of '\(name.text)' begins with ENC[ but is not a sealed value, "
                + "at line \(position.line), column \(position.column)"
        )
    }

    private func tooLarge(_ name: SecretName) -> StoreError {
        invalid("the value of '\(name.text)' is larger than \(Manifest.maximumSecretByteCount >> 20) MiB")
    }
}
