// SPDX-License-Identifier: Apache-2.0

/// Requirements of a file before any byte of it is read.
///
/// Whatever the policy, the file is a regular file that belongs to the effective user or root, lies inside the directory
/// where it is expected, and gives nothing to anyone else; all of that is checked on the descriptor that is read.
public struct FilePolicy: Sendable, Hashable {
    /// Access to the file beside its owner's.
    public struct Permissions: Sendable, Hashable {
        /// Bits that must not be set.
        let forbidden: UInt16

        /// Nobody: no group or other bits (0400 and 0600 are fine).
        public static let ownerOnly = Permissions(forbidden: 0o077)
        /// The file's group may read (0440, 0640), as in a Kubernetes volume with `fsGroup`.
        public static let groupReadable = Permissions(forbidden: 0o037)

        var widest: UInt16 { 0o666 & ~forbidden }
    }

    /// Symbolic links that are followed inside the expected directory.
    public struct SymbolicLinks: Sendable, Hashable {
        enum Kind: Hashable {
            case refused
            case kubernetes
        }

        let kind: Kind

        /// None.
        public static let refused = SymbolicLinks(kind: .refused)
        /// Exactly those of a Kubernetes volume: `NAME -> ..data/NAME` and `..data -> ..TIMESTAMP`, both directly in
        /// the expected directory.
        public static let kubernetes = SymbolicLinks(kind: .kubernetes)
    }

    /// Access to the file beside its owner's.
    public var permissions: Permissions
    /// Symbolic links that are followed inside the expected directory.
    public var symbolicLinks: SymbolicLinks
    /// The largest file that is read, in bytes.
    ///
    /// The default of 1 MiB is systemd's limit for one credential: locked
    /// memory is scarce.
    public var maximumByteCount: Int
    /// A file without content is a credential.
    ///
    /// Off by default: an empty token would match an empty header.
    public var allowsEmpty: Bool

    /// Makes a policy; everything has a strict default.
    ///
    /// - Parameters:
    ///   - permissions: who may have access to the file beside its owner.
    ///   - symbolicLinks: which symbolic links are followed inside the expected directory.
    ///   - maximumByteCount: the largest file that is read, in bytes; not negative, at most 1 GiB.
    ///   - allowsEmpty: whether a file without content is a credential.
    public init(
        permissions: Permissions = .ownerOnly,
        symbolicLinks: SymbolicLinks = .refused,
        maximumByteCount: Int = 1 << 20,
        allowsEmpty: Bool = false
    ) {
        self.permissions = permissions
        self.symbolicLinks = symbolicLinks
        self.maximumByteCount = maximumByteCount
        self.allowsEmpty = allowsEmpty
    }

    /// Owner only, no symbolic links, at most 1 MiB, not empty.
    public static let standard = FilePolicy()
    /// As `standard`, with the symbolic links of a Kubernetes volume.
    public static let kubernetes = FilePolicy(symbolicLinks: .kubernetes)

    /// The limit in force, whatever was set.
    var limit: Int { min(max(0, maximumByteCount), 1 << 30) }
}

/// Treatment of the end of line that most tools put behind a token.
public struct NewlinePolicy: Sendable, Hashable {
    enum Kind: Hashable {
        case stripOne
        case exact
    }

    let kind: Kind

    /// One `\n` or `\r\n` at the very end is not part of the secret: for tokens, passwords and other text.
    public static let stripOne = NewlinePolicy(kind: .stripOne)
    /// Every byte of the file is part of the secret: for keys and other bytes.
    public static let exact = NewlinePolicy(kind: .exact)
}
