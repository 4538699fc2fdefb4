// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Process that runs the command of `--on-alert`, which the serving process may not start (`ServingFilter`).
///
/// It holds no key. It takes one alert a line from a pipe, runs the command for each with the line on its standard input, and
/// ends with the pipe.
package final class AlertHelper: Sendable {
    /// The first argument that makes credfs this process.
    package static let mode = "run-alerts"

    private static let pipeNumber: Int32 = 3
    /// Seconds that a command may take.
    private static let patience = 10
    /// Longest line in bytes, which is written as a whole or not at all (PIPE_BUF, pipe(7)).
    private static let maximumLineByteCount = 4096

    /// The id of the process.
    package let id: Int32
    private let pipe: Mutex<OwnedDescriptor?>

    /// Starts the process.
    ///
    /// - Parameters:
    ///   - command: what `/bin/sh -c` takes.
    ///   - environment: the whole environment of the command.
    /// - Throws: class `failed`.
    package init(_ command: String, environment: [String]) throws(MountError) {
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDONLY)
            let pipe = try OwnedDescriptor.pipe()
            let process = try ChildProcess(
                OwnProgram.path,
                arguments: OwnProgram.arguments(Self.mode, [command]),
                environment: environment,
                descriptors: [(0, nothing.number), (1, 2), (2, 2), (Self.pipeNumber, pipe.read.number)]
            )
            id = process.id
            let end = pipe.ends { (_, write) in write }
            try end.makeNonBlocking()
            self.pipe = Mutex(end)
        } catch { throw MountError.system(.failed, "start the process for --on-alert", error) }
    }

    /// Hands an alert over, at once; one that a command which hangs leaves no room for is dropped.
    ///
    /// - Parameter line: JSON without a newline.
    /// - Returns: whether it was taken.
    @discardableResult
    package func tell(_ line: String) -> Bool {
        let bytes = Array("\(line)\n".utf8)
        guard bytes.count <= Self.maximumLineByteCount else { return false }
        return pipe.withLock { pipe in pipe?.writeOnce(bytes) == bytes.count }
    }

    /// Has the process end when it has run what it was told.
    package func end() {
        pipe.withLock { $0 = nil }
    }

    /// The whole life of the process.
    ///
    /// - Returns: the exit status.
    package static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 3 else { return 1 }
        // Out of reach of the keys of the terminal, which are for the job.
        setsid()
        try? OwnedDescriptor.changeWorkingDirectory(to: "/")
        let input = OwnedDescriptor(owning: pipeNumber)
        try? input.closeOnExec()
        var rest: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: maximumLineByteCount)
        while true {
            var span = chunk.mutableSpan
            guard let count = try? input.read(into: &span), count > 0 else { return 0 }
            rest += chunk[..<count]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                let hasEnded = try? run(arguments[2], with: Array(rest[...end]))
                rest.removeSubrange(...end)
                // A command that hangs would have the rest wait for minutes, after the end of the job, too.
                if hasEnded == false {
                    drain(input)
                    rest = []
                }
            }
        }
    }

    /// Drops what is in the pipe.
    private static func drain(_ input: borrowing OwnedDescriptor) {
        var chunk = [UInt8](repeating: 0, count: maximumLineByteCount)
        while SignalQueue.isReadable(input.number) {
            var span = chunk.mutableSpan
            guard let count = try? input.read(into: &span), count > 0 else { return }
        }
    }

    /// Runs the command with an alert.
    ///
    /// - Returns: false where it did not end in time, and was killed with what it had started.
    private static func run(_ command: String, with line: [UInt8]) throws(Errno) -> Bool {
        let pipe = try OwnedDescriptor.pipe()
        let child = try HookCommand(command, input: pipe.read.number)
        let input = pipe.ends { (_, write) in write }
        // It fits into the pipe, whether the command reads it or not.
        try? input.writeAll(line.span)
        _ = consume input
        for _ in 0..<(patience * 200) {
            if try child.hasEnded() { return true }
            usleep(5000)
        }
        child.kill()
        return false
    }
}
