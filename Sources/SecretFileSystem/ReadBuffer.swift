// SPDX-License-Identifier: Apache-2.0

package import FuseBridge
package import SecureMemory

/// The locked memory that plaintext passes through on its way to a reader, one buffer for each worker.
///
/// So the amount of locked memory depends on the number of workers, not on that of open files.
package final class ReadBuffers: Sendable {
    /// The most bytes that one request can ask for; what the kernel is told as `max_read`.
    package let byteCount: Int
    private let places: [Place]

    private final class Place: @unchecked Sendable {
        // SAFETY: written by the thread that starts a worker, before it does; read by the worker.
        var buffer: ReadBuffer?
    }

    /// Makes the buffers; that of the first worker has its memory at once.
    ///
    /// - Parameters:
    ///   - workerCount: how many workers there are at most.
    ///   - byteCount: the size of each.
    /// - Throws: `SecureMemoryError`.
    package init(workerCount: Int, byteCount: Int) throws(SecureMemoryError) {
        places = (0..<workerCount).map { _ in Place() }
        self.byteCount = byteCount
        places[0].buffer = try ReadBuffer(byteCount: byteCount)
    }

    /// Gets the memory of a worker, before it is started.
    ///
    /// - Returns: false where it cannot be had.
    package func prepare(_ worker: WorkerNumber) -> Bool {
        let buffer = try? ReadBuffer(byteCount: byteCount)
        places[worker.value].buffer = buffer
        return buffer != nil
    }

    /// The size of a buffer where so much memory may be locked: a quarter of a worker's share in whole pages, at most
    /// 1 MiB (the most that the kernel asks for, FUSE_MAX_MAX_PAGES), at least 4 KiB.
    package static func byteCount(lockableByteCount: Int, workerCount: Int) -> Int {
        let page = 4096
        return max(page, min(1 << 20, lockableByteCount / 4 / max(1, workerCount) / page * page))
    }

    /// Lends what a read left in the buffer of a worker, then wipes it.
    package func drain<R: ~Copyable>(_ worker: WorkerNumber, _ body: (Span<UInt8>) -> R) -> R {
        let buffer = buffer(of: worker)
        defer { buffer.wipe() }
        return buffer.memory.withBytes(body)
    }

    /// Detects that no byte of anything that was read is left; to be asked while no worker works.
    package var areWiped: Bool { places.allSatisfy { $0.buffer?.isWiped ?? true } }

    func buffer(of worker: WorkerNumber) -> ReadBuffer {
        guard let buffer = places[worker.value].buffer else { preconditionFailure("a worker has no buffer") }
        return buffer
    }
}

/// The buffer of one worker.
final class ReadBuffer: @unchecked Sendable {
    // SAFETY: used only by the thread of its worker.

    /// Bytes of a read, as many as count; zeros beyond.
    var memory: SecureBuffer
    /// Buffer that values pass through when they are authenticated; small, since it is wiped as a whole.
    var scratch: SecureBuffer

    init(byteCount: Int) throws(SecureMemoryError) {
        memory = try SecureBuffer(capacity: byteCount, backing: .lockedOnFault)
        scratch = try SecureBuffer(count: min(byteCount, 16 << 10))
    }

    func wipe() {
        memory.setCount(0)
    }

    var isWiped: Bool {
        guard memory.count == 0 else { return false }
        memory.setCount(memory.capacity)
        defer { memory.setCount(0) }
        return Self.isZero(memory) && Self.isZero(scratch)
    }

    private static func isZero(_ memory: borrowing SecureBuffer) -> Bool {
        memory.withBytes { bytes in
            for index in 0..<bytes.count where bytes[index] != 0 { return false }
            return true
        }
    }
}
