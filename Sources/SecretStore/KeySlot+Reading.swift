// SPDX-License-Identifier: Apache-2.0

internal import Sealing

extension KeySlot {
    /// Reads the mapping of all slots.
    static func readAll(_ events: inout YAMLEventReader) throws(StoreError) -> [String: KeySlot] {
        var slots: [String: KeySlot] = [:]
        try events.mapping { (identifier, events) throws(StoreError) in
            guard isIdentifier(identifier) else {
                throw events.invalid("bad identifier of a slot", hint: "1 to 64 of a-z, 0-9 and '-'")
            }
            guard slots.count < maximumCount else { throw events.invalid("more than \(maximumCount) slots") }
            slots[identifier] = try read(&events)
        }
        let iterations = slots.values.reduce(0) { sum, slot in
            if case .password(let count, _) = slot.kind { sum + count } else { sum }
        }
        guard iterations <= maximumIterationsOfAll else {
            throw events.invalid("the password slots ask for more than \(maximumIterationsOfAll) iterations together")
        }
        guard !slots.isEmpty else { throw events.invalid("a manifest has at least one slot") }
        return slots
    }

    private static func read(_ events: inout YAMLEventReader) throws(StoreError) -> KeySlot {
        var type: String?
        var sealed: SealedValue?
        var derivation: String?
        var iterations: Int?
        var salt: [UInt8]?
        var recipient: AgeRecipient?
        var wrappedKey: [UInt8]?
        try events.mapping { (key, events) throws(StoreError) in
            switch key {
            case "type": type = try events.text()
            case "sealed":
                guard let key = SealedValue(try events.text()), key.ciphertext.count == keyByteCount else {
                    throw events.invalid("the sealed key of a slot is not well-formed")
                }
                sealed = key
            case "kdf": derivation = try events.text()
            case "iterations":
                let number = try events.number()
                guard let count = Int(exactly: number), iterationBounds.contains(count) else {
                    throw events.invalid(
                        "iterations must be \(iterationBounds.lowerBound) to \(iterationBounds.upperBound)"
                    )
                }
                iterations = count
            case "salt":
                guard let bytes = Hexadecimal.bytes(try events.text()), bytes.count == saltByteCount else {
                    throw events.invalid("a salt has \(saltByteCount * 2) lower-case hexadecimal digits")
                }
                salt = bytes
            case "recipient": recipient = try events.recipient()
            case "wrapped":
                guard let bytes = Base64.bytes(try events.text()), bytes.count <= maximumWrappedByteCount else {
                    throw events.invalid("the wrapped key of a slot is not Base64, or too long")
                }
                wrappedKey = bytes
            default:
                throw events.unknownKey("type, kdf, iterations, salt, recipient, wrapped and sealed")
            }
        }
        guard let sealed else { throw events.invalid("slot without 'sealed'") }
        let password = (derivation, iterations, salt)
        let age = (recipient, wrappedKey)
        switch (type, password, age) {
        case ("keyfile", (nil, nil, nil), (nil, nil)):
            return KeySlot(kind: .keyFile, sealedKey: sealed)
        case ("password", (passwordDerivation, let iterations?, let salt?), (nil, nil)):
            return KeySlot(kind: .password(iterations: iterations, salt: salt), sealedKey: sealed)
        case ("age", (nil, nil, nil), (let recipient?, let wrappedKey?)):
            return KeySlot(kind: .age(recipient: recipient, wrappedKey: wrappedKey), sealedKey: sealed)
        default:
            throw events.invalid(
                "slot of an unknown kind",
                hint: "keyfile has sealed; password has kdf \(passwordDerivation), iterations, salt and sealed; "
                    + "age has recipient, wrapped and sealed"
            )
        }
    }
}

extension YAMLEventReader {
    fileprivate mutating func recipient() throws(StoreError) -> AgeRecipient {
        let text = try text()
        do throws(AgeError) { return try AgeRecipient(text) } catch {
            throw invalid("a recipient of age is expected", hint: "it is age1 and 58 characters")
        }
    }
}
