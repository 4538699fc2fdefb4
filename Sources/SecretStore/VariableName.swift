// SPDX-License-Identifier: Apache-2.0

/// The name of an environment variable.
package struct VariableName: Sendable, Hashable, Comparable {
    /// The name.
    package let text: String

    /// Checks a name: letters, digits and `_`, no digit first (POSIX, Base Definitions 8.1, with lower case).
    ///
    /// - Returns: nil if it is none.
    package init?(_ text: String) {
        let bytes = text.utf8
        guard let first = bytes.first, !(0x30...0x39).contains(first), bytes.allSatisfy(Self.isAllowed) else {
            return nil
        }
        self.text = text
    }

    /// The variable that a value would have: upper case, every other byte `_`, a leading digit with `_` before it.
    package init(of name: SecretName) {
        var text = ""
        for byte in name.text.utf8 {
            let upper = (0x61...0x7a).contains(byte) ? byte - 0x20 : byte
            text.unicodeScalars.append(Self.isAllowed(upper) ? Unicode.Scalar(upper) : "_")
        }
        if let first = text.utf8.first, (0x30...0x39).contains(first) { text = "_" + text }
        self.text = text
    }

    /// The variable that has the path of the file with the value.
    package init(ofFileWith name: SecretName) {
        text = VariableName(of: name).text + "_FILE"
    }

    /// Variable that credfs sets or removes itself.
    package var isReserved: Bool {
        Self.reserved.contains(text) || Self.opensStores(Array(text.utf8))
    }

    /// Detects a variable that can hold what opens a store; no job inherits one.
    package static func opensStores(_ name: [UInt8]) -> Bool {
        openingPrefixes.contains { name.starts(with: $0.utf8) }
    }

    /// Orders by bytes.
    package static func < (left: VariableName, right: VariableName) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    package static let directory = "CREDENTIALS_DIRECTORY"
    package static let outerDirectory = "CREDFS_OUTER_CREDENTIALS_DIRECTORY"
    package static let authMode = "CREDFS_AUTH_MODE"
    package static let authReason = "CREDFS_AUTH_REASON"
    private static let reserved = [directory, outerDirectory, authMode, authReason]
    private static let openingPrefixes = [
        "CREDFS_KEY", "CREDFS_PASSWORD", "CREDFS_AGE_KEY", "CREDFS_FERNET_KEY_FILE", "SOPS_AGE_KEY",
    ]

    private static func isAllowed(_ byte: UInt8) -> Bool {
        byte == 0x5f || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }
}
