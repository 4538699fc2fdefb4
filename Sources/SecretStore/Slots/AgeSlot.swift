// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecureFiles
internal import SecureMemory

/// Slot that an age identity opens: an age file for its recipient holds the key that a key file would.
package struct AgeSlot: SlotType {
    package struct Draft: SlotDraft {
        var recipient: AgeRecipient?
        var wrappedKey: [UInt8]?

        package init() {}
    }

    /// The largest age file in bytes; one of credfs has 264.
    private static let maximumWrappedByteCount = 4096

    package static let word = "age"
    package static let parameters = [
        SlotParameter<Self>(
            key: "recipient",
            isListed: true,
            read: { (draft, events) throws(StoreError) in
                let text = try events.text()
                do throws(AgeError) { draft.recipient = try AgeRecipient(text) } catch {
                    throw events.invalid("a recipient of age is expected", hint: "it is age1 and 58 characters")
                }
            },
            node: { .text($0.ageRecipient.text) }
        ),
        SlotParameter(
            key: "wrapped",
            read: { (draft, events) throws(StoreError) in
                guard let bytes = Base64.bytes(try events.text()), bytes.count <= maximumWrappedByteCount else {
                    throw events.invalid("the wrapped key of a slot is not Base64, or too long")
                }
                draft.wrappedKey = bytes
            },
            node: { .text(Base64.text($0.wrappedKey)) }
        ),
    ]

    package let ageRecipient: AgeRecipient
    package let wrappedKey: [UInt8]

    package init(recipient: AgeRecipient, wrappedKey: [UInt8]) {
        ageRecipient = recipient
        self.wrappedKey = wrappedKey
    }

    package init?(_ draft: Draft) {
        guard let recipient = draft.recipient, let wrappedKey = draft.wrappedKey else { return nil }
        self.init(recipient: recipient, wrappedKey: wrappedKey)
    }

    package var summary: String { ageRecipient.text }

    package var recipient: (any SlotRecipient)? { ageRecipient }

    package static func recipient(named text: String) throws(StoreError) -> (any SlotRecipient)? {
        do throws(AgeError) { return try AgeRecipient(text) } catch {
            guard case .unsupported(let kind) = error else { return nil }
            throw StoreError(
                .usage,
                "recipients of the kind \(kind.rawValue) are not supported",
                hint: "name an X25519 recipient, age1 and 58 characters; age-keygen prints it"
            )
        }
    }

    package static func offer(_ sources: any KeySources, _ store: Store, fits: Bool) throws -> KeyOffer? {
        // Identities of other tools lie in the usual places: they count only for a store that knows some.
        guard fits else { return nil }
        if sources.hasSecret(variable) {
            return KeyOffer {
                let text = try sources.takeSecret(variable)
                return .identities(
                    try text.withBytes { (text) throws(StoreError) in
                        try AgeIdentityFile(
                            text,
                            from: "the variable \(variable)",
                            ifEmpty: KeyMaterial.emptyVariableHint
                        )
                    }
                )
            }
        }
        return try identityFile(sources).map { path in
            KeyOffer { try .identities(at: sources.located(path), sources.checker) }
        }
    }

    package static func missing(_ store: Store) -> StoreError {
        StoreError(
            .authentication,
            "there is no age identity",
            hint: "name a file with --identity or CREDFS_AGE_KEY_FILE"
        )
    }

    private static let variable = "CREDFS_AGE_KEY"

    /// Identity file that a variable of ours or one of sops names, or the one in the usual place of sops.
    ///
    /// - Returns: nil if there is none, or if the identities themselves are in a variable.
    package static func identityFile(_ sources: any KeySources) throws(StoreError) -> String? {
        if sources.hasSecret(variable) { return nil }
        if let path = sources.path("CREDFS_AGE_KEY_FILE") ?? sources.path("SOPS_AGE_KEY_FILE") { return path }
        guard let directory = BaseDirectory.configuration.path(sources.path) else { return nil }
        let path = "\(directory)/sops/age/keys.txt"
        return try Store.exists(path) ? path : nil
    }
}

extension AgeRecipient: SlotRecipient {
    package func wrap(_ key: borrowing Key256) throws(SealingError) -> AgeSlot {
        AgeSlot(recipient: self, wrappedKey: try AgeFile.wrap(key, for: self))
    }
}

extension AgeIdentityFile: SlotSecret {
    /// A file that is damaged says no more than one for somebody else.
    package func unwrap(_ slot: AgeSlot) throws(SealingError) -> Key256 {
        do throws(AgeError) { return try AgeFile.unwrap(slot.wrappedKey.span, for: identities) } catch {
            if case .sealing(let error) = error { throw error }
            throw .authenticationFailure
        }
    }

    package func refusal(tried: Int, _ store: StoreID) -> StoreError {
        StoreError(
            .authentication,
            tried == 0
                ? "no slot of this store opens with an age identity" : "no age identity at hand opens this store",
            hint: unsupported.isEmpty
                ? "name another with --identity, or another way in with --slot or --password-file"
                : "identities of these kinds are not supported: \(Self.names(unsupported))"
        )
    }
}

extension KeyMaterial {
    package static func identities(_ file: AgeIdentityFile) -> KeyMaterial { KeyMaterial(file) }

    /// The identities in the file at a path, which is checked like a key file.
    package static func identities(at path: String, _ checker: PermissionChecker) throws(StoreError) -> KeyMaterial {
        .identities(try AgeIdentityFile(at: path, checker))
    }
}
