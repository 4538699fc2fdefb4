// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import Synchronization
package import SystemCalls
package import SystemPackage

/// A served FUSE connection: threads of its own answer what the kernel asks, until it is stopped or unmounted.
///
/// The order at the end is that of libfuse: workers end, parked requests are answered, handles go, the session is
/// destroyed, which closes the device. Unmounting is its owner's business and comes before.
package final class Session: Sendable {
    /// Counts of the answers of a session.
    package struct Counts: Sendable, Equatable {
        /// Answers that nobody waited for any more.
        package let unwantedReplies: Int
        /// Answers that the kernel did not take.
        package let failedReplies: Int
        /// Number of open handles.
        package let handles: Int
        /// Requests that are parked.
        package let parkedReplies: Int
    }

    private let connection: Connection
    private let loop: ReceiveLoop
    private let lacksEpoch = Atomic<Bool>(false)

    /// Serves an open and mounted FUSE device.
    ///
    /// - Parameters:
    ///   - device: a descriptor of `/dev/fuse` that was mounted.
    ///   - fileSystem: what answers.
    ///   - maximumReadByteCount: the `max_read` that it was mounted with.
    ///   - workerCount: how many threads answer at most; the first is there at once.
    ///   - prepare: called before another one is started; it is not where this is false.
    ///   - requestTimeout: seconds after which the kernel ends the connection where a request is not answered (Linux 6.15;
    ///     it looks every 15 seconds); nil for ever, and with older kernels.
    ///   - succession: whether another server was there before, or may come.
    ///   - idle: called by a worker when no request came for a second, the first time.
    /// - Throws: the error of the system; EINVAL where libfuse does not take the device, EPROTO where it does not agree to
    ///   what the server before had agreed on.
    package init(
        device: consuming OwnedDescriptor,
        serving fileSystem: any FileSystem,
        maximumReadByteCount: Int,
        workerCount: Int = 2,
        prepare: @escaping @Sendable (WorkerNumber) -> Bool = { _ in true },
        requestTimeout: UInt16? = nil,
        succession: Succession = .none,
        idle: @escaping @Sendable () -> Void = {}
    ) throws(Errno) {
        precondition(workerCount > 0, "somebody must work")
        let made = Connection(
            fileSystem,
            maximumReadByteCount: maximumReadByteCount,
            requestTimeout: requestTimeout,
            succession
        )
        guard let connection = made else { throw .noMemory }
        let number = device.number
        let flags = fcntl(number, F_GETFL)
        guard flags >= 0, fcntl(number, F_SETFL, flags | O_NONBLOCK) == 0 else { throw Errno(rawValue: errno) }
        // From here on libfuse owns the descriptor and closes it with the session.
        guard connection.attach(number) else { throw .invalidArgument }
        _ = device.release()
        self.connection = connection
        loop = try OwnedDescriptor.pipe().ends { (readEnd, writeEnd) throws(Errno) in
            ReceiveLoop(
                connection,
                device: number,
                workers: Workers(limit: workerCount, prepare),
                idle: idle,
                stopRead: readEnd,
                stopWrite: writeEnd
            )
        }
        if case .next = succession { try takeOver() }
        try loop.workers.start(loop)
    }

    /// Goes on where another server was: before a worker takes a request, those that the other one had taken and not
    /// answered are sent once more (FUSE_NOTIFY_RESEND, protocol 7.40).
    private func takeOver() throws(Errno) {
        guard let session = unsafe connection.session, let negotiator = connection.negotiator,
            unsafe negotiator.replay(to: session)
        else { throw .protocolError }
        guard send(.resend) else { throw .notSupported }
    }

    deinit {
        stop()
    }

    /// Requests are being answered.
    package var isServing: Bool { !loop.hasEnded }

    /// A descriptor that can be read from the moment on when requests are answered no more, whoever ended that.
    package var endNotice: Int32 { loop.endNotice }

    /// Counts of the answers so far.
    package var counts: Counts {
        let replies = connection.counts
        return Counts(
            unwantedReplies: replies.unwanted,
            failedReplies: replies.failed,
            handles: connection.handles.count,
            parkedReplies: connection.parked.count
        )
    }

    /// The time that the workers have spent on a processor.
    package var processorTime: Duration { loop.workers.processorTime }

    /// Waits until no worker is left: somebody unmounted, or `stop` was called.
    package func wait() {
        precondition(connection.worker == nil, "a worker cannot wait for itself")
        loop.workers.join()
        connection.parked.abandonAll()
        connection.handles.removeAll()
    }

    /// Ends the workers and leaves to another server what is not answered, and the connection.
    package func leave() {
        connection.leave()
        stop()
    }

    /// Ends the workers, answers what is parked and waits for it.
    ///
    /// The connection ends when the session is let go of.
    package func stop() {
        loop.stop()
        wait()
    }

    /// Makes the kernel forget attributes and content of a file; wraps `fuse_lowlevel_notify_inval_inode`.
    ///
    /// Not from a worker, which may be needed for what the kernel does then.
    ///
    /// - Throws: the error of the kernel; that it does not know the file is none.
    package func invalidate(_ inode: InodeNumber) throws(Errno) {
        unsafe try notify { session in unsafe fuse_lowlevel_notify_inval_inode(session, inode.value, 0, 0) }
    }

    /// Makes the kernel forget a name in a directory; wraps `fuse_lowlevel_notify_inval_entry`.
    ///
    /// As above.
    package func invalidate(_ name: String, in directory: InodeNumber) throws(Errno) {
        unsafe try notify { session in
            unsafe fuse_lowlevel_notify_inval_entry(session, directory.value, name, name.utf8.count)
        }
    }

    /// Makes the kernel look every name up again, by one message (FUSE_NOTIFY_INC_EPOCH, protocol 7.44 and later).
    ///
    /// libfuse has no call for it. What the kernel has of files is not forgotten.
    ///
    /// - Returns: false where the kernel does not know the message: names have to be forgotten one by one.
    package func forgetEveryName() -> Bool {
        precondition(connection.worker == nil, "a worker must not wait for the kernel")
        guard !lacksEpoch.load(ordering: .relaxed) else { return false }
        if send(.incrementEpoch) { return true }
        lacksEpoch.store(true, ordering: .relaxed)
        return false
    }

    /// Messages without content that libfuse has no call for (enum fuse_notify_code, linux/fuse.h).
    private enum Notice: UInt32 {
        case resend = 7
        case incrementEpoch = 8
    }

    /// Sends one.
    ///
    /// - Returns: false where the kernel does not know it.
    private func send(_ notice: Notice) -> Bool {
        guard let session = unsafe connection.session else { return false }
        // struct fuse_out_header (linux/fuse.h): length, code in the place of an error, and no request.
        let message: [UInt32] = [16, notice.rawValue, 0, 0]
        return unsafe message.withUnsafeBytes { bytes in
            unsafe write(fuse_session_fd(session), bytes.baseAddress, bytes.count) == bytes.count
        }
    }

    private func notify(_ call: (OpaquePointer) -> Int32) throws(Errno) {
        precondition(connection.worker == nil, "a worker must not wait for the kernel")
        guard let session = unsafe connection.session else { return }
        let result = unsafe call(session)
        // ENOTCONN, and ENOSYS of libfuse before it has answered INIT: nothing was asked yet, so nothing is remembered.
        guard [0, -ENOENT, -ENOTCONN, -ENOSYS].contains(result) else { throw Errno(rawValue: -result) }
    }
}
