// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// The controlling terminal, asked without echo.
///
/// Echo comes back however the question ends.
package struct Terminal: ~Copyable {
    /// Answer of a terminal.
    package enum Event: Sendable, Equatable {
        /// Bytes can be read.
        case input
        /// A signal that would end or stop the process has arrived and waits to be acted on.
        case signal(Int32)
    }

    /// Longest line in bytes that the kernel keeps; what is typed beyond is dropped in silence.
    package static let longestLine = 4095

    private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP]

    private let device: OwnedDescriptor
    private let signalFile: OwnedDescriptor
    private let normal: termios
    private let blockedBefore: sigset_t

    /// Detects a controlling terminal of this process.
    package static var isThere: Bool { (try? OwnedDescriptor.open("/dev/tty", O_RDWR | O_NOCTTY).number) != nil }

    /// Opens `/dev/tty` and turns echo off.
    ///
    /// - Throws: the error of the call that failed; ENXIO where there is no terminal.
    package init() throws(Errno) {
        let device = try OwnedDescriptor.open("/dev/tty", O_RDWR | O_NOCTTY)
        var normal = termios()
        try checkErrno { unsafe tcgetattr(device.number, &normal) }
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in Self.signals { unsafe sigaddset(&set, signal) }
        let signalFile = OwnedDescriptor(
            owning: try valueOrErrno { unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC)) }
        )
        var before = sigset_t()
        try checkErrno { unsafe sigprocmask(SIG_BLOCK, &set, &before) }
        self.device = device
        self.signalFile = signalFile
        self.normal = normal
        blockedBefore = before
        silence()
    }

    deinit {
        var normal = normal
        var before = blockedBefore
        unsafe tcsetattr(device.number, TCSADRAIN, &normal)
        unsafe sigprocmask(SIG_SETMASK, &before, nil)
    }

    /// Shows a text.
    package func write(_ text: String) throws(Errno) {
        try device.writeAll(text)
    }

    /// Waits for input or a signal.
    package func wait() throws(Errno) -> Event {
        var entries = [
            pollfd(fd: signalFile.number, events: Int16(POLLIN), revents: 0),
            pollfd(fd: device.number, events: Int16(POLLIN), revents: 0),
        ]
        try checkErrno { unsafe poll(&entries, 2, -1) }
        guard entries[0].revents != 0 else { return .input }
        var info = signalfd_siginfo()
        try checkErrno { unsafe Glibc.read(signalFile.number, &info, MemoryLayout<signalfd_siginfo>.size) }
        return .signal(Int32(info.ssi_signo))
    }

    /// Reads once; after `wait` said that there is input.
    package func read(into bytes: inout MutableSpan<UInt8>, from start: Int) throws(Errno) -> Int {
        try device.read(into: &bytes, from: start)
    }

    /// Raises a signal with the terminal in its normal state, and goes on if that was only a stop.
    package func yield(to signal: Int32) {
        var normal = normal
        unsafe tcsetattr(device.number, TCSADRAIN, &normal)
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, signal)
        raise(signal)
        unsafe sigprocmask(SIG_UNBLOCK, &set, nil)
        unsafe sigprocmask(SIG_BLOCK, &set, nil)
        silence()
    }

    private func silence() {
        var silent = normal
        silent.c_lflag &= ~tcflag_t(ECHO)
        silent.c_lflag |= tcflag_t(ICANON | ECHONL)
        unsafe tcsetattr(device.number, TCSAFLUSH, &silent)
    }
}
