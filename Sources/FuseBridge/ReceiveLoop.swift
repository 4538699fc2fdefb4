// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Loop of the workers of a session: takes requests from the device until the connection or the session ends.
///
/// A request costs two sleeps and wake-ups where each worker waits in the kernel. So after a request one worker keeps
/// asking for a while, giving way to others between, before it sleeps; the other workers sleep. An idle session costs
/// nothing.
final class ReceiveLoop: Sendable {
    /// Nanoseconds for which a worker keeps asking after a request.
    ///
    /// Longer has not been found to help.
    private static let askingTime: UInt64 = 50000

    private let connection: Connection
    private let device: Int32
    private let stopRead: OwnedDescriptor
    private let stopWrite: OwnedDescriptor
    private let isStopped = Atomic<Bool>(false)
    private let someoneAsks = Atomic<Bool>(false)

    init(
        _ connection: Connection,
        device: Int32,
        stopRead: consuming OwnedDescriptor,
        stopWrite: consuming OwnedDescriptor
    ) {
        self.connection = connection
        self.device = device
        self.stopRead = stopRead
        self.stopWrite = stopWrite
    }

    /// End of the loop: it was asked for or has come by itself.
    var hasEnded: Bool { isStopped.load(ordering: .acquiring) }

    /// Can be read after the end.
    var endNotice: Int32 { stopRead.number }

    /// Stops every worker after the request that it handles.
    func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        // Never read: the pipe stays readable for every worker that polls it. It has room for a byte.
        try? stopWrite.writeAll("x")
    }

    /// Works until the end.
    func run(as worker: WorkerNumber) {
        // Signals are for the threads of the program.
        var signals = sigset_t()
        unsafe sigfillset(&signals)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        connection.becomeWorker(worker)
        guard let session = unsafe connection.session else { return }
        // SAFETY: the session lives as long as `connection`, the buffer is this thread's.
        // libfuse allocates its memory at the first request and keeps it.
        var buffer = unsafe fuse_buf()
        defer { unsafe free(buffer.mem) }
        var entries = [
            pollfd(fd: device, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stopRead.number, events: Int16(POLLIN), revents: 0),
        ]
        var asks = false
        var lastRequest: UInt64 = 0
        while !hasEnded {
            let count = unsafe fuse_session_receive_buf(session, &buffer)
            if count > 0 {
                unsafe fuse_session_process_buf(session, &buffer)
                if unsafe fuse_session_exited(session) != 0 { break }
                if !asks { asks = !someoneAsks.exchange(true, ordering: .acquiringAndReleasing) }
                lastRequest = now()
            } else if count == -EAGAIN {
                if asks && now() &- lastRequest < Self.askingTime {
                    sched_yield()
                    continue
                }
                if asks { someoneAsks.store(false, ordering: .releasing) }
                asks = false
                unsafe poll(&entries, 2, -1)
            } else if count != -EINTR {
                // 0: unmounted or aborted. Anything else cannot get better by asking again.
                break
            }
        }
        if asks { someoneAsks.store(false, ordering: .releasing) }
        stop()
    }

    private func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
