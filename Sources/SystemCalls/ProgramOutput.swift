// SPDX-License-Identifier: Apache-2.0

internal import CLinux
internal import Glibc
package import SystemPackage

/// Output of a program that was asked something and must not keep anybody waiting.
package struct ProgramOutput: Sendable, Equatable {
    /// Its exit status; nil where a signal ended it.
    package let status: Int32?
    /// Bytes of its standard output.
    package let bytes: [UInt8]

    /// Makes an output.
    package init(status: Int32?, bytes: [UInt8]) {
        self.status = status
        self.bytes = bytes
    }

    /// Runs a program that reads nothing and whose messages nobody sees.
    ///
    /// - Parameters:
    ///   - path: the program.
    ///   - arguments: its arguments, the name it goes by first.
    ///   - environment: its whole environment.
    ///   - seconds: after which it is killed.
    ///   - limit: the most bytes of output that it is read for; then it is killed.
    /// - Returns: what it said, or nil if it was killed here.
    /// - Throws: the error of starting it.
    package static func of(
        _ path: String,
        arguments: [String],
        environment: [String],
        seconds: Int64,
        limit: Int = 1 << 20
    ) throws(Errno) -> ProgramOutput? {
        let null = try OwnedDescriptor.open("/dev/null", O_RDWR)
        let pipe = try OwnedDescriptor.pipe()
        let child = try ChildProcess(
            path,
            arguments: arguments,
            environment: environment,
            descriptors: [(0, null.number), (1, pipe.write.number), (2, null.number)]
        )
        let output = pipe.ends { (read, _) in read }
        let deadline = Deadline(seconds: seconds)
        guard let bytes = try read(output, deadline, limit), let exit = try end(of: child, deadline) else {
            child.kill()
            // At once on an idle machine, later on a busy one; init takes over a process that the kernel waits for.
            _ = try end(of: child, Deadline(seconds: 10))
            return nil
        }
        guard case .status(let status) = exit else { return ProgramOutput(status: nil, bytes: bytes) }
        return ProgramOutput(status: status, bytes: bytes)
    }

    private static func read(
        _ output: borrowing OwnedDescriptor,
        _ deadline: Deadline,
        _ limit: Int
    ) throws(Errno) -> [UInt8]? {
        var collected: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while collected.count <= limit {
            var entry = pollfd(fd: output.number, events: Int16(POLLIN), revents: 0)
            let ready = try valueOrErrno { unsafe poll(&entry, 1, deadline.milliseconds) }
            guard ready > 0 else { return nil }
            var span = chunk.mutableSpan
            let count = try output.read(into: &span)
            if count == 0 { return collected }
            collected += chunk[..<count]
        }
        return nil
    }

    /// The end of a program that has closed its output: usually there already.
    private static func end(of child: borrowing ChildProcess, _ deadline: Deadline) throws(Errno) -> ChildProcess.Exit?
    {
        while true {
            if let exit = try child.exitIfEnded() { return exit }
            guard deadline.milliseconds > 0 else { return nil }
            usleep(500)
        }
    }

    private struct Deadline {
        private let end: Int64

        init(seconds: Int64) { end = Self.now() + seconds * 1000 }

        var milliseconds: Int32 { Int32(clamping: max(0, end - Self.now())) }

        private static func now() -> Int64 {
            var time = timespec()
            unsafe clock_gettime(CLOCK_MONOTONIC, &time)
            return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        }
    }
}
