// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecretStore
internal import SecureMemory

/// The secrets of a store as the document that a person edits.
///
/// Only in the editing process.
struct EditableDocument {
    /// Comment beside the secrets, which does not become part of the manifest.
    private static let head = [
        "# The secrets of this store in plain text. This file is in memory only: save it and leave the editor, and",
        "# the values are sealed. Comments are stored as they are: write no value into one.",
    ]
    private static let binaryNote =
        "# The next value is no text and stays sealed. A new one: credfs set NAME --value-file FILE"

    /// The secrets as they are stored.
    let base: ManifestReader.Reading
    private let keys: StoreKeys
    private let entries: [SecretName: SecretEntry]

    init(base: ManifestReader.Reading, keys: StoreKeys) {
        self.base = base
        self.keys = keys
        entries = Dictionary((base.secrets ?? []).map { ($0.name, $0) }) { first, _ in first }
    }

    /// Writes a document in plain text.
    ///
    /// - Parameter reading: what it says, sealed.
    /// - Returns: plaintext.
    /// - Throws: class `authentication` for a value that does not open.
    func plaintext(of reading: ManifestReader.Reading) throws(StoreError) -> [UInt8] {
        var reading = reading
        let first = reading.expires == nil ? "secrets" : "expires"
        reading.comments.entries[first] = Self.head + (reading.comments.entries[first] ?? [])
        var values: [SecretName: [UInt8]] = [:]
        var cipher = try keys.valueCipher()
        for secret in reading.secrets ?? [] {
            guard case .sealed(let value) = secret.value else { continue }
            if let plain = try Self.scalar(of: value, secret.name, &cipher) {
                values[secret.name] = plain
            } else {
                values[secret.name] = Array(value.text.utf8)
                reading.comments.secrets[secret.name, default: []].append(Self.binaryNote)
            }
        }
        return try ManifestWriter.editableText(reading) { (secret) throws(StoreError) in
            values[secret.name] ?? Array("\"\"".utf8)
        }
    }

    @inline(never)
    private static func scalar(
        of value: SealedValue,
        _ name: SecretName,
        _ cipher: inout ValueCipher
    ) throws(StoreError) -> [UInt8]? {
        try cipher.open(value, as: name).withBytes { EditableScalar.text(of: $0) }
    }

    /// Reads a document back and seals what is new in it; what did not change stays sealed as it was.
    ///
    /// - Parameter text: plaintext.
    /// - Returns: what it says, sealed.
    /// - Throws: what is wrong with it, with line and column.
    func seal(_ text: PlaintextText) throws(StoreError) -> ManifestReader.Reading {
        let now = Timestamp.now()
        var cipher = try keys.valueCipher()
        var reading = try text.read(as: .template) { (entry, content) throws(StoreError) in
            try enter(content, into: &entry, &cipher, now)
        }
        try requireEditableOnly(reading)
        try checkTemplates(&reading, now)
        try keepSealed(&reading, &cipher)
        removeNotes(&reading.comments)
        try requireCommentsWithoutValues(reading)
        return reading
    }

    private func enter(
        _ content: consuming SecureBuffer,
        into entry: inout SecretEntry,
        _ cipher: inout ValueCipher,
        _ now: Timestamp
    ) throws(StoreError) {
        if let old = entries[entry.name], case .sealed(let value) = old.value {
            let before = try cipher.open(value, as: entry.name)
            let isSame = before.withBytes { before in content.withBytes { ConstantTime.equal(before, $0) } }
            if isSame {
                // What stays must have the format that is asked for now.
                try entry.format?.check(content, of: entry.name)
                entry.value = old.value
                return
            }
        }
        try entry.enter(content, with: &cipher, now: now)
    }

    /// Checks what templates name, and notes when one was changed.
    private func checkTemplates(_ reading: inout ManifestReader.Reading, _ now: Timestamp) throws(StoreError) {
        var secrets = reading.secrets ?? []
        for index in secrets.indices where secrets[index].template != nil {
            if secrets[index].value != entries[secrets[index].name]?.value { secrets[index].rotated = now }
        }
        try SecretEntry.checkTemplates(secrets)
        reading.secrets = secrets
    }

