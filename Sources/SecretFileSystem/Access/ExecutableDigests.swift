// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Sealing
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// SHA-256 of executables, computed on a thread of its own and kept while device, inode, size and change time stay.
///
/// Bounded: a file of more than 512 MiB, or one that takes longer than five seconds, has none.
final class ExecutableDigests: Sendable {
    private struct Key: Hashable {
        let device: UInt64
        let inode: UInt64
        let size: Int
        let changed: Int64

        init(_ stamp: FileStamp) {
            (device, inode, size, changed) = (stamp.device, stamp.inode, stamp.size, stamp.changed)
        }
    }

    private struct State {
        var known: [Key: ExecutableDigest] = [:]
        var waiting: [Key: [@Sendable (ExecutableDigest) -> Void]] = [:]
        var queue: [Key] = []
        var files: [Key: Shared] = [:]
        var isEnding = false
    }

    // A dictionary holds no noncopyable value.
    private final class Shared: Sendable {
        let file: OwnedDescriptor

        init(_ file: consuming OwnedDescriptor) {
            self.file = file
        }
    }

    private static let maximumByteCount = 512 << 20
    private static let maximumTime = Duration.seconds(5)
    private static let maximumCount = 1024

    private let state = Mutex(State())
    private let bell: Doorbell
    private let thread = Mutex<OwnThread?>(nil)

    /// Starts the thread.
    ///
    /// - Throws: the error of pipe2(2) or pthread_create(3).
    init() throws(Errno) {
        bell = try Doorbell.make()
        let thread = try OwnThread { self.work() }
        self.thread.withLock { $0 = thread }
    }

    /// Finds or computes the digest of the executable of a thread whose request is unanswered.
    ///
    /// - Parameters:
    ///   - thread: the caller.
    ///   - executable: the file that the caller was found to run.
    ///   - done: called once on the thread of this object, unless the digest is known.
    /// - Returns: what is known at once; `unknown` where `done` is called.
    func digest(
        of thread: Int32,
        _ executable: ProcessIdentity.Executable,
        done: @escaping @Sendable (ExecutableDigest) -> Void
    ) -> ExecutableDigest {
        guard let file = try? OwnedDescriptor.open("/proc/\(thread)/exe", O_RDONLY), let stamp = try? file.stamp(),
            stamp.device == executable.device, stamp.inode == executable.inode, stamp.size <= Self.maximumByteCount
        else { return .unavailable }
        let shared = Shared(file)
        let key = Key(stamp)
        let known = state.withLock { state -> ExecutableDigest in
            if let known = state.known[key] { return known }
            guard !state.isEnding else { return .unavailable }
            if state.waiting[key] == nil {
                state.queue.append(key)
                state.files[key] = shared
            }
            state.waiting[key, default: []].append(done)
            return .unknown
        }
        if known == .unknown { bell.ring() }
        return known
    }

    /// Ends the thread; what waits is told `unavailable`.
    func end() {
        state.withLock { $0.isEnding = true }
        bell.ring()
        thread.withLock { $0.take() }?.join()
    }

    private func work() {
        while true {
            let (key, file, isEnding) = state.withLock { state -> (Key?, Shared?, Bool) in
                guard !state.queue.isEmpty else { return (nil, nil, state.isEnding) }
                let key = state.queue.removeFirst()
                return (key, state.files.removeValue(forKey: key), state.isEnding)
            }
            guard let key, let file else {
                if isEnding { return }
                bell.wait(milliseconds: nil)
                continue
            }
            let digest: ExecutableDigest =
                isEnding ? .unavailable : Self.compute(file.file, key).map { .value($0) } ?? .unavailable
            let waiting = state.withLock { state in
                if state.known.count >= Self.maximumCount { state.known.removeAll() }
                state.known[key] = digest
                return state.waiting.removeValue(forKey: key) ?? []
            }
            for done in waiting { done(digest) }
        }
    }

    private static func compute(_ file: borrowing OwnedDescriptor, _ key: Key) -> [UInt8]? {
        let digest = try? ExecutableDigest.compute(file, until: .now + maximumTime)
        // What was read is what the kernel runs only where nobody wrote meanwhile.
        guard let digest, let stamp = try? file.stamp(), Key(stamp) == key else { return nil }
        return digest
    }
}

extension ExecutableDigest {
    /// Computes the SHA-256 of the file at a path, for a policy that is to name it.
    ///
    /// - Throws: the error of open(2) or read(2), or `SealingError`.
    package static func ofFile(_ path: String) throws -> [UInt8] {
        try compute(try OwnedDescriptor.open(path, O_RDONLY), until: nil)
    }

    fileprivate static func compute(
        _ file: borrowing OwnedDescriptor,
        until end: ContinuousClock.Instant?
    ) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var digest = try SHA256Digest()
        while true {
            if let end, end <= .now { throw Errno.timedOut }
            var span = buffer.mutableSpan
            let count = try file.read(into: &span)
            guard count > 0 else { return try digest.finalize() }
            try digest.update(buffer.span.extracting(0..<count))
        }
    }
}
