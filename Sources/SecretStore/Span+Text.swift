// SPDX-License-Identifier: Apache-2.0

extension Span<UInt8> {
    /// Compares the first bytes with the UTF-8 of a text.
    package func starts(with text: String) -> Bool {
        guard count >= text.utf8.count else { return false }
        var index = 0
        for byte in text.utf8 {
            guard self[index] == byte else { return false }
            index += 1
        }
        return true
    }
}
