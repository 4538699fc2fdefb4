// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Signals that arrive as data: blocked in this thread and those it starts, and read one by one.
package struct SignalQueue: ~Copyable {
    /// A signal as it arrived.
    package struct Arrival: Sendable, Equatable {
        /// Its number.
        package let signal: Int32
        /// Sent by the kernel itself, as for the keys of a terminal.
        package let isFromKernel: Bool

        /// Sent by this process itself, or by the kernel for what it did (SIGXFSZ of setrlimit(2)).
        package let isOwn: Bool

        /// SIGCHLD: something happened to a child.
        package var isOfChild: Bool { signal == SIGCHLD }
    }

    private let file: OwnedDescriptor
    private let before: sigset_t

    /// Blocks signals and begins to collect them.
    ///
    /// - Throws: the error of signalfd(2).
    package init(_ signals: [Int32]) throws(Errno) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        var previous = sigset_t()
        try checkErrno { unsafe sigprocmask(SIG_BLOCK, &set, &previous) }
        let number = try valueOrErrno { unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK)) }
        file = OwnedDescriptor(owning: number)
        before = previous
    }

    /// Signal mask from before, for a child to start with.
    package var maskBefore: SignalMask { SignalMask(set: before) }

    /// The next signal that has arrived, if one has.
    package func next() throws(Errno) -> Arrival? {
        var info = signalfd_siginfo()
        do throws(Errno) {
            try checkErrno { unsafe Glibc.read(file.number, &info, MemoryLayout<signalfd_siginfo>.size) }
        } catch {
            if error == .wouldBlock || error == .resourceTemporarilyUnavailable { return nil }
            throw error
        }
        // SI_KERNEL; the C library has it in an enumeration that Swift does not see.
        return Arrival(
            signal: Int32(info.ssi_signo),
            isFromKernel: info.ssi_code == 0x80,
            isOwn: info.ssi_code <= 0 && info.ssi_pid == UInt32(getpid())
        )
    }

    /// Polls a descriptor that can be read now, or was closed at its other end.
    package static func isReadable(_ number: Int32) -> Bool {
        (try? Readiness.wait(for: [number], timeout: .zero)) == [true]
    }

    /// Waits until a signal has arrived or a descriptor can be read or was closed at its other end.
    ///
    /// - Parameters:
    ///   - others: the descriptors; -1 is none.
    ///   - timeout: how long at most; nil waits for ever.
    /// - Returns: false where the time was up first.
    /// - Throws: the error of poll(2).
    @discardableResult
    package func wait(or others: [Int32] = [], timeout: Duration? = nil) throws(Errno) -> Bool {
        try Readiness.wait(for: [file.number] + others, timeout: timeout).contains(true)
    }
}

/// The signals that a process does not receive.
package struct SignalMask: Sendable {
    let set: sigset_t
}
