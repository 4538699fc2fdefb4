// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory
package import SystemCalls

/// A token, password or other secret value in locked memory, wiped at its end.
///
/// A secret has one owner: it cannot be copied, printed, interpolated, encoded, hashed or dumped. Its content is reached
/// through ``withBytes(_:)`` and ``withUTF8String(_:)`` alone; to check what somebody presented, use
/// ``matches(_:)-(Span<UInt8>)``, which reveals nothing.
///
/// ```swift
/// let token = try Secret(from: .variable("API_TOKEN", default: "/run/secrets/api_token"))
/// guard token.matches(presented) else { return .unauthorized }
/// ```
///
/// The memory is locked into RAM, left out of core dumps and zero in forked children. Every secret takes at least one
/// page of the limit that `ulimit -l` shows.
public struct Secret: ~Copyable, Sendable {
    /// The content, zeros, and at the very end the key and code that `matches` compares with: together, so that a
    /// secret costs one page.
    private let buffer: SecureBuffer
    private let contentCount: Int

    /// Loads a secret.
    ///
    /// - Parameters:
    ///   - source: where to look.
    ///   - newline: what is done with an end of line at the end of the file.
    ///   - policy: what the file must be before it is read.
    /// - Throws: a ``CredentialsError``; the file is not read unless it passed every check.
    public init(
        from source: CredentialSource,
        newline: NewlinePolicy = .stripOne,
        policy: FilePolicy = .standard
    ) throws(CredentialsError) {
        try self.init(from: source, newline: newline, policy: policy, in: CredentialSource.processEnvironment)
    }

    /// Loads a secret as a process with these variables would.
    package init(
        from source: CredentialSource,
        newline: NewlinePolicy = .stripOne,
        policy: FilePolicy = .standard,
        in environment: @Sendable (String) -> EnvironmentVariables.Value
    ) throws(CredentialsError) {
        self = try Self.load(source, newline, policy, environment).take()
    }

    /// Loads a secret from a file.
    ///
    /// - Parameters:
    ///   - path: the file; a symbolic link as its last component is refused.
    ///   - newline: what is done with an end of line at the end of the file.
    ///   - policy: what the file must be before it is read.
    /// - Throws: a ``CredentialsError``; the file is not read unless it passed every check.
    public init(
        contentsOfFile path: String,
        newline: NewlinePolicy = .stripOne,
        policy: FilePolicy = .standard
    ) throws(CredentialsError) {
        try self.init(from: .file(path), newline: newline, policy: policy)
    }

    /// Copies bytes that came another way; the caller wipes the original.
    ///
    /// - Parameter bytes: the content; may be empty.
    /// - Throws: ``CredentialsError/Code/memoryUnavailable``.
    public init(copying bytes: Span<UInt8>) throws(CredentialsError) {
        self = try Self.filled(capacity: bytes.count) { target in
            for index in 0..<bytes.count { target[index] = bytes[index] }
            return bytes.count
        }
    }

    /// Lends the content.
    ///
    /// - Parameter body: gets the bytes; they must not be copied to memory that nobody wipes.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws.
    public func withBytes<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try buffer.withBytes { (bytes) throws(E) in try body(bytes.extracting(0..<contentCount)) }
    }

    /// The number of bytes.
    public var byteCount: Int { contentCount }

    /// A secret with what it was loaded from.
    struct Loaded: ~Copyable {
        let secret: Secret
        let stamp: FileStamp

        consuming func take() -> Secret { secret }
    }

    static func load(
        _ source: CredentialSource,
        _ newline: NewlinePolicy,
        _ policy: FilePolicy,
        _ environment: CredentialSource.Environment
    ) throws(CredentialsError) -> Loaded {
        try load(source.candidates(environment), of: source, named: nil, newline, policy)
    }

    static func load(
        _ candidates: [CredentialSource.Candidate],
        of source: CredentialSource,
        named name: String?,
        _ newline: NewlinePolicy,
        _ policy: FilePolicy
    ) throws(CredentialsError) -> Loaded {
        for candidate in candidates {
            do throws(CredentialsError) {
                let content = try CheckedFile.load(candidate, policy)
                let stamp = content.stamp
                let secret = try Secret(content, newline)
                guard secret.contentCount > 0 || policy.allowsEmpty else {
                    throw CredentialsError(.invalidFormat, path: candidate.path, reason: "empty")
                }
                return Loaded(secret: secret, stamp: stamp)
            } catch  where error.code == .fileNotFound && !candidate.isDecisive {
                continue
            }
        }
        if let path = source.path { throw CredentialsError(.fileNotFound, path: path, name: name) }
        guard let name else { throw CredentialsError(.credentialNotFound, name: source.label) }
        throw CredentialsError(.credentialNotFound, name: name, reason: "looked for \(source.label)")
    }

    private init(_ content: consuming CheckedFile.Content, _ newline: NewlinePolicy) throws(CredentialsError) {
        let count = content.byteCount
        let kept =
            newline == .exact
            ? count : content.buffer.withBytes { bytes in Self.countWithoutNewline(bytes.extracting(0..<count)) }
        try self.init(content.buffer, contentCount: kept)
    }

    private init(_ buffer: consuming SecureBuffer, contentCount: Int) throws(CredentialsError) {
        var buffer = buffer
        try MatchCode.write(into: &buffer, contentCount: contentCount)
        self.buffer = buffer
        self.contentCount = contentCount
    }

    /// Makes a secret and lets a function write its content.
    static func filled(
        capacity: Int,
        _ fill: (inout MutableSpan<UInt8>) throws(CredentialsError) -> Int
    ) throws(CredentialsError) -> Secret {
        var buffer: SecureBuffer
        do throws(SecureMemoryError) {
            buffer = try SecureBuffer(count: capacity + CheckedFile.trailerByteCount)
        } catch {
            throw CredentialsError(error)
        }
        buffer.setCount(capacity)
        let count = try buffer.withMutableBytes(fill)
        buffer.setCount(buffer.capacity)
        return try Secret(buffer, contentCount: count)
    }

    private static func countWithoutNewline(_ bytes: Span<UInt8>) -> Int {
        let count = bytes.count
        guard count > 0, bytes[count - 1] == UInt8(ascii: "\n") else { return count }
        return count > 1 && bytes[count - 2] == UInt8(ascii: "\r") ? count - 2 : count - 1
    }

    /// Lends content and match code together.
    func withMatchCode<R: ~Copyable>(_ body: (Span<UInt8>) -> R) -> R {
        buffer.withBytes(body)
    }
}
