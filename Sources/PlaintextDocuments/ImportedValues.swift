// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecretStore
package import SecureMemory

/// Values that a parser finds in a document, in memory that is wiped, with their names.
package final class ImportedValues {
    package struct Item {
        package var name: ImportedName
        let line: Int
        /// Range of its value.
        package let range: Range<Int>
    }

    package private(set) var items: [Item] = []
    /// Every value, one behind the other.
    package let bytes = WipedBytes()
    private let duplicates: ImportRequest.Duplicates
    private let key: FernetKey?
    private var indices: [String: Int] = [:]
    private var start = 0

    package init(_ duplicates: ImportRequest.Duplicates = .refuse, key: FernetKey? = nil) {
        self.duplicates = duplicates
        self.key = key
    }

    /// Begins a value; what is appended to `bytes` from now on is part of it.
    func begin() { start = bytes.count }

    /// Ends the value that was begun.
    ///
    /// - Parameters:
    ///   - name: its name, with what is to be said of it.
    ///   - line: the line of the name.
    /// - Throws: class `invalid` if the name is there already, `authentication` for a token that does not open.
    func end(_ name: ImportedName, line: Int) throws(StoreError) {
        var name = name
        let token = start..<bytes.count
        if let key, let length = tokenLength(token) {
            start = bytes.count
            try key.open(token.lowerBound..<token.lowerBound + length, of: bytes, to: bytes, named: name.text)
            name.wasToken = true
            name.looksExpandable = false
        }
        let item = Item(name: name, line: line, range: start..<bytes.count)
        guard let index = indices[name.text] else {
            indices[name.text] = items.count
            items.append(item)
            return
        }
        switch duplicates {
        case .first: break
        case .last: items[index] = item
        case .refuse:
            throw StoreError(
                .invalid,
                "the name '\(name.text)' is there twice, at lines \(items[index].line) and \(line)",
                hint: "remove one; 'credfs import' of a dotenv file takes --duplicates first or last"
            )
        }
    }

    /// The length of a value that is a token, without the space behind it.
    private func tokenLength(_ range: Range<Int>) -> Int? {
        bytes.withBytes(range) { value in
            guard value.starts(with: Fernet.opening) else { return nil }
            var count = value.count
            while count > 0, value[count - 1] <= 0x20 { count -= 1 }
            return count
        }
    }
}

/// A Fernet key, for whoever opens many tokens.
package final class FernetKey {
    private let key: Key256

    /// Takes a key over.
    package init(_ key: consuming Key256) {
        self.key = key
    }

    /// Reads the text of a key.
    ///
    /// - Parameters:
    ///   - text: URL-safe Base64; one newline at the end is not part of it.
    ///   - origin: where it came from, for messages.
    /// - Throws: class `authentication`.
    package convenience init(_ text: borrowing SecureBuffer, from origin: String) throws(StoreError) {
        let key = try text.withBytes { (text) throws(StoreError) in
            var count = text.count
            while count > 0, text[count - 1] <= 0x20 { count -= 1 }
            let line = text.extracting(0..<count)
            do throws(SealingError) { return try Fernet.key(line) } catch {
                throw error == .authenticationFailure
                    ? StoreError(.authentication, "\(origin) holds no Fernet key: 32 bytes in URL-safe Base64")
                    : .sealing(error)
            }
        }
        self.init(key)
    }

    /// Lends the bytes.
    func withBytes<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try key.withBytes(body)
    }

    /// Opens a token with space around it.
    ///
    /// - Returns: what was in it.
    /// - Throws: `SealingError.authenticationFailure`.
    package func open(_ token: Span<UInt8>) throws(SealingError) -> SecureBuffer {
        var range = 0..<token.count
        while let first = range.first, token[first] <= 0x20 { range = first + 1..<range.upperBound }
        while let last = range.last, token[last] <= 0x20 { range = range.lowerBound..<last }
        let token = token.extracting(range)
        return try SecureBuffer.filled(
            capacity: Fernet.capacity(token.count),
            orThrow: { .memory($0) },
            { (plaintext) throws(SealingError) in try Fernet.open(token, key: key, into: &plaintext) }
        )
    }

    /// Opens a token.
    ///
    /// - Parameters:
    ///   - range: where it lies.
    ///   - source: where it lies.
    ///   - target: where to append what was in it; may be the same.
    ///   - name: the name of the value, for messages; nil for a document.
    /// - Throws: class `authentication`.
    func open(
        _ range: Range<Int>,
        of source: WipedBytes,
        to target: WipedBytes,
        named name: String? = nil
    ) throws(StoreError) {
        // Ciphertext is not secret, and appending may move it.
        let token = source.withBytes(range) { token in token.indices.map { token[$0] } }
        do throws(SealingError) {
            try target.append(capacity: Fernet.capacity(token.count)) { (plaintext) throws(SealingError) in
                try Fernet.open(token.span, key: key, into: &plaintext)
            }
        } catch {
            guard error == .authenticationFailure else { throw .sealing(error) }
            throw StoreError(
                .authentication,
                name.map { "the value of '\($0)' is no token of this Fernet key" }
                    ?? "the document is no token of this Fernet key"
            )
        }
    }
}

extension Span<UInt8> {
    /// Formats line and column of a byte, counted from 1.
    func place(_ position: Int) -> String {
        var line = 1
        var start = 0
        for index in 0..<Swift.min(position, count) where self[index] == UInt8(ascii: "\n") {
            line += 1
            start = index + 1
        }
        return "at line \(line), column \(position - start + 1)"
    }
}
