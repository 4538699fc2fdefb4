// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecureMemory

/// The text of a key file: one line of `CREDFS-KEY-1:` and 43 characters, which scanners for leaked keys can find.
package enum KeyFile {
    package static let prefix = "CREDFS-KEY-1:"
    /// The size of the line in bytes, its newline included.
    package static let byteCount = 57

    /// Writes the line of a key.
    package static func text(_ key: borrowing Key256) throws(StoreError) -> SecureBuffer {
        do throws(SecureMemoryError) {
            var line = try SecureBuffer(count: byteCount)
            var encoded = try SecureBuffer(count: Base64.encodedCount(Key256.byteCount, .urlSafe))
            key.withBytes { key in
                encoded.withMutableBytes { Base64.encode(key, .urlSafe, into: &$0) }
            }
            encoded.withBytes { encoded in
                line.withMutableBytes { line in
                    var index = 0
                    for character in prefix.utf8 {
                        line[index] = character
                        index += 1
                    }
                    for position in encoded.indices {
                        line[index] = encoded[position]
                        index += 1
                    }
                    line[index] = UInt8(ascii: "\n")
                }
            }
            return line
        } catch { throw StoreError.memory(error) }
    }

    /// Reads a key, with or without the newline.
    ///
    /// - Parameters:
    ///   - text: the content of a key file or variable.
    ///   - origin: where it came from, for the message.
    ///   - hint: what is said where it is empty.
    /// - Returns: the key.
    /// - Throws: class `authentication` for anything but the one form.
    package static func parse(
        _ text: Span<UInt8>,
        from origin: String,
        ifEmpty hint: String = "it is empty, as a job of 'credfs run' sees key files without --keep-store"
    ) throws(StoreError) -> Key256 {
        let malformed = StoreError(
            .authentication,
            "\(origin) does not hold a credfs key",
            hint: text.isEmpty ? hint : "a key is one line of \(prefix) and 43 characters"
        )
        var end = text.count
        if end == byteCount, text[end - 1] == UInt8(ascii: "\n") { end -= 1 }
        guard end == byteCount - 1, text.starts(with: prefix) else { throw malformed }
        let encoded = text.extracting(prefix.utf8.count..<end)
        return try Key256.filled(orThrow: { .sealing($0) }) { (key) throws(StoreError) in
            guard Base64.decode(encoded, .urlSafe, into: &key) else { throw malformed }
        }
    }
}
