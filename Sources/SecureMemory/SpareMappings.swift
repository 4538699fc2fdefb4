// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
internal import SystemCalls

/// Pool of mappings of one page whose buffers have ended: wiped, still locked and out of dumps.
///
/// Whoever opens ten thousand values one after the other would spend most of its time on six system calls for each.
enum SpareMappings {
    /// Pages that a process keeps at most, 16 KiB.
    private static let limit = 4

    private struct Pool {
        var addresses = InlineArray<4, UInt>(repeating: 0)
        var count = 0
    }

    private static let pool = Mutex(Pool())

    /// Takes one out, where it is what is wanted.
    ///
    /// - Returns: the start of a page of zeros; nil where there is none to be had.
    static func take(byteCount: Int, backing: SecureBuffer.Backing) -> UnsafeMutableRawPointer? {
        guard byteCount == Memory.pageSize, backing == .locked else { return nil }
        while let page = unsafe pop() {
            let mark = unsafe page.load(as: UInt8.self)
            unsafe page.storeBytes(of: 0, as: UInt8.self)
            // A child of fork(2) finds a page of zeros, which is not locked there (mlock(2)).
            if mark == Self.mark { return unsafe page }
            unsafe Mapping.release(page, byteCount: byteCount)
        }
        return nil
    }

    /// Puts one in.
    ///
    /// - Parameter page: the start of a page that was wiped.
    /// - Returns: false where it is not kept, and has to be released.
    static func keep(_ page: UnsafeMutableRawPointer, byteCount: Int, backing: SecureBuffer.Backing) -> Bool {
        guard byteCount == Memory.pageSize, backing == .locked else { return false }
        let address = UInt(bitPattern: page)
        return pool.withLock { pool in
            guard pool.count < limit else { return false }
            unsafe page.storeBytes(of: mark, as: UInt8.self)
            pool.addresses[pool.count] = address
            pool.count += 1
            return true
        }
    }

    /// Releases all, for a process that may not lock more.
    ///
    /// - Returns: whether there was one.
    static func release() -> Bool {
        var wasThere = false
        while let page = unsafe pop() {
            unsafe Mapping.release(page, byteCount: Memory.pageSize)
            wasThere = true
        }
        return wasThere
    }

    /// The first byte of a page in the pool; whoever takes it out makes it zero again.
    private static let mark: UInt8 = 1

    private static func pop() -> UnsafeMutableRawPointer? {
        let address = pool.withLock { pool -> UInt in
            guard pool.count > 0 else { return 0 }
            pool.count -= 1
            return pool.addresses[pool.count]
        }
        return unsafe UnsafeMutableRawPointer(bitPattern: address)
    }
}
