// SPDX-License-Identifier: Apache-2.0

package import SecureMemory

/// A rendered file that lacks a part.
package struct MissingFile: Error, Sendable, Equatable {
    /// Name of the file.
    package let name: SecretName
    /// The part.
    package let part: SecretName
    /// Expiry of the part where that has passed; nil for a part without a value.
    package let expired: Timestamp?

    /// Finding in words.
    package var message: String {
        let lack = expired.map { "expired at \($0.text)" } ?? "has no value"
        return "'\(name.text)' is rendered from '\(part.text)', which \(lack)"
    }
}

extension SecretSet {
    /// Binds the templates of the entries to their parts; a file that lacks one is taken out.
    ///
    /// - Parameters:
    ///   - limit: the largest file in bytes.
    ///   - now: the time that the expiry of parts is compared with.
    /// - Returns: what was taken out.
    /// - Throws: class `invalid` for a file that is too large or cannot be rendered.
    package mutating func render(limit: Int, now: Timestamp) throws(StoreError) -> [MissingFile] {
        let templates = entries.compactMap { entry in entry.template.map { (entry.name, $0) } }
        guard !templates.isEmpty else { return [] }
        let binder = TemplateBinder(self, now: now)
        var missing: [MissingFile] = []
        for (name, template) in templates {
            switch try binder.file(name, template, limit: limit) {
            case .success(let file): renderedFiles[name] = file
            case .failure(let lack): missing.append(lack)
            }
        }
        let names = Set(missing.map(\.name))
        if !names.isEmpty { self = removing(names) }
        return missing
    }

    /// Binds one template.
    ///
    /// - Parameters:
    ///   - entry: its entry.
    ///   - limit: the largest file in bytes.
    ///   - now: the time that the expiry of parts is compared with; nil lets expired ones be rendered.
    /// - Returns: the file, or what it lacks; nil for a secret with a value of its own.
    /// - Throws: class `invalid` for a file that is too large or cannot be rendered.
    package func file(
        of entry: SecretEntry,
        limit: Int = Manifest.maximumSecretByteCount,
        now: Timestamp? = nil
    ) throws(StoreError) -> Result<RenderedFile, MissingFile>? {
        guard let template = entry.template else { return nil }
        return try TemplateBinder(self, now: now).file(entry.name, template, limit: limit)
    }

    /// The parts of a rendered file, in its order.
    package func parts(of file: RenderedFile) -> [SecretEntry] {
        let wanted = Set(file.parts)
        let parts = available.filter { wanted.contains($0.name) }.map { ($0.name, $0) }
        let found = Dictionary(parts) { first, _ in first }
        return file.parts.compactMap { found[$0] }
    }

    /// Detects a secret with a policy, or with a part that has one.
    package func isRestricted(_ entry: SecretEntry) -> Bool {
        entry.policy != nil
            || renderedFiles[entry.name].map { parts(of: $0).contains { $0.policy != nil } } ?? false
    }

    /// Detects an entry that a file is made of: it has a value, or a template that was bound.
    package func hasContent(_ entry: SecretEntry) -> Bool {
        if case .sealed = entry.value { true } else { renderedFiles[entry.name] != nil }
    }

    /// Detects a file that a group may read: its mode says so, and so do those of all parts.
    package func admitsGroup(_ entry: SecretEntry) -> Bool {
        let parts = renderedFiles[entry.name].map { self.parts(of: $0) } ?? []
        return (parts + [entry]).allSatisfy { $0.mode == .ownerAndGroup }
    }

    /// Number of bytes of the content that an entry has.
    package func byteCount(of entry: SecretEntry) -> Int {
        if case .sealed(let value) = entry.value { return value.ciphertext.count }
        return renderedFiles[entry.name]?.byteCount ?? 0
    }

    /// Opens the value of an entry, or renders it, part by part, so that little memory has to be locked.
    ///
    /// Every value is authenticated as a whole before the first part is lent.
    ///
    /// - Parameters:
    ///   - entry: an entry whose template, if it has one, was bound by `render`.
    ///   - body: takes one part after the other.
    /// - Throws: class `authentication`, or the error of the function.
    package func readParts(of entry: SecretEntry, _ body: (Span<UInt8>) throws -> Void) throws {
        if case .sealed(let value) = entry.value {
            try keys(of: entry).readParts(of: value, as: entry.name, body)
        } else if let file = renderedFiles[entry.name] {
            try readParts(of: file, body)
        }
    }

    /// Renders a file part by part, after every value of it was authenticated.
    package func readParts(of file: RenderedFile, _ body: (Span<UInt8>) throws -> Void) throws {
        var scratch = try SecureBuffer.scratch()
        let parts = try openParts(of: file, scratch: &scratch)
        var content = try SecureBuffer.scratch()
        var offset = 0
        while offset < file.byteCount {
            content.setCount(min(content.capacity, file.byteCount - offset))
            try content.withMutableBytes { (bytes) throws(StoreError) in
                try file.read(at: offset, into: &bytes, scratch: &scratch, parts.read)
            }
            try content.withBytes { (bytes) throws in try body(bytes) }
            offset += content.count
        }
    }

    /// Renders a whole file, after every value of it was authenticated.
    package func content(of file: RenderedFile) throws(StoreError) -> SecureBuffer {
        var scratch = try SecureBuffer.scratch()
        let parts = try openParts(of: file, scratch: &scratch)
        return try SecureBuffer.filled(
            capacity: file.byteCount,
            orThrow: { StoreError.memory($0) },
            { (bytes) throws(StoreError) in
                try file.read(at: 0, into: &bytes, scratch: &scratch, parts.read)
                return file.byteCount
            }
        )
    }

    private func openParts(of file: RenderedFile, scratch: inout SecureBuffer) throws(StoreError) -> SealedParts {
        var parts = SealedParts()
        for entry in self.parts(of: file) {
            guard case .sealed(let value) = entry.value else { continue }
            let keys = keys(of: entry)
            var cipher = try keys.valueCipher()
            try cipher.authenticate(value, as: entry.name, scratch: &scratch)
            parts.append(value, keys)
        }
        return parts
    }

    private func removing(_ names: Set<SecretName>) -> SecretSet {
        restricted(to: entries.filter { !names.contains($0.name) })
    }
}

extension SecretSet {
    /// Opens the value of an entry, or renders it, as a whole.
    ///
    /// - Parameters:
    ///   - entry: an entry with a value, or a file that lacks nothing.
    ///   - file: the file, where it is rendered.
    ///   - content: filled with the content, and made larger if need be; what it held is lost.
    /// - Throws: class `authentication`.
    package func open(
        _ entry: SecretEntry,
        _ file: RenderedFile?,
        into content: inout SecureBuffer
    ) throws(StoreError) {
        if let file {
            content = try self.content(of: file)
        } else if case .sealed(let value) = entry.value {
            var cipher = try keys(of: entry).valueCipher()
            try cipher.open(value, as: entry.name, into: &content)
        } else {
            content.setCount(0)
        }
    }
}

/// Sealed values of the parts of a file, in its order, each with its keys.
struct SealedParts {
    private var values: [(value: SealedValue, keys: StoreKeys)] = []

    mutating func append(_ value: SealedValue, _ keys: StoreKeys) { values.append((value, keys)) }

    /// Decrypts bytes of a part; the whole value was authenticated before.
    func read(_ part: Int, _ offset: Int, _ content: inout MutableSpan<UInt8>) throws(StoreError) {
        try values[part].keys.decrypt(values[part].value, at: offset, into: &content)
    }
}
