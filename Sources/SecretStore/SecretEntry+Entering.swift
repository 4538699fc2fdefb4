// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecureMemory

/// Entry of a new value: newline policy, size, format, seal.
extension SecretEntry {
    /// Seals new content into this entry.
    ///
    /// - Parameters:
    ///   - content: the bytes as they came.
    ///   - cipher: the cipher of the store.
    ///   - limit: the largest number of bytes.
    ///   - now: the time that `rotated` gets.
    /// - Throws: class `invalid` for content that is too large or lacks its format; the entry is unchanged then.
    package mutating func enter(
        _ content: consuming SecureBuffer,
        with cipher: inout ValueCipher,
        limit: Int = Manifest.usualSecretByteCount,
        now: Timestamp
    ) throws(StoreError) {
        let content = try newline.applied(to: content)
        guard content.count <= limit else {
            throw StoreError(
                .invalid,
                "the value of '\(name.text)' is larger than \(limit) bytes",
                hint: "--max-size raises the limit, of run and mount as well, up to "
                    + "\(Manifest.maximumSecretByteCount) bytes"
            )
        }
        try format?.check(content, of: name)
        value = .sealed(try cipher.seal(content, as: name))
        rotated = now
    }
}

extension SecretEntry.Newline {
    /// Content as this policy wants it.
    func applied(to content: consuming SecureBuffer) throws(StoreError) -> SecureBuffer {
        let count = content.count
        let endsInNewline = content.withBytes { count > 0 && $0[count - 1] == UInt8(ascii: "\n") }
        switch (self, endsInNewline) {
        case (.strip, true):
            content.setCount(count - 1)
            return content
        case (.ensure, false):
            do throws(SecureMemoryError) {
                var longer = try content.copy(capacity: count + 1)
                longer.setCount(count + 1)
                longer.withMutableBytes { $0[count] = UInt8(ascii: "\n") }
                return longer
            } catch { throw .memory(error) }
        default:
            return content
        }
    }
}
