// SPDX-License-Identifier: Apache-2.0

package import Sealing

/// Kind of key slot and its parameters, which stand in the manifest beside the sealed data key; a stanza of age.
///
/// A further kind is one file beside this one and a row of `SlotTypes.all`.
package protocol SlotType: Sendable, Equatable {
    /// Parameters while a manifest is read.
    associatedtype Draft: SlotDraft

    /// Word under `type`.
    static var word: String { get }
    /// Rows of the keys between `type` and `sealed`, in the order of the file.
    static var parameters: [SlotParameter<Self>] { get }
    /// Makes the slot that was read; nil where a parameter is missing or has another value.
    init?(_ draft: Draft)
    /// Rule that all slots of a manifest together break, in words.
    static func objection(to slots: [any SlotType]) -> String?

    /// Text for people of what opens the slot.
    var summary: String { get }
    /// Public key that the slot is made for; such a slot is made anew without any secret.
    var recipient: (any SlotRecipient)? { get }
    /// Reads a recipient of this kind; nil for any other text.
    static func recipient(named text: String) throws(StoreError) -> (any SlotRecipient)?
    /// Parameters of a new seal.
    func renewed() throws(StoreError) -> Self

    /// Key material that a command was given without an option; nil for none. No secret is read yet.
    ///
    /// If no slot `fits`, being of this kind, only sources that are meant for credfs count.
    static func offer(_ sources: any KeySources, _ store: Store, fits: Bool) throws -> KeyOffer?
    /// Error where nothing was offered for slots of this kind.
    static func missing(_ store: Store) -> StoreError
}

extension SlotType {
    package static func objection(to slots: [any SlotType]) -> String? { nil }
    package var recipient: (any SlotRecipient)? { nil }
    package static func recipient(named text: String) throws(StoreError) -> (any SlotRecipient)? { nil }
    package func renewed() throws(StoreError) -> Self { self }
    package static func offer(_ sources: any KeySources, _ store: Store, fits: Bool) throws -> KeyOffer? { nil }
    package static func missing(_ store: Store) -> StoreError {
        StoreError(.authentication, "there is nothing to open a slot of the kind \(word) with")
    }

    package var word: String { Self.word }
    /// Parameters in the order of the file.
    var members: [(key: String, node: ManifestNode)] { Self.parameters.map { ($0.key, $0.node(self)) } }
    /// Parameters that `keys list --json` shows.
    package var listed: [(key: String, node: ManifestNode)] {
        Self.parameters.filter(\.isListed).map { ($0.key, $0.node(self)) }
    }
    package static var listedKeys: [String] { parameters.filter(\.isListed).map(\.key) }
    package static func isKind(of slot: any SlotType) -> Bool { slot is Self }
    func equals(_ other: any SlotType) -> Bool { other as? Self == self }
    static func reader() -> any SlotReading { SlotReader<Self>() }
}

/// Kinds of key slots.
package enum SlotTypes {
    /// Rows in the order of messages.
    package static let all: [any SlotType.Type] = [
        KeyFileSlot.self,
        PasswordSlot.self,
        AgeSlot.self,
    ]

    /// Reads a recipient that a person names.
    ///
    /// - Throws: class `usage`, with the kind where it is known by name.
    package static func recipient(named text: String) throws(StoreError) -> any SlotRecipient {
        for type in all {
            if let recipient = try type.recipient(named: text) { return recipient }
        }
        throw StoreError(
            .usage,
            "not a recipient",
            hint: "a recipient is age1 and 58 characters; age-keygen -y prints that of an identity"
        )
    }

    /// Key material that a command was given without an option, for slots of these kinds.
    ///
    /// If the slots were chosen by name, no other kind counts. There being none is an error of class `authentication`.
    package static func offer(
        _ sources: any KeySources,
        _ store: Store,
        for kinds: [any SlotType],
        isNamed: Bool
    ) throws -> KeyOffer {
        // A person is asked last.
        for type in all.filter({ $0 != PasswordSlot.self }) + [PasswordSlot.self] {
            let fits = kinds.contains { type.isKind(of: $0) }
            guard fits || !isNamed else { continue }
            if let offer = try type.offer(sources, store, fits: fits) { return offer }
        }
        let kind = all.first { type in kinds.contains { type.isKind(of: $0) } }
        throw (kind ?? KeyFileSlot.self).missing(store)
    }
}

/// Public key that a slot can be made for; a recipient of age.
package protocol SlotRecipient: Sendable {
    associatedtype Slot: SlotType
    var text: String { get }
    /// Wraps a new key, from which the wrapping key of the slot is derived.
    func wrap(_ key: borrowing Key256) throws(SealingError) -> Slot
}

extension SlotRecipient {
    package var word: String { Slot.word }
}

/// Secret that opens slots of one kind; an identity of age.
package protocol SlotSecret: Sendable {
    associatedtype Slot: SlotType
    /// Recovers the key from which the wrapping key of the slot is derived.
    ///
    /// - Throws: `SealingError.authenticationFailure` where the slot is somebody else's.
    func unwrap(_ slot: Slot) throws(SealingError) -> Key256
    /// Guessable secret: attempts are counted.
    static var isGuess: Bool { get }
    /// Error where no slot opens with it.
    func refusal(tried: Int, _ store: StoreID) -> StoreError
}

extension SlotSecret {
    package static var isGuess: Bool { false }
    var isGuess: Bool { Self.isGuess }
    func fits(_ slot: any SlotType) -> Bool { slot is Slot }
    func key(of slot: any SlotType) throws(SealingError) -> Key256 {
        guard let slot = slot as? Slot else { throw .authenticationFailure }
        return try unwrap(slot)
    }
}

/// Row of a key that a kind of slot has.
package struct SlotParameter<Slot: SlotType>: Sendable {
    let key: String
    /// Text about the key in the rule of the kind.
    var rule: String { only.map { "\(key) \($0)" } ?? key }
    /// Value that it must have, if it can have one only.
    var only: String?
    /// Member of `keys list --json`.
    var isListed = false
    let read: @Sendable (inout Slot.Draft, inout YAMLEventReader) throws(StoreError) -> Void
    let node: @Sendable (Slot) -> ManifestNode
}

/// Parameters while a manifest is read: all absent at first.
package protocol SlotDraft {
    init()
}

/// Reads the parameters of one kind, whatever the order of the keys.
struct SlotReader<Slot: SlotType>: SlotReading {
    private var draft = Slot.Draft()
    private(set) var isTouched = false

    var word: String { Slot.word }
    var slot: (any SlotType)? { Slot(draft) }

    mutating func read(_ key: String, _ events: inout YAMLEventReader) throws(StoreError) -> Bool {
        guard let parameter = Slot.parameters.first(where: { $0.key == key }) else { return false }
        isTouched = true
        try parameter.read(&draft, &events)
        return true
    }
}

protocol SlotReading {
    var word: String { get }
    var isTouched: Bool { get }
    var slot: (any SlotType)? { get }
    /// Reads the value of a key; false for a key that the kind does not have.
    mutating func read(_ key: String, _ events: inout YAMLEventReader) throws(StoreError) -> Bool
}
