// SPDX-License-Identifier: Apache-2.0

/// What the name of a secret stands for in a service without paths: `ID[:VERSION][#MEMBER]`.
struct NamedSecretID: Sendable, Hashable {
    /// Name of the secret in the service.
    let base: String
    /// Version of the secret; nil for the last one.
    let version: String?
    /// Key in the object that the value is.
    let member: String?

    /// Reads a text.
    init(_ text: String) {
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let fields = parts[0].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        base = String(fields[0])
        version = fields.count == 2 ? String(fields[1]) : nil
        member = parts.count == 2 ? String(parts[1]) : nil
    }

    /// Name and version can be those of a secret: letters, digits, `-` and `_`.
    var isPlain: Bool {
        [base, version ?? "latest"].allSatisfy { text in
            !text.isEmpty
                && text.utf8.allSatisfy { byte in
                    switch byte {
                    case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"): true
                    default: false
                    }
                }
        }
    }
}