    private func requireEditableOnly(_ reading: ManifestReader.Reading) throws(StoreError) {
        guard reading.version == nil, reading.store == nil, reading.generation == nil, reading.created == nil,
            reading.updated == nil, reading.slots == nil, reading.signature == nil
        else {
            throw StoreError(
                .invalid,
                "the document says more than 'expires' and 'secrets'",
                hint: "the rest of the manifest is not edited here: remove it"
            )
        }
    }

    /// Authenticates what stayed sealed; a secret that was renamed is sealed for its new name.
    private func keepSealed(_ reading: inout ManifestReader.Reading, _ cipher: inout ValueCipher) throws(StoreError) {
        var secrets = reading.secrets ?? []
        var scratch = try SecureBuffer.scratch()
        for index in secrets.indices where secrets[index].value != entries[secrets[index].name]?.value {
            let name = secrets[index].name
            guard case .sealed(let value) = secrets[index].value else { continue }
            if let owner = owner(of: secrets[index].value), owner != name {
                secrets[index].value = .sealed(try cipher.seal(cipher.open(value, as: owner), as: name))
            } else {
                try cipher.authenticate(value, as: name, scratch: &scratch)
            }
        }
        reading.secrets = secrets
    }

    private func owner(of value: SecretEntry.Value) -> SecretName? {
        entries.first { $0.value.value == value }?.key
    }

    private func removeNotes(_ comments: inout ManifestComments) {
        let notes = Set(Self.head + [Self.binaryNote])
        func kept(_ lines: [String]) -> [String]? {
            let kept = lines.filter { !notes.contains($0) }
            return kept.isEmpty ? nil : kept
        }
        comments.entries = comments.entries.compactMapValues(kept)
        comments.secrets = comments.secrets.compactMapValues(kept)
        comments.end = kept(comments.end) ?? []
    }

    /// A comment would be stored as it is, such as one that was made of an entry to switch it off.
    private func requireCommentsWithoutValues(_ reading: ManifestReader.Reading) throws(StoreError) {
        let known = Set(base.comments.lines)
        let new = reading.comments.lines.filter { !known.contains($0) }
        guard !new.isEmpty else { return }
        for secret in (base.secrets ?? []) + (reading.secrets ?? []) {
            guard case .sealed(let value) = secret.value,
                try Self.isPart(of: new, value, secret.name, keys)
            else { continue }
            throw StoreError(
                .invalid,
                "a comment holds the value of '\(secret.name.text)', or a line of it",
                hint: "comments are stored as they are: take the value out"
            )
        }
    }

    /// Shorter texts stand in comments by chance.
    private static let shortestPart = 8

    @inline(never)
    private static func isPart(
        of comments: [String],
        _ value: SealedValue,
        _ name: SecretName,
        _ keys: StoreKeys
    ) throws(StoreError) -> Bool {
        guard value.ciphertext.count >= shortestPart else { return false }
        var cipher = try keys.valueCipher()
        return try cipher.open(value, as: name).withBytes { content in
            var start = 0
            while start < content.count {
                var end = start
                while end < content.count, content[end] != UInt8(ascii: "\n") { end += 1 }
                let line = content.extracting(start..<end)
                if line.count >= shortestPart, comments.contains(where: { contains($0.utf8.span, line) }) {
                    return true
                }
                start = end + 1
            }
            return false
        }
    }

    private static func contains(_ text: Span<UInt8>, _ part: Span<UInt8>) -> Bool {
        guard part.count <= text.count else { return false }
        return (0...text.count - part.count).contains { start in
            part.indices.allSatisfy { text[start + $0] == part[$0] }
        }
    }
}

extension ManifestComments {
    /// All that a person can edit.
    fileprivate var lines: [String] {
        entries.values.flatMap { $0 } + secrets.values.flatMap { $0 } + end
    }
}
