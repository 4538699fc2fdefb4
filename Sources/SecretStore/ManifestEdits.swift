// SPDX-License-Identifier: Apache-2.0

/// Edits of a manifest and their merge with concurrent changes.
extension Manifest {
    /// This manifest as a person left it.
    ///
    /// - Parameter reading: a document with what may be edited.
    /// - Returns: the manifest with that, and with everything else as it was.
    package func edited(by reading: ManifestReader.Reading) -> Manifest {
        var manifest = self
        manifest.expires = reading.expires
        manifest.secrets = reading.secrets ?? []
        manifest.comments.secrets = reading.comments.secrets
        manifest.comments.end = reading.comments.end
        for key in Self.editableKeys { manifest.comments.entries[key] = reading.comments.entries[key] }
        return manifest
    }

    /// Editable part, as a document.
    package var editable: ManifestReader.Reading {
        var reading = ManifestReader.Reading()
        reading.expires = expires
        reading.secrets = secrets
        reading.comments = comments
        reading.comments.entries = comments.entries.filter { Self.editableKeys.contains($0.key) }
        return reading
    }

    private static let editableKeys = ["expires", "secrets"]

    /// Two sets of changes in one manifest.
    package struct Merged: Sendable, Equatable {
        /// The manifest; where both changed the same, it has what the person wrote.
        package var manifest: Manifest
        /// Conflicts: names of secrets, or `expires`.
        package var conflicts: [String]

        package init(manifest: Manifest, conflicts: [String]) {
            self.manifest = manifest
            self.conflicts = conflicts
        }
    }

    /// This manifest with what a person changed.
    ///
    /// - Parameters:
    ///   - edited: what the person made of `base`.
    ///   - base: what the person saw.
    /// - Returns: both changes in one.
    package func merging(_ edited: Manifest, since base: Manifest) -> Merged {
        guard self != base else { return Merged(manifest: edited, conflicts: []) }
        var merged = Merged(manifest: self, conflicts: [])
        if edited.expires != base.expires {
            if expires != base.expires { merged.conflicts.append("expires") }
            merged.manifest.expires = edited.expires
        }
        if edited.comments.end != base.comments.end { merged.manifest.comments.end = edited.comments.end }
        for key in Self.editableKeys where edited.comments.entries[key] != base.comments.entries[key] {
            merged.manifest.comments.entries[key] = edited.comments.entries[key]
        }
        let (before, mine) = (base.parts, edited.parts)
        let now = parts
        // In the order of the file, what was removed at the end.
        let names = edited.secrets.map(\.name) + base.secrets.map(\.name).filter { mine[$0] == nil }
        let changed = names.filter { mine[$0] != before[$0] && mine[$0] != now[$0] }
        merged.conflicts += changed.filter { now[$0] != before[$0] }.map(\.text)
        merged.manifest.replace(changed, by: mine)
        return merged
    }

    /// A secret with the comments that belong to it.
    private struct Part: Equatable {
        let entry: SecretEntry
        let comments: [String]
    }

    private var parts: [SecretName: Part] {
        Dictionary(
            secrets.map { ($0.name, Part(entry: $0, comments: comments.secrets[$0.name] ?? [])) }
        ) { first, _ in first }
    }

    /// Puts other parts into the places of secrets, or at the end, or nothing where there is no part.
    private mutating func replace(_ names: [SecretName], by parts: [SecretName: Part]) {
        let changed = Set(names)
        let present = Set(secrets.map(\.name))
        secrets = secrets.compactMap { changed.contains($0.name) ? parts[$0.name]?.entry : $0 }
        secrets += names.filter { !present.contains($0) }.compactMap { parts[$0]?.entry }
        for name in names {
            comments.secrets[name] = parts[name].map(\.comments).flatMap { $0.isEmpty ? nil : $0 }
        }
    }
}
