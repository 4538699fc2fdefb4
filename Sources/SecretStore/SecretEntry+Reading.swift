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
        var hasContent = false
        try events.mapping { (key, events) throws(StoreError) in
            if let attribute = SecretAttribute.byKey[key] { return try attribute.read(&entry, &events) }
            guard key == "value" || key == templateKey else {
                let keys = ["value", templateKey] + SecretAttribute.all.dropLast().map(\.key)
                throw events.unknownKey("\(keys.joined(separator: ", ")) and \(SecretAttribute.all.last?.key ?? "")")
            }
            guard !hasContent else {
                throw events.invalid("secret '\(name.text)' has both 'value' and 'template'")
            }
            hasContent = true
            try events.expectScalar()
            guard key != templateKey else {
                entry.value = .template(try events.template(name))
                return
            }
            if sealer != nil, events.holdsPlaintext {
                plaintext = try events.copyScalar(name)
            } else {
                entry.value = try events.sealedValue(name, refusing: sealer != nil)
            }
        }
        guard hasContent else { throw events.invalid("secret '\(name.text)' has no 'value' and no 'template'") }
        if let obstacle = entry.obstacleToTemplate { throw events.invalid(obstacle) }
        if let plaintext = consume plaintext, let sealer { try sealer(&entry, plaintext) }
        return entry
    }
}

extension SecretEntry {
    /// Attribute that means nothing beside a template; nil where there is none.
    package var obstacleToTemplate: String? {
        guard template != nil else { return nil }
        let text = "secret '\(name.text)' has a template and therefore no"
        if rotation != nil { return "\(text) 'rotate': its parts have values to rotate" }
        return newline == .exact ? nil : "\(text) 'newline': its template says every byte"
    }
}

extension YAMLEventReader {
    /// The current scalar as a template.
    fileprivate func template(_ name: SecretName) throws(StoreError) -> Template {
        let text = try scalarText()
        do throws(StoreError) { return try Template(text) } catch {
            throw invalid("secret '\(name.text)': \(error.message);", hint: error.hint)
        }
    }

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
