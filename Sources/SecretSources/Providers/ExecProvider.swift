// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecretProviders
package import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Program that is called with the name of a secret as its only argument and writes the value to standard output.
///
/// Status 11 says that there is no such secret, any other but 0 that the program failed. Used in the process of `ProviderHelper`.
package final class ExecProvider: SecretProvider {
    /// Status of a program that knows no such secret: that of credfs.
    private static let notFound: Int32 = 11
    /// Time between two looks at whether a program that closed its output has ended.
    private static let pause = Duration.milliseconds(1)

    package let batchLimit = 1
    private let path: String
    private let limit: Int
    private let keepsNewline: Bool
    private let asker: Int32

    /// Makes a provider.
    ///
    /// - Parameters:
    ///   - path: the program, absolute.
    ///   - limit: the largest value in bytes.
    ///   - keepsNewline: whether a newline at the end is part of the value.
    ///   - asker: a descriptor that can be read once whoever asks has gone; then a program that runs is killed. -1 for none.
    package init(_ path: String, limit: Int, keepsNewline: Bool, asker: Int32 = -1) {
        self.asker = asker
        self.path = path
        self.limit = limit
        self.keepsNewline = keepsNewline
    }

    package func list(until deadline: Int64) throws(ProviderError) -> [String]? { nil }

    package func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        for name in names {
            do throws(ProviderError) { answer(name, .success(try value(of: name, deadline))) } catch {
                answer(name, .failure(error))
            }
        }
    }

    private func value(of name: String, _ deadline: Int64) throws(ProviderError) -> SecureBuffer {
        let program: Started
        do throws(Errno) { program = try start(name) } catch {
            throw ProviderError(.unavailable, "\(path) cannot be started: \(error.message)")
        }
        do throws(ProviderError) {
            var value = try read(program.output, deadline)
            try waitForEnd(of: program.child, deadline)
            guard value.count <= limit else {
                throw ProviderError(.invalid, "the value is larger than \(limit) bytes")
            }
            if !keepsNewline { dropNewline(&value) }
            guard value.count > 0 else { throw ProviderError(.notFound, "\(path) wrote nothing") }
            return value
        } catch {
            // With everything that it has started.
            try? Children.send(SIGKILL, to: -program.child.id)
            program.child.kill()
            _ = try? program.child.wait()
            throw error
        }
    }

    /// A program that runs, and the end of the pipe that it writes into.
    private struct Started: ~Copyable {
        let child: ChildProcess
        let output: OwnedDescriptor
    }

    private func start(_ name: String) throws(Errno) -> Started {
        let nothing = try OwnedDescriptor.open("/dev/null", O_RDONLY)
        let pipe = try OwnedDescriptor.pipe()
        let child = try ChildProcess(
            path,
            arguments: [path, name],
            environment: EnvironmentVariables.entries { _ in false },
            descriptors: [(0, nothing.number), (1, pipe.write.number), (2, 2)],
            inOwnGroup: true
        )
        return Started(child: child, output: pipe.ends { (read, _) in read })
    }

    private func read(_ output: borrowing OwnedDescriptor, _ deadline: Int64) throws(ProviderError) -> SecureBuffer {
        try SecureBuffer.collecting(
            limit: limit,
            orThrow: { ProviderError(.unavailable, "cannot get \($0.byteCount) bytes of locked memory") },
            { (bytes, start) throws(ProviderError) in
                let rest = deadline - BootClock.milliseconds()
                guard rest > 0,
                    let ready = try? Readiness.wait(for: [output.number, asker], timeout: .milliseconds(rest)),
                    ready != [false, false]
                else { throw late() }
                if ready[1] { throw abandoned() }
                do throws(Errno) { return try output.read(into: &bytes, from: start) } catch {
                    throw ProviderError(.unavailable, "\(path) cannot be read from: \(error.message)")
                }
            }
        )
    }

    /// Waits for a program that has closed its output.
    private func waitForEnd(of child: borrowing ChildProcess, _ deadline: Int64) throws(ProviderError) {
        while true {
            let exit: ChildProcess.Exit?
            do throws(Errno) { exit = try child.exitIfEnded() } catch {
                throw ProviderError(.unavailable, "\(path) cannot be waited for: \(error.message)")
            }
            switch exit {
            case .status(0): return
            case .status(Self.notFound): throw ProviderError(.notFound, "\(path) knows no such secret")
            case .status(let status):
                throw ProviderError(
                    .unavailable,
                    "\(path) ended with status \(status)",
                    hint: "run it by hand to see why, with the name as its argument"
                )
            case .signal(let signal): throw ProviderError(.unavailable, "signal \(signal) ended \(path)")
            case nil: break
            }
            guard BootClock.milliseconds() < deadline else { throw late() }
            if (try? Readiness.wait(for: [asker], timeout: Self.pause)) == [true] { throw abandoned() }
        }
    }

    private func abandoned() -> ProviderError { ProviderError(.unavailable, "nobody waits for \(path) any more") }

    private func late() -> ProviderError { ProviderError(.unavailable, "\(path) did not end in time") }

    /// Takes one newline from the end, which most programs write.
    private func dropNewline(_ value: inout SecureBuffer) {
        let isLine = value.withBytes { bytes in
            bytes.count > 0 && bytes[bytes.count - 1] == UInt8(ascii: "\n")
        }
        if isLine { value.setCount(value.count - 1) }
    }
}
