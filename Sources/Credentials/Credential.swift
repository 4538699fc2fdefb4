// SPDX-License-Identifier: Apache-2.0

/// A credential that a program needs: its names, where it is looked for and what it must be.
public struct Credential: Sendable, Hashable {
    /// The form of a credential's content.
    public struct Format: Sendable, Hashable {
        enum Kind: Hashable {
            case text
            case bytes
            case hexKey
            case json
        }

        let kind: Kind

        /// UTF-8 without NUL; one end of line at the end does not count.
        public static let text = Format(kind: .text)
        /// Any bytes, every one of which counts.
        public static let bytes = Format(kind: .bytes)
        /// 64 hexadecimal digits; one end of line at the end does not count.
        public static let hexKey = Format(kind: .hexKey)
        /// JSON, see ``Secret/jsonSecret(_:)``.
        public static let json = Format(kind: .json)

        var newline: NewlinePolicy { self == .text || self == .hexKey ? .stripOne : .exact }

        /// Checks a content.
        func check(_ secret: borrowing Secret) throws(CredentialsError) {
            switch kind {
            case .bytes: return
            case .text:
                guard secret.isText else { throw CredentialsError(.invalidFormat, reason: "not UTF-8 text") }
            case .hexKey: _ = try SecretKey(hexDigits: secret)
            case .json:
                _ = try secret.withBytes { (bytes) throws(CredentialsError) in try JSONReader.check(bytes) }
            }
        }
    }

    /// The name that the program uses.
    public let name: String
    /// Other names for the same credential.
    public let aliases: [String]
    /// Source where it is looked for.
    public let source: CredentialSource
    /// Format of its content.
    public let format: Format
    /// The program cannot do without it.
    public let isRequired: Bool
    /// Requirements of the file before it is read.
    public let policy: FilePolicy

    /// Declares a credential.
    ///
    /// - Parameters:
    ///   - name: the name that the program uses.
    ///   - aliases: other names for the same credential.
    ///   - source: where it is looked for; by default in the usual places of the name, then in those of each alias, see
    ///     ``CredentialSource/standard(_:)``.
    ///   - format: what its content must be.
    ///   - isRequired: whether the program cannot do without it.
    ///   - policy: what the file must be before it is read.
    public init(
        _ name: String,
        aliases: [String] = [],
        from source: CredentialSource? = nil,
        format: Format = .text,
        isRequired: Bool = true,
        policy: FilePolicy = .standard
    ) {
        self.name = name
        self.aliases = aliases
        self.source = source ?? .firstExisting(([name] + aliases).map { .standard($0) })
        self.format = format
        self.isRequired = isRequired
        self.policy = policy
    }
}
