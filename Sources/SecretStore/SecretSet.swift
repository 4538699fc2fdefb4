// SPDX-License-Identifier: Apache-2.0

/// Secrets of one source or of several: their entries with sealed values, and the keys that open each.
///
/// Whatever a source is, its values are sealed when they come; files, variables and mounts see this one shape.
package struct SecretSet: Sendable {
    /// The secrets, each name once.
    package private(set) var entries: [SecretEntry]
    /// Keys of the sources.
    package private(set) var keys: [StoreKeys]
    /// Secrets that are parts of others at most.
    private var unshown: [SecretEntry] = []
    /// Rendered files, once `render` has bound their templates.
    package internal(set) var renderedFiles: [SecretName: RenderedFile] = [:]
    /// Index of the keys of each secret that the first ones do not open.
    private var sources: [SecretName: Int] = [:]

    /// Makes a set of entries that the same keys open.
    package init(_ entries: [SecretEntry], _ keys: StoreKeys) {
        self.entries = entries
        self.keys = [keys]
    }

    /// Index of the keys that open a value.
    package func source(of entry: SecretEntry) -> Int { sources[entry.name] ?? 0 }

    /// Keys that open a value.
    package func keys(of entry: SecretEntry) -> StoreKeys { keys[source(of: entry)] }

    /// Finds a secret by its name.
    package func entry(_ name: SecretName) -> SecretEntry? { entries.first { $0.name == name } }

    /// Every secret, shown or not: what templates are made of.
    var available: [SecretEntry] { entries + unshown }

    /// The set with some of its entries alone; the others stay as parts of rendered files.
    package func restricted(to wanted: [SecretEntry]) -> SecretSet {
        var set = self
        let names = Set(wanted.map(\.name))
        set.unshown += entries.filter { !names.contains($0.name) }
        set.entries = wanted
        return set
    }

    /// Lays the values of another source over these: of a name that both have, the other's value counts.
    ///
    /// What the entry below says of its secret goes on to hold: mode, policy, form. Its expiry was that of its value.
    package mutating func overlay(_ upper: SecretSet) {
        guard !upper.entries.isEmpty else { return }
        var positions: [SecretName: Int] = [:]
        for (position, entry) in entries.enumerated() { positions[entry.name] = position }
        for new in upper.entries {
            sources[new.name] = upper.source(of: new) + keys.count
            guard let position = positions[new.name] else {
                entries.append(new)
                continue
            }
            entries[position].value = new.value
            entries[position].rotated = new.rotated
            entries[position].expires = new.expires
        }
        keys += upper.keys
    }
}
