// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Our ends of the pipes of a process that asks a source.
struct ProviderPipes: ~Copyable {
    /// Where requests go.
    let input: OwnedDescriptor
    /// Where answers come from.
    let output: OwnedDescriptor
}

/// What is said to a process that asks a source, and what it answers; used by one thread at a time.
final class ProviderConnection: Sendable {
    /// Time that the process has beyond a deadline to say that it is over, in milliseconds.
    private static let grace: Int64 = 300

    /// The error of a request whose process ended before its answer did.
    static let ended = ProviderError(.unavailable, "the process that asks the source has ended")

    private let pipes: ProviderPipes
    private let limit: Int
    private let cancel: Doorbell
    private let state = Mutex(State())

    private struct State {
        /// Requests whose answers were not waited for.
        var unread = 0
        /// What came makes no sense, or nobody answers any more.
        var isBroken = false
    }

    /// Makes one over pipes on which nothing was said.
    ///
    /// - Parameters:
    ///   - pipes: the pipes.
    ///   - limit: the largest value in bytes.
    ///   - cancel: rung once nobody waits for answers any more.
    init(_ pipes: consuming ProviderPipes, limit: Int, cancel: Doorbell) {
        self.pipes = pipes
        self.limit = limit
        self.cancel = cancel
    }

    /// Nobody answers: the process ended in the middle of something, or since its last answer.
    var hasEnded: Bool {
        let (isBroken, unread) = state.withLock { ($0.isBroken, $0.unread) }
        guard !isBroken, unread == 0 else { return isBroken }
        // Nothing was asked, so that nothing but the end can come.
        return (try? Readiness.wait(for: [pipes.output.number], timeout: .zero)) != [false]
    }

    /// Lists the names that there are.
    func list(until deadline: Int64) throws(ProviderError) -> [String]? {
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

    /// Fetches values, and takes what is answered out of the names that are open.
    ///
    /// - Parameters:
    ///   - names: the names.
    ///   - open: those that have no answer.
    ///   - deadline: time by which to end.
    ///   - answer: is given each answer.
    /// - Throws: why there is none for those that stay open.
    func fetch(
        _ names: [String],
        _ open: inout Set<String>,
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) throws(ProviderError) {
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
        if !open.isEmpty { throw ProviderError(.unavailable, "there was no answer") }
    }

    /// Sends a request, after the answers to earlier ones that nobody waited for.
    private func begin(_ request: ProviderMessage, _ deadline: Int64) throws(ProviderError) {
        while state.withLock({ $0.unread > 0 }) {
            while let message = try next(deadline) {
                if case .value(_, let count) = message { _ = try read(count, deadline) }
            }
        }
        guard !state.withLock({ $0.isBroken }) else { throw Self.ended }
        state.withLock { $0.unread += 1 }
        do throws(Errno) { try pipes.input.writeAll(request.bytes.span) } catch { throw broken() }
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
        guard !state.withLock({ $0.isBroken }) else { throw Self.ended }
        var filled = 0
        while filled < bytes.count {
            let rest = deadline + Self.grace - BootClock.milliseconds()
            guard rest > 0,
                let ready = try? Readiness.wait(
                    for: [pipes.output.number, cancel.number],
                    timeout: .milliseconds(rest)
                ), ready[0] || ready[1]
            else {
                // A part of a message that never comes would be taken for the next one.
                if filled > 0 { throw broken() }
                throw ProviderError(.unavailable, "there was no answer in time")
            }
            guard !ready[1] else { throw ProviderError(.unavailable, "nobody waits any more") }
            guard let count = try? pipes.output.read(into: &bytes, from: filled), count > 0 else { throw broken() }
            filled += count
        }
    }

    private func broken() -> ProviderError {
        state.withLock { $0.isBroken = true }
        return Self.ended
    }
}
