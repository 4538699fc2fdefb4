// SPDX-License-Identifier: Apache-2.0

/// Comparing without showing.
extension Secret {
    /// Compares with what somebody presented, in a time that depends on the length of `candidate` alone.
    ///
    /// Neither the position of the first difference nor the length of the secret shows in the time. Should libcrypto
    /// fail, nothing matches.
    ///
    /// - Parameter candidate: what was presented.
    /// - Returns: whether it is the secret.
    public func matches(_ candidate: Span<UInt8>) -> Bool {
        withMatchCode { MatchCode.matches(candidate, $0) }
    }

    /// Compares with text that somebody presented; as for bytes.
    ///
    /// - Parameter candidate: what was presented; compared as UTF-8, byte for byte.
    /// - Returns: whether it is the secret.
    public func matches(_ candidate: String) -> Bool {
        matches(candidate.utf8.span)
    }

    /// Compares the contents of two secrets; as for bytes.
    ///
    /// - Parameter other: the secret to compare with.
    /// - Returns: whether they are the same.
    public func matches(_ other: borrowing Secret) -> Bool {
        other.withBytes { matches($0) }
    }
}
