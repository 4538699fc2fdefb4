// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Program that is run for its answer: in a process group of its own, until a deadline, and only while somebody waits for it.
package struct AskedProgram: ~Copyable {
    /// Time between two looks at whether a program that closed its output has ended.
    private static let pause = Duration.milliseconds(1)

    /// Errors of a program that never starts: it or its interpreter is missing, forbidden, or for another machine.
    private static let cannotBeMeant: [Errno] = [
        .noSuchFileOrDirectory, .permissionDenied, .execFormatError, .notDirectory, .tooManySymbolicLinkLevels,
    ]

    private let child: ChildProcess
    /// The end of the pipe that it writes into.
    private let output: OwnedDescriptor
    private let what: String
    private let asker: Int32
    private let deadline: Int64

    /// Starts a program, without standard input and with the standard error of this process.
    ///
    /// - Parameters:
    ///   - path: the program.
    ///   - arguments: its arguments, the name it goes by first.
    ///   - environment: its environment, as `NAME=value`.
    ///   - secrets: more of it, each entry ended by a zero byte, which is not copied.
    ///   - what: what it is, for messages.
    ///   - asker: a descriptor that can be read once nobody waits. -1 for none.
    ///   - deadline: time by which it has to end, in milliseconds of `BootClock`.
    /// - Returns: the program, which `kill` has to end where anything else fails.
    /// - Throws: `unusable` for what never starts, else `unavailable`.
    package static func start(
        _ path: String,
        arguments: [String],
        environment: [String],
        secrets: Span<UInt8>,
        called what: String,
        asker: Int32,
        until deadline: Int64
    ) throws(ProviderError) -> AskedProgram {
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDONLY)
            let pipe = try OwnedDescriptor.pipe()
            let child = try ChildProcess(
                path,
                arguments: arguments,
                environment: environment,
                secrets: secrets,
                descriptors: [(0, nothing.number), (1, pipe.write.number), (2, 2)],
                inOwnGroup: true
            )
            return AskedProgram(
                child: child,
                output: pipe.ends { (read, _) in read },
                what: what,
                asker: asker,
                deadline: deadline
            )
        } catch {
            throw ProviderError(
                cannotBeMeant.contains(error) ? .unusable : .unavailable,
                "\(what) cannot be started: \(error.message)",
                hint: cannotBeMeant.contains(error) ? "see its first line, its rights, and what file(1) says of it" : ""
            )
        }
    }

    /// Reads what it writes until it closes its output, in locked memory.
    ///
    /// - Parameter limit: bytes beyond which it is left unread.
    /// - Returns: what it wrote, with more bytes than the limit where it wrote more.
    /// - Throws: `unavailable`.
    package func read(limit: Int) throws(ProviderError) -> SecureBuffer {
        try SecureBuffer.collecting(limit: limit, orThrow: ProviderError.memory) {
            (bytes, start) throws(ProviderError) in
            let rest = deadline - BootClock.milliseconds()
            guard rest > 0,
                let ready = try? Readiness.wait(for: [output.number, asker], timeout: .milliseconds(rest)),
                ready != [false, false]
            else { throw late() }
            guard !ready[1] else { throw abandoned() }
            do throws(Errno) { return try output.read(into: &bytes, from: start) } catch {
                throw ProviderError(.unavailable, "\(what) cannot be read from: \(error.message)")
            }
        }
    }

    /// Waits for the end of one that has closed its output.
    ///
    /// - Returns: its status.
    /// - Throws: `unavailable`, also where a signal ended it.
    package func waitForEnd() throws(ProviderError) -> Int32 {
        while true {
            let exit: ChildProcess.Exit?
            do throws(Errno) { exit = try child.exitIfEnded() } catch {
                throw ProviderError(.unavailable, "\(what) cannot be waited for: \(error.message)")
            }
            switch exit {
            case .status(let status): return status
            case .signal(let signal): throw ProviderError(.unavailable, "signal \(signal) ended \(what)")
            case nil: break
            }
            guard BootClock.milliseconds() < deadline else { throw late() }
            if (try? Readiness.wait(for: [asker], timeout: Self.pause)) == [true] { throw abandoned() }
        }
    }

    /// Ends it with everything that it has started.
    package func kill() {
        try? Children.send(SIGKILL, to: -child.id)
        child.kill()
        _ = try? child.wait()
    }

    private func abandoned() -> ProviderError { ProviderError(.unavailable, "nobody waits for \(what) any more") }

    private func late() -> ProviderError { ProviderError(.unavailable, "\(what) did not end in time") }
}
