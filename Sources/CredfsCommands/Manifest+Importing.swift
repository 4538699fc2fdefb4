// SPDX-License-Identifier: Apache-2.0

internal import SecretStore

/// A value that was imported, sealed.
struct ImportedSecret: Sendable {
    let reference: SecretReference
    /// The text of the sealed value; of a value without bytes, no text.
    let value: String
    /// Description of a new entry, for people.
    var description: String?
}

/// Treatment of a secret that has another value already.
enum ImportConflict: Sendable {
    case refuse
    case replace
    case keep
}

/// Report of an import, by name.
struct ImportReport: Sendable {
    var added: [String] = []
    var replaced: [String] = []
    var kept: [String] = []
    var unchanged: [String] = []

    /// There is nothing to write.
    var changesNothing: Bool { added.isEmpty && replaced.isEmpty }

    /// Summary in one line.
    var summary: String {
        var parts: [String] = []
        if !added.isEmpty { parts.append("\(added.count) added") }
        if !replaced.isEmpty { parts.append("\(replaced.count) replaced") }
        if !kept.isEmpty { parts.append("\(kept.count) kept as they were") }
        if !unchanged.isEmpty { parts.append("\(unchanged.count) unchanged") }
        return parts.isEmpty ? "nothing to import" : parts.joined(separator: ", ")
    }
}

extension Manifest {
    /// Takes imported values over.
    ///
    /// A value passes the newline policy and the format of the entry that is there; one that is the same as before is not
    /// taken, so that the manifest does not change without need.
    ///
    /// - Parameters:
    ///   - imported: the values, each for another secret.
    ///   - conflict: what is done where there is another value.
    ///   - limit: the largest value in bytes.
    ///   - keys: the keys of the store.
    ///   - now: the time.
    /// - Returns: what was done.
    /// - Throws: class `invalid` for conflicts that are refused, by name, and for values that do not fit.
    mutating func take(
        _ imported: [ImportedSecret],
        _ conflict: ImportConflict,
        limit: Int,
        _ keys: StoreKeys,
        now: Timestamp
    ) throws -> ImportReport {
        var positions = Dictionary(secrets.enumerated().map { ($1.name, $0) }) { first, _ in first }
        var report = ImportReport()
        var refused: [String] = []
        var files: [String] = []
        let entering = try ImportEntering(keys, limit: limit, now: now)
        for secret in imported {
            let name = secret.reference.name
            guard let index = positions[name] else {
                var entry = SecretEntry(name: name)
                entry.service = secret.reference.service
                entry.description = secret.description
                positions[name] = secrets.count
                secrets.append(try entering.enter(secret.value, into: entry))
                report.added.append(name.text)
                continue
            }
            let old = secrets[index]
            guard secret.reference.service == nil || secret.reference.service == old.service else {
                throw CommandError(
                    .invalid,
                    "'\(name.text)' is already the name of another secret",
                    hint: "give it another name with --map"
                )
            }
            guard old.template == nil else {
                switch conflict {
                case .keep: report.kept.append(name.text)
                case .refuse, .replace: files.append(name.text)
                }
                continue
            }
            let new = try entering.enter(secret.value, into: old)
            if try entering.isSame(old, new) {
                report.unchanged.append(name.text)
            } else if old.value == .empty {
                secrets[index] = new
                report.added.append(name.text)
            } else {
                switch conflict {
                case .refuse: refused.append(name.text)
                case .keep: report.kept.append(name.text)
                case .replace:
                    secrets[index] = new
                    report.replaced.append(name.text)
                }
            }
        }
        guard files.isEmpty else {
            throw CommandError(
                .invalid,
                "no value is imported over a template: \(Names.abbreviated(files))",
                hint: "nothing was changed; --skip-existing keeps them, and credfs delete makes room for a value"
            )
        }
        guard refused.isEmpty else {
            throw CommandError(
                .invalid,
                "other values are there already: \(Names.abbreviated(refused))",
                hint: "nothing was changed; --overwrite replaces them, --skip-existing keeps them"
            )
        }
        return report
    }
}

/// Entering of imported values into entries.
private final class ImportEntering {
    private let limit: Int
    private let now: Timestamp
    private var cipher: ValueCipher
    private let comparison: ValueComparison

    init(_ keys: StoreKeys, limit: Int, now: Timestamp) throws(StoreError) {
        self.limit = limit
        self.now = now
        cipher = try keys.valueCipher()
        comparison = try ValueComparison(keys)
    }

    /// The entry with a new value.
    func enter(_ text: String, into entry: SecretEntry) throws(StoreError) -> SecretEntry {
        var entry = entry
        guard !text.isEmpty else {
            entry.value = .empty
            entry.rotated = now
            return entry
        }
        guard let value = SealedValue(text) else {
            throw StoreError(.failed, "the helper process gave no sealed value for '\(entry.name.text)'")
        }
        if entry.newline == .exact && entry.format == nil && value.ciphertext.count <= limit {
            entry.value = .sealed(value)
            entry.rotated = now
        } else {
            try entry.enter(cipher.open(value, as: entry.name), with: &cipher, limit: limit, now: now)
        }
        return entry
    }

    /// Compares the values of two entries of a secret.
    func isSame(_ one: SecretEntry, _ other: SecretEntry) throws(StoreError) -> Bool {
        guard case .sealed(let left) = one.value, case .sealed(let right) = other.value else {
            return one.value == other.value
        }
        return try comparison.areSame(left, right, as: one.name)
    }
}
