// SPDX-License-Identifier: Apache-2.0

/// Growing of buffers, for input of unknown size such as standard input.
extension SecureBuffer {
    /// A copy of the bytes in a buffer of another capacity.
    ///
    /// - Parameters:
    ///   - capacity: the size of the new buffer; bytes beyond it are left out.
    ///   - backing: the kind of memory wanted.
    /// - Returns: the copy.
    /// - Throws: `SecureMemoryError`.
    package func copy(capacity: Int, backing: Backing = .locked) throws(SecureMemoryError) -> SecureBuffer {
        var copy = try SecureBuffer(count: capacity, backing: backing)
        let count = min(count, capacity)
        withBytes { source in
            copy.withMutableBytes { target in
                for index in 0..<count { target[index] = source[index] }
            }
        }
        copy.setCount(count)
        return copy
    }

    /// Reads until the end of the input or until `limit` bytes have come.
    ///
    /// - Parameters:
    ///   - limit: the largest number of bytes wanted. One byte more is asked for, so a result with a `count` above
    ///     `limit` says that there was more.
    ///   - convert: turns a failure to get memory into the caller's error.
    ///   - read: reads some bytes into a span from an offset on and returns their number, 0 at the end.
    /// - Returns: the bytes.
    /// - Throws: what `convert` makes of a `SecureMemoryError`, or the error of `read`.
    package static func collecting<E: Error>(
        limit: Int,
        orThrow convert: (SecureMemoryError) -> E,
        _ read: (inout MutableSpan<UInt8>, Int) throws(E) -> Int
    ) throws(E) -> SecureBuffer {
        func secure(_ body: () throws(SecureMemoryError) -> SecureBuffer) throws(E) -> SecureBuffer {
            do throws(SecureMemoryError) { return try body() } catch { throw convert(error) }
        }
        var buffer = try secure { () throws(SecureMemoryError) in try SecureBuffer(count: min(limit + 1, 4096)) }
        var filled = 0
        while filled <= limit {
            if filled == buffer.capacity {
                let capacity = min(limit + 1, filled * 2)
                let old = buffer
                buffer = try secure { () throws(SecureMemoryError) in try old.copy(capacity: capacity) }
                buffer.setCount(capacity)
            }
            let count = try buffer.withMutableBytes { (bytes) throws(E) -> Int in
                try read(&bytes, filled)
            }
            if count == 0 { break }
            filled += count
        }
        buffer.setCount(filled)
        return buffer
    }
}
