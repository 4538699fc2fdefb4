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

    private static func copy(_ text: [UInt8]) -> UnsafeMutablePointer<CChar>? {
        unsafe text.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return unsafe strdup("") }
            return unsafe strndup(start.assumingMemoryBound(to: CChar.self), bytes.count)
        }
    }
}
