// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
internal import SystemCalls

/// Pool of mappings of one page whose buffers have ended: wiped, still locked and out of dumps.
///
/// Whoever opens ten thousand values one after the other would spend most of its time on six system calls for each; those for
/// secret memory interrupt every processor as well.
enum SpareMappings {
    /// Pages of a kind that a process keeps at most, 16 KiB.
    private static let limit = 4

    private struct Pool {
        var addresses = InlineArray<4, UInt>(repeating: 0)
        var count = 0
        /// The process that they are of: in a child of fork(2) they are not locked (mlock(2)), or not there.
        var process: Int32 = 0

        mutating func put(_ address: UInt) -> Bool {
            forgetOthers()
            guard count < limit else { return false }
            addresses[count] = address
            count += 1
            return true
        }

        mutating func take() -> UInt {
            forgetOthers()
            guard count > 0 else { return 0 }
            count -= 1
            return addresses[count]
        }

        private mutating func forgetOthers() {
            let own = ProcessAttributes.processID
            if process != own { (process, count) = (own, 0) }
        }
    }

    private static let locked = Mutex(Pool())
    private static let secret = Mutex(Pool())

    /// Takes one out, where it is what is wanted.
    ///
    /// - Parameters:
    ///   - byteCount: the size wanted.
    ///   - backing: the kind of memory.
    /// - Returns: the start of a page of zeros; nil where there is none to be had.
    static func take(byteCount: Int, backing: SecureBuffer.Backing) -> UnsafeMutableRawPointer? {
        guard byteCount == Memory.pageSize else { return nil }
        let address =
            switch backing {
            case .locked: locked.withLock { $0.take() }
            case .secret: secret.withLock { $0.take() }
            case .lockedOnFault: UInt(0)
            }
        return unsafe UnsafeMutableRawPointer(bitPattern: address)
    }

    /// Puts one in.
    ///
    /// - Parameters:
    ///   - page: the start of a page that was wiped.
    ///   - byteCount: the size of its mapping.
    ///   - backing: the kind of memory.
    /// - Returns: false where it is not kept, and has to be released.
    static func keep(_ page: UnsafeMutableRawPointer, byteCount: Int, backing: SecureBuffer.Backing) -> Bool {
        guard byteCount == Memory.pageSize else { return false }
        let address = UInt(bitPattern: page)
        return switch backing {
        case .locked: locked.withLock { $0.put(address) }
        case .secret: secret.withLock { $0.put(address) }
        case .lockedOnFault: false
        }
    }

    /// Releases all, for a process that may not lock more.
    ///
    /// - Returns: whether there was one.
    static func release() -> Bool {
        var wasThere = false
        for backing in [SecureBuffer.Backing.locked, .secret] {
            while let page = unsafe take(byteCount: Memory.pageSize, backing: backing) {
                unsafe Mapping.release(page, byteCount: Memory.pageSize)
                wasThere = true
            }
        }
        return wasThere
    }
}
