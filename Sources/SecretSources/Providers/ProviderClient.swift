// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecretProviders
package import SecretStore
package import SecureMemory
internal import Synchronization
package import SystemCalls
internal import SystemPackage

/// Provider in a process of its own, which a server may not start once it serves (`ServingFilter`).
///
/// The process is started before, holds no key, and ends with the pipe that it is asked through.
package final class ProviderClient: SecretProvider {
    /// The program of the process and its arguments, its name first.
    package struct Command: Sendable {
        let path: String
        let arguments: [String]
        /// Variables that it gets beside those of others, as `NAME=value`.
        let environment: [String]

        /// Makes a command.
        package init(_ path: String, _ arguments: [String], environment: [String] = []) {
            self.path = path
            self.arguments = arguments
            self.environment = environment
        }

        /// Variables of others, and its own in their place.
        func environment(over others: [String]) -> [String] {
            let names = environment.map { $0.prefix { $0 != "=" } }
            return others.filter { !names.contains($0.prefix { $0 != "=" }) } + environment
        }
    }

    /// Time that the process has beyond a deadline to say that it is over, in milliseconds.
    private static let grace: Int64 = 300

    package let batchLimit: Int
    /// The id of the process.
    package let id: Int32
    private let input: OwnedDescriptor
    private let output: OwnedDescriptor
    private let limit: Int
    private let cancel: Doorbell
    private let state = Mutex(State())

    private struct State {
        /// Requests whose answers were not waited for.
        var unread = 0
        /// What came makes no sense, or nobody answers any more.
        var isBroken = false
    }

    /// Starts the process.
    ///
    /// - Parameters:
    ///   - command: the program.
    ///   - environment: its whole environment.
    ///   - speaks: whether its messages go to standard error, or nowhere.
    ///   - batchLimit: most names of one request.
    ///   - limit: the largest value in bytes.
    ///   - cancel: rung once nobody waits for answers any more.
    /// - Throws: class `failed`.
    package init(
        _ command: Command,
        environment: [String],
        speaks: Bool,
        batchLimit: Int,
        limit: Int,
        cancel: Doorbell
    ) throws(StoreError) {
        self.batchLimit = batchLimit
        self.limit = limit
        self.cancel = cancel
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_WRONLY)
            let input = try OwnedDescriptor.pipe()
            let output = try OwnedDescriptor.pipe()
            let process = try ChildProcess(
                command.path,
                arguments: command.arguments,
                environment: command.environment(over: environment),
                descriptors: [
                    (0, input.read.number), (1, output.write.number), (2, speaks ? 2 : nothing.number),
                ]
            )
            id = process.id
            self.input = input.ends { (_, write) in write }
            self.output = output.ends { (read, _) in read }
        } catch { throw .system("start", "the process that asks a source", error) }
    }

    package func list(until deadline: Int64) throws(ProviderError) -> [String]? {
        try begin(.list(deadline: deadline), deadline)
        var answer: Result<[String]?, ProviderError>?
        while let message = try next(deadline) {
            switch message {
            case .names(let names): answer = .success(names)
            case .failed(let error): answer = .failure(error)
            default: throw broken()
            }
        }
        guard let answer else { throw broken() }
        return try answer.get()
    }

    package func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        var open = Set(names)
        do throws(ProviderError) {
            try begin(.fetch(names, deadline: deadline), deadline)
            while let message = try next(deadline) {
                switch message {
                case .value(let name, let count):
                    let value = try read(count, deadline)
                    guard open.remove(name) != nil else { continue }
                    guard value.count == count else {
                        answer(name, .failure(ProviderError(.invalid, "the value is larger than \(limit) bytes")))
                        continue
                    }
                    answer(name, .success(value))
                case .missing(let name, let error):
                    if open.remove(name) != nil { answer(name, .failure(error)) }
                default: throw broken()
                }
            }
            for name in open { answer(name, .failure(ProviderError(.unavailable, "there was no answer"))) }
        } catch {
            for name in open { answer(name, .failure(error)) }
        }
    }

    /// Sends a request, after the answers to earlier ones that nobody waited for.
    private func begin(_ request: ProviderMessage, _ deadline: Int64) throws(ProviderError) {
        while state.withLock({ $0.unread > 0 }) {
            while let message = try next(deadline) {
                if case .value(_, let count) = message { _ = try read(count, deadline) }
            }
        }
        guard !state.withLock({ $0.isBroken }) else { throw Self.gone }
        state.withLock { $0.unread += 1 }
        do throws(Errno) { try input.writeAll(request.bytes.span) } catch { throw broken() }
    }

    /// The next message; nil at the end of the answers to a request.
    private func next(_ deadline: Int64) throws(ProviderError) -> ProviderMessage? {
        let head = try text(ProviderMessage.headByteCount, deadline)
        guard let head = ProviderMessage.head(head) else { throw broken() }
        let bytes = try text(head.byteCount, deadline)
        guard let text = String(validating: bytes, as: UTF8.self), let message = ProviderMessage(head.kind, text)
        else { throw broken() }
        guard message != .end else {
            state.withLock { $0.unread -= 1 }
            return nil
        }
        return message
    }

    private func text(_ count: Int, _ deadline: Int64) throws(ProviderError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var span = bytes.mutableSpan
        try fill(&span, deadline)
        return bytes
    }

    /// Reads a value; of one that is too large, a part.
    private func read(_ count: Int, _ deadline: Int64) throws(ProviderError) -> SecureBuffer {
        let kept = min(count, limit)
        let value = try SecureBuffer.filled(
            capacity: kept,
            orThrow: ProviderError.memory,
            { (bytes) throws(ProviderError) in
                try fill(&bytes, deadline)
                return kept
            }
        )
        var rest = count - kept
        while rest > 0 {
            let size = min(rest, 4096)
            _ = try SecureBuffer.filled(
                capacity: size,
                orThrow: ProviderError.memory,
                { (bytes) throws(ProviderError) in
                    try fill(&bytes, deadline)
                    return 0
                }
            )
            rest -= size
        }
        return value
    }

    private func fill(_ bytes: inout MutableSpan<UInt8>, _ deadline: Int64) throws(ProviderError) {
        guard !state.withLock({ $0.isBroken }) else { throw Self.gone }
        var filled = 0
        while filled < bytes.count {
            let rest = deadline + Self.grace - BootClock.milliseconds()
            guard rest > 0,
                let ready = try? Readiness.wait(
                    for: [output.number, cancel.number],
                    timeout: .milliseconds(rest)
                ), ready[0] || ready[1]
            else {
                // A part of a message that never comes would be taken for the next one.
                if filled > 0 { throw broken() }
                throw ProviderError(.unavailable, "there was no answer in time")
            }
            guard !ready[1] else { throw ProviderError(.unavailable, "nobody waits any more") }
            guard let count = try? output.read(into: &bytes, from: filled), count > 0 else { throw broken() }
            filled += count
        }
    }

    private func broken() -> ProviderError {
        state.withLock { $0.isBroken = true }
        return Self.gone
    }

    private static let gone = ProviderError(
        .unavailable,
        "the process that asks the source has ended",
        hint: "mount, or run, anew"
    )
}
