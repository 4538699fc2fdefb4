// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls

/// Locked buffer of fixed size for plaintext or keys: out of core dumps and forked children, wiped at its end.
///
/// The bytes end at a page that nothing may touch and begin after another. A value has one owner and cannot be copied,
/// printed or encoded; the bytes are reached only inside `withBytes` and `withMutableBytes`.
@safe
package struct SecureBuffer: ~Copyable, @unchecked Sendable {
    // SAFETY: uniquely owned (noncopyable), and mutated only through mutating methods, so it may change threads.

    /// Kind of memory.
    package enum Backing: Sendable, Equatable {
        /// Anonymous pages, mlock(2)ed. Can be handed to any system call.
        case locked
        /// Anonymous pages that are locked as they are touched (mlock2(2)): for what is large and seldom used as a whole.
        case lockedOnFault
        /// memfd_secret(2): also unmapped from the kernel's own view. The kernel refuses some uses of such pages
        /// (a FUSE reply fails with EFAULT). Where the kernel has none, locked pages serve.
        case secret
    }

    /// The number of bytes in use.
    package private(set) var count: Int
    /// The largest `count` so far.
    private var mostCounted: Int
    /// The number of bytes that `count` can be set to.
    package let capacity: Int
    /// Kind of memory that was had in fact.
    package let backing: Backing

    private let base: UnsafeMutableRawPointer
    private let pages: UnsafeMutableRawPointer
    private let pagesByteCount: Int

    /// Makes a buffer of zeros.
    ///
    /// - Parameters:
    ///   - count: its size in bytes; 0 is allowed.
    ///   - backing: the kind of memory wanted.
    /// - Throws: `SecureMemoryError` where memory cannot be had or cannot be locked: an unlocked buffer is never made.
    package init(count: Int, backing: Backing = .locked) throws(SecureMemoryError) {
        try self.init(capacity: count, backing: backing)
        (self.count, mostCounted) = (count, count)
    }

    /// Makes a buffer in which no byte counts yet; none of its pages is touched.
    ///
    /// - Parameters:
    ///   - capacity: its size in bytes.
    ///   - backing: the kind of memory wanted.
    /// - Throws: as above.
    package init(capacity: Int, backing: Backing = .locked) throws(SecureMemoryError) {
        precondition(capacity >= 0, "a buffer cannot have a negative size")
        // A noncopyable value cannot fail half-made, so everything that throws comes first.
        let mapping = unsafe try Mapping(byteCount: capacity, backing: backing)
        unsafe pages = mapping.pages
        pagesByteCount = unsafe mapping.byteCount
        self.backing = unsafe mapping.backing
        self.capacity = capacity
        (count, mostCounted) = (0, 0)
        // The end of the bytes touches the guard page, so that an overrun traps at once.
        unsafe base = pages.advanced(by: pagesByteCount - capacity)
    }

    deinit {
        // Whole pages, though what does not count is zero already; but none that was never touched.
        if backing == .lockedOnFault {
            unsafe Memory.wipe(base, byteCount: mostCounted)
        } else {
            unsafe Memory.wipe(pages, byteCount: pagesByteCount)
        }
        unsafe Mapping.end(pages, byteCount: pagesByteCount, backing: backing)
    }

    /// Makes a buffer and lets a function fill it.
    ///
    /// - Parameters:
    ///   - capacity: its size in bytes.
    ///   - backing: the kind of memory wanted.
    ///   - convert: turns a failure to get memory into the caller's error.
    ///   - fill: writes the bytes and returns how many of them count.
    /// - Returns: the buffer.
    /// - Throws: what `convert` makes of a `SecureMemoryError`, or the error of `fill`.
    package static func filled<E: Error>(
        capacity: Int,
        backing: Backing = .locked,
        orThrow convert: (SecureMemoryError) -> E,
        _ fill: (inout MutableSpan<UInt8>) throws(E) -> Int
    ) throws(E) -> SecureBuffer {
        var buffer: SecureBuffer
        do throws(SecureMemoryError) {
            buffer = try SecureBuffer(count: capacity, backing: backing)
        } catch {
            throw convert(error)
        }
        let count = try buffer.withMutableBytes(fill)
        buffer.setCount(count)
        return buffer
    }

    /// Lends the bytes for reading.
    package func withBytes<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        // SAFETY: base..<base+count lies in our pages, which live as long as this value is borrowed.
        let bytes = unsafe UnsafeBufferPointer(start: base.assumingMemoryBound(to: UInt8.self), count: count)
        return try body(unsafe bytes.span)
    }

    /// Lends the bytes for writing.
    package mutating func withMutableBytes<R: ~Copyable, E: Error>(
        _ body: (inout MutableSpan<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        // SAFETY: as above; `mutating` makes the access exclusive.
        let bytes = unsafe UnsafeMutableBufferPointer(start: base.assumingMemoryBound(to: UInt8.self), count: count)
        var span = unsafe bytes.mutableSpan
        return try body(&span)
    }

    /// Sets how many bytes count; those beyond are wiped, those that come back are zero.
    ///
    /// - Parameter newCount: 0 to `capacity`.
    package mutating func setCount(_ newCount: Int) {
        precondition((0...capacity).contains(newCount), "a buffer cannot outgrow its capacity")
        if newCount < count {
            unsafe Memory.wipe(base.advanced(by: newCount), byteCount: count - newCount)
        }
        count = newCount
        mostCounted = max(mostCounted, count)
    }

    /// Unmaps the pages that are kept for buffers to come, so that a look at a process tells that its keys are gone.
    package static func releaseSparePages() { _ = SpareMappings.release() }

    /// Overwrites the bytes with zeros.
    package mutating func wipe() {
        unsafe Memory.wipe(base, byteCount: count)
    }
}
