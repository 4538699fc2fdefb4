// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
package import SecureMemory

/// Elements of a text of XML as the token service writes it: each that is wanted is there once, without attributes or entities.
package enum XMLText {
    /// The content of the first element of a name that has no element in it.
    ///
    /// - Returns: nil where there is none.
    package static func element(_ name: String, in text: borrowing SecureBuffer) -> String? {
        text.withBytes { bytes in
            range(name, bytes).flatMap { range in bytes.extracting(range).text }
        }
    }

    /// The content of an element, in locked memory.
    package static func secret(
        _ name: String,
        in text: borrowing SecureBuffer
    ) throws(ProviderError) -> SecureBuffer? {
        try text.withBytes { (bytes) throws(ProviderError) -> SecureBuffer? in
            guard let range = range(name, bytes) else { return nil }
            return try SecureBuffer.copying(bytes.extracting(range))
        }
    }

    private static func range(_ name: String, _ bytes: Span<UInt8>) -> Range<Int>? {
        let opening = Array("<\(name)>".utf8)
        let closing = Array("</\(name)>".utf8)
        guard bytes.count >= opening.count + closing.count else { return nil }
        var position = 0
        while position + opening.count + closing.count <= bytes.count {
            guard matches(opening, at: position, bytes) else {
                position += 1
                continue
            }
            let start = position + opening.count
            var end = start
            while end < bytes.count, bytes[end] != UInt8(ascii: "<") { end += 1 }
            guard matches(closing, at: end, bytes) else {
                position = end
                continue
            }
            return start..<end
        }
        return nil
    }

    private static func matches(_ text: [UInt8], at position: Int, _ bytes: Span<UInt8>) -> Bool {
        guard position + text.count <= bytes.count else { return false }
        for index in text.indices where bytes[position + index] != text[index] { return false }
        return true
    }
}
