// SPDX-License-Identifier: Apache-2.0

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
        for type in SlotTypes.all {
            if let objection = type.objection(to: slots.values.map(\.kind)) { throw events.invalid(objection) }
        }
        guard !slots.isEmpty else { throw events.invalid("a manifest has at least one slot") }
        return slots
    }

    private static func read(_ events: inout YAMLEventReader) throws(StoreError) -> KeySlot {
        var type: String?
        var sealed: SealedValue?
        // The type may stand behind the parameters.
        var readers = SlotTypes.all.map { $0.reader() }
        try events.mapping { (key, events) throws(StoreError) in
            switch key {
            case "type": type = try events.text()
            case "sealed":
                guard let key = SealedValue(try events.text()), key.ciphertext.count == keyByteCount else {
                    throw events.invalid("the sealed key of a slot is not well-formed")
                }
                sealed = key
            default:
                // Kinds may share the name of a key: where the kind is known, which is written first, its own counts.
                let own = readers.indices.filter { readers[$0].word == type }
                let others = readers.indices.filter { readers[$0].word != type }
                for index in own + others where try readers[index].read(key, &events) { return }
                throw events.unknownKey("\(keysBeforeTheLast.joined(separator: ", ")) and sealed")
            }
        }
        guard let sealed else { throw events.invalid("slot without 'sealed'") }
        let given = readers.filter { $0.isTouched || $0.word == type }
        guard given.count == 1, given[0].word == type, let kind = given[0].slot else {
            throw events.invalid(
                "slot of an unknown kind",
                hint: SlotTypes.all.map { $0.rule }.joined(separator: "; ")
            )
        }
        return KeySlot(kind: kind, sealedKey: sealed)
    }

    private static var keysBeforeTheLast: [String] {
        SlotTypes.all.reduce(["type"]) { $0 + $1.keys }
    }
}

extension SlotType {
    fileprivate static var keys: [String] { parameters.map(\.key) }

    /// Rule of the keys, for messages.
    fileprivate static var rule: String {
        "\(word) has \(parameters.isEmpty ? "" : parameters.map(\.rule).joined(separator: ", ") + " and ")sealed"
    }
}
