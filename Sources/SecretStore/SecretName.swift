// SPDX-License-Identifier: Apache-2.0

/// The name of a secret: what a systemd credential may be called, without a leading dot.
///
/// 1 to 255 bytes of 0x20 to 0x7e without `/` and `:` (systemd src/basic/fd-util.c, fdname_is_valid, and
/// filename_is_valid). Names that begin with a dot are kept free for credfs itself.
package struct SecretName: Sendable, Hashable, Comparable {
    /// The largest number of bytes in a name.
    package static let maximumByteCount = 255

    /// The name as it stands in the manifest and in the mounted directory.
    package let text: String

    /// Checks a name as it stands in a manifest.
    ///
    /// - Returns: nil if it is not a name.
    package init?(_ text: String) {
        let bytes = text.utf8
        guard (1...Self.maximumByteCount).contains(bytes.count), bytes.first != UInt8(ascii: "."),
            bytes.allSatisfy({ (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") })
        else { return nil }
        self.text = text
    }

    /// Name for messages: what follows '=' is left out, since a name that looks like `NAME=VALUE` may hold a value.
    package var shown: String { Self.shown(text) }

    /// Text of a name for messages, whether or not a secret can have it.
    package static func shown(_ text: String) -> String {
        guard let end = text.firstIndex(of: "=") else { return text }
        return text[..<end] + "=..."
    }

    /// Orders by bytes, which is also the order of the canonical encoding.
    package static func < (left: SecretName, right: SecretName) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }
}

/// A name as a person gives it: NAME, or SERVICE/KEY for a secret that is stored as `SERVICE.KEY`.
package struct SecretReference: Sendable, Equatable {
    package let name: SecretName
    /// The service, if one was given.
    package let service: String?

    /// Checks an argument.
    ///
    /// - Returns: nil if it is neither a name nor exactly one `/` between two parts that make a name.
    package init?(_ argument: String) {
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
        switch parts.count {
        case 1:
            guard let name = SecretName(argument) else { return nil }
            self.name = name
            service = nil
        case 2:
            guard !parts[1].isEmpty, SecretName(String(parts[0])) != nil,
                let name = SecretName("\(parts[0]).\(parts[1])")
            else { return nil }
            self.name = name
            service = String(parts[0])
        default:
            return nil
        }
    }

    /// The name alone: sources say of no secret that it belongs to a service.
    package var withoutService: SecretReference { SecretReference(name) }

    private init(_ name: SecretName) {
        self.name = name
        service = nil
    }

    /// Suspicion of `NAME=VALUE`: nothing of it is shown or recorded unless there is such a secret.
    package var mayHoldValue: Bool { name.text.contains("=") }

    /// The rule in words, for messages.
    package static let rule =
        "a name has 1 to 255 printable ASCII characters without '/' and ':' and no leading '.'; SERVICE/KEY has one '/'"
}
