// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SystemPackage

/// Reading and writing bytes.
extension OwnedDescriptor {
    /// Reads once into `bytes` from the index `start` on; wraps read(2).
    ///
    /// - Returns: the number of bytes read, 0 at the end of the file.
    package func read(into bytes: inout MutableSpan<UInt8>, from start: Int = 0) throws(Errno) -> Int {
        try SystemCalls.read(number, into: &bytes, from: start)
    }

    /// Writes every byte, however many calls that takes; wraps write(2).
    package func writeAll(_ bytes: Span<UInt8>) throws(Errno) {
        try SystemCalls.writeAll(number, bytes)
    }

    /// Writes once; wraps write(2).
    ///
    /// - Returns: the number of bytes written; 0 where a non-blocking descriptor has no room, or nobody reads.
    package func writeOnce(_ bytes: [UInt8]) -> Int {
        unsafe bytes.withUnsafeBytes { max(0, unsafe Glibc.write(number, $0.baseAddress, $0.count)) }
    }

    /// Makes reads and writes fail with EAGAIN where they would wait; wraps fcntl(F_SETFL).
    package func makeNonBlocking() throws(Errno) {
        let flags = try valueOrErrno { fcntl(number, F_GETFL) }
        try checkErrno { fcntl(number, F_SETFL, flags | O_NONBLOCK) }
    }

    /// Reads until a buffer is full or the file ends, however many calls that takes.
    ///
    /// - Returns: the number of bytes read.
    package func readFully(into bytes: inout MutableSpan<UInt8>) throws(Errno) -> Int {
        var filled = 0
        while filled < bytes.count {
            let count = try read(into: &bytes, from: filled)
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// Reads until there are so many bytes or the file ends; for what holds nothing secret.
    package func readFully(upTo limit: Int) throws(Errno) -> [UInt8] {
        // Most files are far below their limit.
        var bytes = [UInt8](repeating: 0, count: min(limit, Self.firstByteCount))
        var filled = 0
        while true {
            var span = bytes.mutableSpan
            let count = try read(into: &span, from: filled)
            filled += count
            if count == 0 || filled == limit { break }
            if filled == bytes.count { bytes += repeatElement(0, count: min(limit, 2 * filled) - filled) }
        }
        bytes.removeLast(bytes.count - filled)
        return bytes
    }

    private static let firstByteCount = 1 << 14

    /// Reads to the end, as text with U+FFFD where it is not UTF-8; for what holds nothing secret.
    ///
    /// - Parameter limit: where reading stops.
    /// - Returns: the text.
    /// - Throws: the error of read(2).
    package func readText(limit: Int) throws(Errno) -> String {
        String(decoding: try readFully(upTo: limit), as: UTF8.self)
    }

    /// Writes a text as UTF-8.
    package func writeAll(_ text: String) throws(Errno) {
        try writeAll(text.utf8.span)
    }
}

/// Reads once from a descriptor that somebody else owns (standard input, a terminal).
///
/// - Returns: the number of bytes read, 0 at the end of the file.
package func read(_ number: Int32, into bytes: inout MutableSpan<UInt8>, from start: Int = 0) throws(Errno) -> Int {
    while true {
        do throws(Errno) {
            return unsafe try bytes.withUnsafeMutableBufferPointer { (buffer) throws(Errno) in
                precondition((0...buffer.count).contains(start), "a read starts inside its buffer")
                return try valueOrErrno {
                    unsafe Glibc.read(number, buffer.baseAddress?.advanced(by: start), buffer.count - start)
                }
            }
        } catch {
            // A parent may have left the descriptor non-blocking.
            guard error == .wouldBlock || error == .resourceTemporarilyUnavailable else { throw error }
            try waitUntilReady(number, events: Int16(POLLIN))
        }
    }
}

/// Writes every byte to a descriptor that somebody else owns (standard output).
package func writeAll(_ number: Int32, _ bytes: Span<UInt8>) throws(Errno) {
    unsafe try bytes.withUnsafeBufferPointer { (buffer) throws(Errno) in
        var written = 0
        while written < buffer.count {
            do throws(Errno) {
                var count = buffer.count - written
                #if CREDFS_FAULT_HOOK
                    count = FaultPlan.current?.writableByteCount(of: count) ?? count
                #endif
                written += try valueOrErrno {
                    unsafe write(number, buffer.baseAddress?.advanced(by: written), count)
                }
            } catch {
                guard error == .wouldBlock || error == .resourceTemporarilyUnavailable else { throw error }
                try waitUntilReady(number, events: Int16(POLLOUT))
            }
        }
    }
}

private func waitUntilReady(_ number: Int32, events: Int16) throws(Errno) {
    var entry = pollfd(fd: number, events: events, revents: 0)
    try checkErrno { unsafe poll(&entry, 1, -1) }
}
