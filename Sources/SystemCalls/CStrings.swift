// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Vectors of zero-terminated strings, as exec(2) takes them.
enum CStrings {
    typealias Vector = [UnsafeMutablePointer<CChar>?]

    /// Lends a vector that is ended by a null pointer.
    static func lend<R>(_ texts: [[UInt8]], _ body: (Vector) -> R) -> R {
        let nothing: [UInt8] = []
        return unsafe lend(texts, followedBy: nothing.span, body)
    }

    /// Lends a vector that is ended by a null pointer.
    ///
    /// - Parameters:
    ///   - texts: strings without zero bytes.
    ///   - tail: more strings, each ended by a zero byte, which are not copied.
    ///   - body: uses the vector.
    /// - Returns: what the function returns.
    static func lend<R>(_ texts: [[UInt8]], followedBy tail: Span<UInt8>, _ body: (Vector) -> R) -> R {
        let copies = unsafe texts.map { unsafe copy($0) }
        defer { for index in unsafe copies.indices { unsafe free(copies[index]) } }
        return unsafe tail.withUnsafeBytes { tail in
            var vector = unsafe copies
            var start = 0
            for index in tail.indices where unsafe tail[index] == 0 {
                let address = unsafe tail.baseAddress?.advanced(by: start).assumingMemoryBound(to: CChar.self)
                // The callee only reads.
                unsafe vector.append(UnsafeMutablePointer(mutating: address))
                start = index + 1
            }
            return unsafe body(vector + [nil])
        }
    }

    /// Lends the vector of an environment.
    ///
    /// - Parameters:
    ///   - entries: `NAME=value`, or the name of a credential, whose entry in the environment block of this process is lent.
    ///   - tail: more entries, each ended by a zero byte, which are not copied.
    ///   - body: uses the vector.
    /// - Returns: what the function returns.
    static func lendEnvironment<R>(
        _ entries: [[UInt8]],
        followedBy tail: Span<UInt8>,
        _ body: (Vector) -> R
    ) -> R {
        let lent = unsafe entries.filter(EnvironmentVariables.isCredential).compactMap {
            unsafe EnvironmentVariables.entry(of: $0)
        }
        let others = entries.filter { !EnvironmentVariables.isCredential($0) }
        return unsafe lend(others, followedBy: tail) { vector in unsafe body(lent + vector) }
    }

    /// Lends the vector of an environment.
    static func lendEnvironment<R>(_ entries: [[UInt8]], _ body: (Vector) -> R) -> R {
        let nothing: [UInt8] = []
        return unsafe lendEnvironment(entries, followedBy: nothing.span, body)
    }

    private static func copy(_ text: [UInt8]) -> UnsafeMutablePointer<CChar>? {
        unsafe text.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return unsafe strdup("") }
            return unsafe strndup(start.assumingMemoryBound(to: CChar.self), bytes.count)
        }
    }
}
