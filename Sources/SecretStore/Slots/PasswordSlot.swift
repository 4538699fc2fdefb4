// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecureMemory

/// Slot that a password opens, stretched with PBKDF2-HMAC-SHA256.
package struct PasswordSlot: SlotType {
    package struct Draft: SlotDraft {
        var derivation: String?
        var iterations: Int?
        var salt: [UInt8]?

        package init() {}
    }

    /// Derivation of this version; there is one.
    private static let derivation = "pbkdf2-hmac-sha256"
    /// The iterations of a new slot.
    package static let usualIterations = 600_000
    /// Bounds of a manifest, checked before any of it is computed.
    package static let iterationBounds = 100_000...10_000_000
    /// Iterations of all slots together, since a password is tried on each.
    private static let maximumIterationsOfAll = 20_000_000
    package static let saltByteCount = 16

    package static let word = "password"
    package static let parameters = [
        SlotParameter<Self>(
            key: "kdf",
            only: derivation,
            read: { (draft, events) throws(StoreError) in draft.derivation = try events.text() },
            node: { _ in .text(derivation) }
        ),
        SlotParameter(
            key: "iterations",
            isListed: true,
            read: { (draft, events) throws(StoreError) in
                guard let count = Int(exactly: try events.number()), iterationBounds.contains(count) else {
                    throw events.invalid(
                        "iterations must be \(iterationBounds.lowerBound) to \(iterationBounds.upperBound)"
                    )
                }
                draft.iterations = count
            },
            node: { .number(UInt64($0.iterations)) }
        ),
        SlotParameter(
            key: "salt",
            read: { (draft, events) throws(StoreError) in
                guard let bytes = Base16.bytes(try events.text()), bytes.count == saltByteCount else {
                    throw events.invalid("a salt has \(saltByteCount * 2) lower-case hexadecimal digits")
                }
                draft.salt = bytes
            },
            node: { .digits(Base16.text($0.salt)) }
        ),
    ]

    package let iterations: Int
    package let salt: [UInt8]

    package init(iterations: Int, salt: [UInt8]) {
        self.iterations = iterations
        self.salt = salt
    }

    package init?(_ draft: Draft) {
        guard draft.derivation == Self.derivation, let iterations = draft.iterations, let salt = draft.salt else {
            return nil
        }
        self.init(iterations: iterations, salt: salt)
    }

    /// Makes a slot with a random salt.
    package static func random(iterations: Int = usualIterations) throws(StoreError) -> PasswordSlot {
        PasswordSlot(
            iterations: iterations,
            salt: try StoreError.wrapping { () throws(SealingError) in try RandomBytes.array(count: saltByteCount) }
        )
    }

    package func renewed() throws(StoreError) -> PasswordSlot {
        try .random(iterations: max(iterations, Self.usualIterations))
    }

    package static func objection(to slots: [any SlotType]) -> String? {
        slots.reduce(0) { $0 + (($1 as? Self)?.iterations ?? 0) } > maximumIterationsOfAll
            ? "the password slots ask for more than \(maximumIterationsOfAll) iterations together" : nil
    }

    package var summary: String { "a password, \(iterations) iterations" }

    package static func offer(_ sources: any KeySources, _ store: Store, fits: Bool) -> KeyOffer? {
        guard fits else { return nil }
        return KeyOffer(asks: sources.asksForPassword, isGuess: true) {
            .password(try sources.password(for: store.location))
        }
    }
}

/// Password; a class, since it owns the buffer (docs/decisions/0014).
private final class PasswordSecret: SlotSecret {
    static let isGuess = true
    private let password: SecureBuffer

    init(_ password: consuming SecureBuffer) {
        self.password = password
    }

    func unwrap(_ slot: PasswordSlot) throws(SealingError) -> Key256 {
        try password.withBytes { (bytes) throws(SealingError) in
            try PBKDF2SHA256.key(password: bytes, salt: slot.salt.span, iterations: slot.iterations)
        }
    }

    func refusal(tried: Int, _ store: StoreID) -> StoreError {
        StoreError(
            .incorrectPassword,
            tried == 0 ? "no slot of this store opens with a password" : "incorrect password"
        )
    }
}

extension KeyMaterial {
    package static func password(_ password: consuming SecureBuffer) -> KeyMaterial {
        KeyMaterial(PasswordSecret(password))
    }
}
