// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Bytes that grow, in memory that is wiped whenever it is given up.
///
/// Only in the helper process. Not a `SecureBuffer`: a document may have 64 MiB, far more than an ordinary user may lock.
@safe
package final class WipedBytes {
    private var memory: UnsafeMutableBufferPointer<UInt8>
    private(set) var count = 0

    package init(capacity: Int = 4096) {
        unsafe memory = Self.zeros(capacity)
    }

    deinit { unsafe Self.release(memory) }

    /// Lends bytes.
    package func withBytes<R, E: Error>(_ range: Range<Int>? = nil, _ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R
    {
        let range = range ?? 0..<count
        precondition(range.upperBound <= count, "the range is the caller's")
        return try body(unsafe memory.span.extracting(range))
    }

    package func append(_ byte: UInt8) {
        reserve(1)
        unsafe memory[count] = byte
        count += 1
    }

    package func append(_ bytes: Span<UInt8>) {
        reserve(bytes.count)
        for index in bytes.indices { unsafe memory[count + index] = bytes[index] }
        count += bytes.count
    }

    /// Appends up to `capacity` bytes that a function writes; it returns how many count.
    func append<E: Error>(
        capacity: Int,
        _ body: (inout MutableSpan<UInt8>) throws(E) -> Int
    ) throws(E) {
        reserve(capacity)
        let free = unsafe UnsafeMutableBufferPointer(rebasing: memory[count..<count + capacity])
        var span = unsafe free.mutableSpan
        count += try body(&span)
    }

    /// Appends what a descriptor holds.
    ///
    /// - Throws: class `invalid` if that is more than `limit` bytes.
    func append(_ descriptor: borrowing OwnedDescriptor, limit: Int) throws(StoreError) {
        let path = "the document"
        let status = try StoreError.wrapping("examine", path) { () throws(Errno) in try descriptor.status() }
        let isFile = status.kind == .regular
        guard !isFile || status.size <= limit else { throw Self.tooLarge(limit) }
        let start = count
        // One byte more than a file has shows one that grows.
        if isFile { reserve(status.size + 1) }
        while true {
            if unsafe count == memory.count { reserve(1) }
            let room = unsafe memory.count - count
            let before = count
            try append(capacity: room) { (free) throws(StoreError) in
                try StoreError.wrapping("read", path) { () throws(Errno) in try descriptor.read(into: &free) }
            }
            guard count - start <= limit else { throw Self.tooLarge(limit) }
            if count == before { break }
        }
        guard !isFile || count - start == status.size else {
            throw StoreError(.failed, "\(path) changes while it is read")
        }
    }

    private static func tooLarge(_ limit: Int) -> StoreError {
        StoreError(.invalid, "the document is larger than \(limit >> 20) MiB")
    }

    private func reserve(_ additional: Int) {
        guard unsafe count + additional > memory.count else { return }
        let larger = unsafe Self.zeros(max(memory.count * 2, count + additional))
        for index in 0..<count { unsafe larger[index] = memory[index] }
        unsafe Self.release(memory)
        unsafe memory = larger
    }

    private static func zeros(_ count: Int) -> UnsafeMutableBufferPointer<UInt8> {
        let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: count)
        unsafe memory.initialize(repeating: 0)
        return unsafe memory
    }

    private static func release(_ memory: UnsafeMutableBufferPointer<UInt8>) {
        if let base = memory.baseAddress { unsafe Memory.wipe(base, byteCount: memory.count) }
        unsafe memory.deallocate()
    }
}
