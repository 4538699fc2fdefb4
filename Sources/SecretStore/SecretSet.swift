// SPDX-License-Identifier: Apache-2.0

/// Secrets of one source or of several: their entries with sealed values, and the keys that open each.
///
/// Whatever a source is, its values are sealed when they come; files, variables and mounts see this one shape.
package struct SecretSet: Sendable {
    /// A secret, and the number of its keys.
    package struct Member: Sendable {
        /// Name, attributes and sealed value.
        package let entry: SecretEntry
        /// Index of its keys in `keys`.
        package let source: Int
    }

    /// The secrets, each name once.
    package private(set) var members: [Member]
    /// Keys of the sources.
    package private(set) var keys: [StoreKeys]

    /// Makes a set of entries that the same keys open.
    package init(_ entries: [SecretEntry], _ keys: StoreKeys) {
        members = entries.map { Member(entry: $0, source: 0) }
        self.keys = [keys]
    }

    /// The entries.
    package var entries: [SecretEntry] { members.map(\.entry) }

    /// Keys that open a value.
    package func keys(of member: Member) -> StoreKeys { keys[member.source] }

    /// Finds a secret by its name.
    package func member(_ name: SecretName) -> Member? { members.first { $0.entry.name == name } }

    /// Finds those among entries that are wanted.
    package func restricted(to wanted: [SecretEntry]) -> SecretSet {
        guard wanted.count < members.count else { return self }
        let names = Set(wanted.map(\.name))
        var set = self
        set.members = members.filter { names.contains($0.entry.name) }
        return set
    }

    /// Lays the values of another source over these: of a name that both have, the other's value counts.
    ///
    /// What the entry below says of its secret goes on to hold: mode, policy, form. Its expiry was that of its value.
    package mutating func overlay(_ upper: SecretSet) {
        guard !upper.members.isEmpty else { return }
        var positions: [SecretName: Int] = [:]
        for (position, member) in members.enumerated() { positions[member.entry.name] = position }
        for member in upper.members {
            let source = member.source + keys.count
            guard let position = positions[member.entry.name] else {
                members.append(Member(entry: member.entry, source: source))
                continue
            }
            var entry = members[position].entry
            entry.value = member.entry.value
            entry.rotated = member.entry.rotated
            entry.expires = member.entry.expires
            members[position] = Member(entry: entry, source: source)
        }
        keys += upper.keys
    }
}
