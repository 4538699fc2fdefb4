// SPDX-License-Identifier: Apache-2.0

extension AuditEntry {
    /// The names of its secrets, be it one or a list; of a rendered file its own and those of its parts.
    package var names: [String] { [secret].compactMap(\.self) + secrets }

    /// Searches the secrets of the entry for a name.
    package func concerns(_ name: String) -> Bool { secret == name || secrets.contains(name) }

    /// The entry with names of secrets, or as many entries as the names need.
    package func naming(_ names: [String]) -> [AuditEntry] {
        guard names.count > 1 else {
            var entry = self
            entry.secret = names.first ?? secret
            return [entry]
        }
        return listing(names)
    }

    /// The entry of an open of a rendered file with the names of its parts, or as many entries as these need.
    package func naming(parts: [String]) -> [AuditEntry] { parts.isEmpty ? [self] : listing(parts) }

    private func listing(_ names: [String]) -> [AuditEntry] {
        var entries: [AuditEntry] = []
        var rest = names[...]
        while !rest.isEmpty {
            var room = AuditLine.maximumListByteCount
            var entry = self
            entry.secrets = Array(
                rest.prefix { name in
                    room -= JSONText.largestByteCount(of: name)
                    return room >= 0
                }
            )
            // A name that fits nowhere is cut, as every text is.
            if entry.secrets.isEmpty { entry.secrets = Array(rest.prefix(1)) }
            rest = rest.dropFirst(max(1, entry.secrets.count))
            entries.append(entry)
        }
        return entries
    }
}
