// SPDX-License-Identifier: Apache-2.0

/// A secret that many hold: for collections, closures and properties of copyable types.
///
/// Immutable, so that it can be used from any thread. The memory is wiped when the last reference ends. A class can be
/// printed and mirrored; this one shows `SharedSecret(redacted)` and has no children.
public final class SharedSecret: Sendable {
    /// The secret itself.
    public let secret: Secret

    /// Takes over a secret.
    ///
    /// - Parameter secret: the secret; whoever gives it has it no more.
    public init(_ secret: consuming Secret) {
        self.secret = secret
    }

    /// Lends the content; see ``Secret/withBytes(_:)``.
    ///
    /// - Parameter body: gets the bytes; they must not be copied to memory that nobody wipes.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws.
    public func withBytes<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try secret.withBytes(body)
    }

    /// Lends the content as a `String`; see ``Secret/withUTF8String(_:)``.
    ///
    /// - Parameter body: gets the text; it must not keep it.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws; ``CredentialsError/Code/invalidFormat`` where the bytes are not UTF-8.
    public func withUTF8String<R: ~Copyable>(_ body: (String) throws -> R) throws -> R {
        try secret.withUTF8String(body)
    }

    /// Compares with what somebody presented; see ``Secret/matches(_:)-(Span<UInt8>)``.
    ///
    /// - Parameter candidate: what was presented.
    /// - Returns: whether it is the secret.
    public func matches(_ candidate: Span<UInt8>) -> Bool {
        secret.matches(candidate)
    }

    /// Compares with text that somebody presented; see ``Secret/matches(_:)-(String)``.
    ///
    /// - Parameter candidate: what was presented.
    /// - Returns: whether it is the secret.
    public func matches(_ candidate: String) -> Bool {
        secret.matches(candidate)
    }
}

extension SharedSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Nothing of the secret.
    public var description: String { "SharedSecret(redacted)" }

    /// Nothing of the secret.
    public var debugDescription: String { description }

    /// A mirror without children.
    public var customMirror: Mirror { Mirror(self, children: [], displayStyle: .class) }
}
