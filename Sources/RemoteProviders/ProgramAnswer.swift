// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretProviders
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Answer of a command of the shell, in locked memory.
enum ProgramAnswer {
    /// The largest answer in bytes.
    private static let limit = 1 << 16
    private static let pause = Duration.milliseconds(1)

    /// Runs a command to its end.
    ///
    /// - Parameters:
    ///   - command: the command.
    ///   - what: what it is, for messages.
    ///   - asker: a descriptor that can be read once nobody waits; then the command is killed. -1 for none.
    ///   - deadline: time by which it has to end.
    /// - Returns: what it wrote.
    /// - Throws: `denied` where it failed, `unavailable` where it did not end in time.
    static func of(
        _ command: String,
        _ what: String,
        asker: Int32,
        _ deadline: Int64
    ) throws(ProviderError) -> SecureBuffer {
        let program: Started
        do throws(Errno) { program = try start(command) } catch {
            throw ProviderError(.unavailable, "\(what) cannot be started: \(error.message)")
        }
        do throws(ProviderError) {
            let answer = try read(program.output, what, asker, deadline)
            guard answer.count <= limit else { throw ProviderError(.invalid, "\(what) wrote too much") }
            try waitForEnd(of: program.child, what, asker, deadline)
            return answer
        } catch {
            try? Children.send(SIGKILL, to: -program.child.id)
            program.child.kill()
            _ = try? program.child.wait()
            throw error
        }
    }

    private struct Started: ~Copyable {
        let child: ChildProcess
        let output: OwnedDescriptor
    }

    private static func start(_ command: String) throws(Errno) -> Started {
        let nothing = try OwnedDescriptor.open("/dev/null", O_RDONLY)
        let pipe = try OwnedDescriptor.pipe()
        let child = try ChildProcess(
            "/bin/sh",
            arguments: ["sh", "-c", command],
            environment: EnvironmentVariables.entries { $0 == "GLIBC_TUNABLES" },
            descriptors: [(0, nothing.number), (1, pipe.write.number), (2, 2)],
            inOwnGroup: true
        )
        return Started(child: child, output: pipe.ends { (read, _) in read })
    }

    private static func read(
        _ output: borrowing OwnedDescriptor,
        _ what: String,
        _ asker: Int32,
        _ deadline: Int64
    ) throws(ProviderError) -> SecureBuffer {
        try SecureBuffer.collecting(limit: limit, orThrow: ProviderError.memory) {
            (bytes, start) throws(ProviderError) in
            try wait(output.number, what, asker, deadline)
            do throws(Errno) { return try output.read(into: &bytes, from: start) } catch {
                throw ProviderError(.unavailable, "\(what) cannot be read from: \(error.message)")
            }
        }
    }

    private static func wait(
        _ output: Int32,
        _ what: String,
        _ asker: Int32,
        _ deadline: Int64
    ) throws(ProviderError) {
        let rest = deadline - BootClock.milliseconds()
        guard rest > 0,
            let ready = try? Readiness.wait(for: [output, asker], timeout: .milliseconds(rest)),
            ready != [false, false]
        else { throw ProviderError(.unavailable, "\(what) did not end in time") }
        guard !ready[1] else { throw ProviderError(.unavailable, "nobody waits for \(what) any more") }
    }

    private static func waitForEnd(
        of child: borrowing ChildProcess,
        _ what: String,
        _ asker: Int32,
        _ deadline: Int64
    ) throws(ProviderError) {
        while true {
            let exit: ChildProcess.Exit?
            do throws(Errno) { exit = try child.exitIfEnded() } catch {
                throw ProviderError(.unavailable, "\(what) cannot be waited for: \(error.message)")
            }
            switch exit {
            case .status(0): return
            case .status(let status):
                throw ProviderError(.denied, "\(what) ended with status \(status)", hint: "run it by hand to see why")
            case .signal(let signal): throw ProviderError(.unavailable, "signal \(signal) ended \(what)")
            case nil: break
            }
            guard BootClock.milliseconds() < deadline else {
                throw ProviderError(.unavailable, "\(what) did not end in time")
            }
            if (try? Readiness.wait(for: [asker], timeout: pause)) == [true] {
                throw ProviderError(.unavailable, "nobody waits for \(what) any more")
            }
        }
    }
}
