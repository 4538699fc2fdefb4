// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Loop of the workers of a session: takes requests from the device until the connection or the session ends.
///
/// A request costs two sleeps and wake-ups where each worker waits in the kernel. So after a request one worker keeps
/// asking for a while, giving way to others between, before it waits there; where several readers come at once, so does
/// every worker that answers them. The others wait in the kernel, which wakes them at each request: left asleep, they
/// cost less and readers wait longer, since what wakes beside a reader keeps its processor from halting. An idle
/// session costs nothing.
final class ReceiveLoop: Sendable {
    /// Nanoseconds for which a worker keeps asking after a request.
    ///
    /// Longer has not been found to help.
    private static let askingTime: UInt64 = 50000
    /// Changes of the caller within the last eight requests of a worker that tell of several readers at once.
    private static let crowd = 3
    /// Milliseconds without a request after which the session is idle for the first time.
    private static let idleTime: Int32 = 1000

    private let connection: Connection
    private let idle: @Sendable () -> Void
    private let device: Int32
    private let stopRead: OwnedDescriptor
    private let stopWrite: OwnedDescriptor
    private let isStopped = Atomic<Bool>(false)
    private let someoneAsks = Atomic<Bool>(false)
    /// Its threads; one more is started whenever a request comes and no worker waits.
    let workers: Workers

    init(
        _ connection: Connection,
        device: Int32,
        workers: Workers,
        idle: @escaping @Sendable () -> Void,
        stopRead: consuming OwnedDescriptor,
        stopWrite: consuming OwnedDescriptor
    ) {
        self.connection = connection
        self.workers = workers
        self.idle = idle
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
        var lastCaller: UInt32 = 0
        var changes: UInt8 = 0
        // Told once, by the first worker: a wait with an end costs virtual machines a timer at each request.
        var hasIdled = worker.value != 0
        while !hasEnded {
            let count = unsafe fuse_session_receive_buf(session, &buffer)
            if count > 0 {
                let caller = unsafe Self.caller(in: buffer)
                // Nobody makes a release.
                if caller != 0 {
                    changes = changes << 1 | (caller == lastCaller ? 0 : 1)
                    lastCaller = caller
                }
                // Nobody waits for the answer of one that no process made, such as the first.
                workers.beginWork(growing: caller != 0, self)
                unsafe fuse_session_process_buf(session, &buffer)
                workers.endWork()
                if unsafe fuse_session_exited(session) != 0 { break }
                if !asks { asks = !someoneAsks.exchange(true, ordering: .acquiringAndReleasing) }
                lastRequest = now()
            } else if count == -EAGAIN {
                let mayAsk = asks || changes.nonzeroBitCount >= Self.crowd
                if mayAsk && now() &- lastRequest < Self.askingTime {
                    sched_yield()
                    continue
                }
                if asks { someoneAsks.store(false, ordering: .releasing) }
                asks = false
                if unsafe poll(&entries, 2, hasIdled ? -1 : Self.idleTime) == 0 {
                    hasIdled = true
                    idle()
                }
            } else if count != -EINTR {
                // 0: unmounted or aborted. Anything else cannot get better by asking again.
                break
            }
        }
        if asks { someoneAsks.store(false, ordering: .releasing) }
        stop()
    }

    /// The thread that made a request: `pid` of struct fuse_in_header (linux/fuse.h).
    private static func caller(in buffer: fuse_buf) -> UInt32 {
        // SAFETY: the kernel hands out whole requests, none shorter than the header.
        unsafe buffer.mem.loadUnaligned(fromByteOffset: 32, as: UInt32.self)
    }

    private func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
