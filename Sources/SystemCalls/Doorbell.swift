// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
internal import Synchronization
package import SystemPackage

/// Wakes a thread that waits; wraps pipe2(2) and poll(2).
package final class Doorbell: Sendable {
    private let readEnd: OwnedDescriptor
    private let writeEnd: OwnedDescriptor
    private let isRung = Atomic<Bool>(false)

    /// Makes one that has not been rung.
    package static func make() throws(Errno) -> Doorbell {
        try OwnedDescriptor.pipe().ends { (read, write) in Doorbell(read, write) }
    }

    private init(_ readEnd: consuming OwnedDescriptor, _ writeEnd: consuming OwnedDescriptor) {
        self.readEnd = readEnd
        self.writeEnd = writeEnd
    }

    /// Ends a wait, or the next one; never blocks.
    package func ring() {
        guard !isRung.exchange(true, ordering: .acquiringAndReleasing) else { return }
        // There is never more than one byte in the pipe.
        try? writeEnd.writeAll("x")
    }

    /// Descriptor that can be read while somebody has rung, to be waited for together with others.
    package var number: Int32 { readEnd.number }

    /// Waits until somebody rings, at most until a time; nil is for ever.
    package func wait(until time: ContinuousClock.Instant?) {
        guard let time else { return wait(milliseconds: nil) }
        let parts = (time - .now).components
        wait(milliseconds: max(1, Int(parts.seconds) * 1000 + Int(parts.attoseconds / 1_000_000_000_000_000) + 1))
    }

    /// Waits until somebody rings, at most for a time; nil is for ever.
    package func wait(milliseconds: Int?) {
        var entry = pollfd(fd: readEnd.number, events: Int16(POLLIN), revents: 0)
        let timeout = milliseconds.map { Int32(clamping: $0) } ?? -1
        guard unsafe poll(&entry, 1, timeout) > 0 else { return }
        var byte: [UInt8] = [0]
        var span = byte.mutableSpan
        _ = try? readEnd.read(into: &span)
        // Whoever rings from here on writes again; what came with a ring before is seen by who waited here.
        isRung.store(false, ordering: .releasing)
    }
}

/// A thread of its own, none of the concurrency pool, that takes no signal.
package final class OwnThread: Sendable {
    // SAFETY: written by the initializer before anybody has the object, read by `join`.
    private nonisolated(unsafe) var thread = pthread_t()

    /// Starts it; wraps pthread_create(3).
    package init(_ body: @escaping @Sendable () -> Void) throws(Errno) {
        var all = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&all)
        // Inherited by the thread, so that no signal comes before it could block it.
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        let argument = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            argument
        )
        unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        guard result == 0 else {
            unsafe Unmanaged<Body>.fromOpaque(argument).release()
            throw Errno(rawValue: result)
        }
        unsafe self.thread = thread
    }

    /// Waits for its end; once.
    package func join() {
        unsafe pthread_join(thread, nil)
    }

    private final class Body {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }
}
