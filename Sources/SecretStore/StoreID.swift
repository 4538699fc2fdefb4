// SPDX-License-Identifier: Apache-2.0

package import Sealing

/// Identity of a store: a random UUID (RFC 9562 version 4) that every sealed value is bound to.
package struct StoreID: Sendable, Hashable {
    /// The 36 lower-case characters.
    package let text: String

    /// Reads the canonical form with lower-case digits.
    ///
    /// - Returns: nil for any other form.
    package init?(_ text: String) {
        let characters = Array(text.utf8)
        guard characters.count == 36 else { return nil }
        for (index, character) in characters.enumerated() {
            if [8, 13, 18, 23].contains(index) {
                guard character == UInt8(ascii: "-") else { return nil }
            } else {
                guard Base16.isDigit(character) else { return nil }
            }
        }
        self.text = text
    }

    package static func random() throws(SealingError) -> StoreID {
        var bytes = try RandomBytes.array(count: 16)
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        var text = Base16.text(bytes)
        for offset in [8, 13, 18, 23] {
            text.insert("-", at: text.index(text.startIndex, offsetBy: offset))
        }
        return StoreID(checked: text)
    }

    private init(checked text: String) {
        self.text = text
    }
}
