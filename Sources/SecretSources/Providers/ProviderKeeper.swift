// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SecretProviders
internal import SecretStore
internal import SecureMemory
internal import Synchronization
internal import SystemCalls
internal import SystemPackage

/// Process that starts those anew that ask sources, which the serving process may not do (`ServingFilter`).
///
/// It is told its commands at its start, and later their numbers: whoever has the server in hand can have it start nothing else. It
/// has the variables that the others are let in with, in secret memory, and no key of a store. It ends with the server.
package final class ProviderKeeper: Sendable {
    /// The first argument that makes credfs this process.
    package static let mode = "keep-sources"

    private static let socketNumber: Int32 = 3
    /// Time that it has for an answer.
    private static let patience = Duration.seconds(5)

    /// The error of a process that nobody starts anew.
    static let gone = ProviderError(
        .unavailable,
        "the process that asks the source has ended",
        hint: "mount, or run, anew"
    )

    private static let late = ProviderError(.unavailable, "there was no answer in time")

    /// What it can start.
    struct Entry: Sendable, Equatable {
        /// Address of the source without settings, for messages.
        let label: String
        let command: ProviderClient.Command
    }

    /// The id of the process.
    package let id: Int32
    private let socket: MessageSocket
    /// Held while it is asked; false once an answer did not come: the next one would be taken for that of another request.
    private let answers = Mutex(true)

    private init(process: Int32, socket: consuming MessageSocket) {
        id = process
        self.socket = socket
    }

    /// Starts it.
    ///
    /// - Parameters:
    ///   - entries: what it can start.
    ///   - environment: the environment of each, beside its own.
    ///   - speaks: whether messages go to standard error, or nowhere.
    /// - Returns: the keeper.
    /// - Throws: class `failed`.
    static func begin(
        _ entries: [Entry],
        environment: [String],
        speaks: Bool
    ) throws(StoreError) -> ProviderKeeper {
        do throws(Errno) {
            let nothing = try OwnedDescriptor.open("/dev/null", O_RDWR)
            return try MessageSocket.pair { (ours, theirs) throws(Errno) in
                let process = try ChildProcess(
                    OwnProgram.path,
                    arguments: OwnProgram.arguments(mode, words(of: entries)),
                    environment: environment,
                    descriptors: [
                        (0, nothing.number), (1, nothing.number), (2, speaks ? 2 : nothing.number),
                        (socketNumber, theirs.descriptor.number),
                    ]
                )
                return ProviderKeeper(process: process.id, socket: ours)
            }
        } catch { throw .system("start", "the process that starts those anew that ask sources", error) }
    }

    // ---- The side of the server

    /// Has a process started.
    ///
    /// - Parameters:
    ///   - number: number of its entry.
    ///   - deadline: time by which to have it, in milliseconds of `BootClock`.
    ///   - cancel: rung once nobody waits.
    /// - Returns: its pipes.
    /// - Throws: `unavailable`, with the time to wait where it was started too often.
    func start(_ number: Int, until deadline: Int64, _ cancel: Doorbell) throws(ProviderError) -> ProviderPipes {
        guard deadline > BootClock.milliseconds() else { throw Self.late }
        var refusal: Answer?
        let pipes = answers.withLock { answers -> ProviderPipes? in
            guard answers else { return nil }
            do throws(Errno) {
                try socket.send(Array(String(number).utf8))
                let first = try receive(cancel)
                refusal = Answer(first.bytes)
                guard refusal == nil else { return nil }
                let input = try Self.descriptor(first)
                return ProviderPipes(input: input, output: try Self.descriptor(try receive(cancel)))
            } catch {
                answers = false
                return nil
            }
        }
        if let pipes { return pipes }
        switch refusal {
        case .early(let seconds):
            throw ProviderError(
                .unavailable,
                "the process that asks the source has ended, once more: it is started again in \(seconds) s",
                hint: "see what ended it: the log of the kernel has those that took too much memory",
                retryAfter: seconds
            )
        case .failed(let errno):
            let message = Errno(rawValue: errno).message
            throw ProviderError(.unavailable, "the process that asks the source cannot be started again: \(message)")
        case nil: throw Self.gone
        }
    }

    /// The next message; it starts a process and no more, which takes no time that depends on others.
    private func receive(_ cancel: Doorbell) throws(Errno) -> MessageSocket.Message {
        let ready = try Readiness.wait(for: [socket.descriptor.number, cancel.number], timeout: Self.patience)
        guard ready[0] else { throw .timedOut }
        return try socket.receive()
    }

    private static func descriptor(_ message: consuming MessageSocket.Message) throws(Errno) -> OwnedDescriptor {
        guard message.descriptor >= 0 else { throw .badFileDescriptor }
        return OwnedDescriptor(owning: message.descriptor)
    }

    /// Answer without a process, as a word and a number; one with a process is `started`, with a descriptor.
    private enum Answer {
        case early(Int)
        case failed(Int32)

        init?(_ bytes: [UInt8]) {
            let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
            guard words.count == 2, let number = Int32(words[1]) else { return nil }
            switch words[0] {
            case "early": self = .early(Int(number))
            case "failed": self = .failed(number)
            default: return nil
            }
        }

        var bytes: [UInt8] {
            switch self {
            case .early(let seconds): Array("early \(seconds)".utf8)
            case .failed(let errno): Array("failed \(errno)".utf8)
            }
        }
    }

    private static let started = Array("started".utf8)

    // ---- The process

    /// The whole life of the process.
    ///
    /// - Parameter arguments: those of the process, its name first.
    /// - Returns: the exit status.
    package static func main(_ arguments: [String]) -> Int32 {
        guard let entries = entries(of: arguments.dropFirst(2)), let credentials = try? HeldCredentials() else {
            return 1
        }
        // Out of reach of the keys of the terminal, which are for the job.
        setsid()
        try? OwnedDescriptor.changeWorkingDirectory(to: "/")
        let socket = MessageSocket(owning: socketNumber)
        guard (try? socket.descriptor.closeOnExec()) != nil else { return 1 }
        var pauses = entries.map { _ in RestartPause() }
        while true {
            guard let bytes = try? socket.receive().bytes, !bytes.isEmpty else { return 0 }
            while case .change = (try? Children.poll()) ?? .nothing {}
            guard let number = Int(String(decoding: bytes, as: UTF8.self)), entries.indices.contains(number) else {
                return 1
            }
            do throws(Errno) {
                if let seconds = pauses[number].begin(at: BootClock.milliseconds()) {
                    try socket.send(Answer.early(seconds).bytes)
                    continue
                }
                let pipes: ProviderPipes
                do throws(Errno) { pipes = try start(entries[number].command, credentials) } catch {
                    try socket.send(Answer.failed(error.rawValue).bytes)
                    continue
                }
                let message = "\(entries[number].label): the process that asks it had ended, and was started again"
                try? writeAll(2, "credfs: warning: \(message)\n".utf8.span)
                try socket.send(started, descriptor: pipes.input.number)
                try socket.send(started, descriptor: pipes.output.number)
            } catch {
                return 0
            }
        }
    }

    private static func start(
        _ command: ProviderClient.Command,
        _ credentials: HeldCredentials
    ) throws(Errno) -> ProviderPipes {
        let input = try OwnedDescriptor.pipe()
        let output = try OwnedDescriptor.pipe()
        try credentials.withEntries { (secrets) throws(Errno) in
            _ = try ChildProcess(
                command.path,
                arguments: command.arguments,
                environment: command.environment(over: EnvironmentVariables.entries { _ in false }),
                secrets: secrets,
                descriptors: [(0, input.read.number), (1, output.write.number), (2, 2)]
            )
        }
        return ProviderPipes(input: input.ends { (_, write) in write }, output: output.ends { (read, _) in read })
    }

    // ---- Its arguments: for each entry the label, the path, the counts of arguments and variables, and these

    private static func words(of entries: [Entry]) -> [String] {
        entries.flatMap { entry in
            let command = entry.command
            return [
                entry.label, command.path, String(command.arguments.count), String(command.environment.count),
            ] + command.arguments + command.environment
        }
    }

    private static func entries(of words: ArraySlice<String>) -> [Entry]? {
        var rest = words
        var entries: [Entry] = []
        while let label = rest.popFirst() {
            guard let path = rest.popFirst(), let count = rest.popFirst().flatMap({ Int($0) }),
                let variableCount = rest.popFirst().flatMap({ Int($0) }), count >= 1, variableCount >= 0,
                rest.count >= count, rest.count - count >= variableCount
            else { return nil }
            let arguments = Array(rest.prefix(count))
            rest = rest.dropFirst(count)
            let environment = Array(rest.prefix(variableCount))
            rest = rest.dropFirst(variableCount)
            let command = ProviderClient.Command(path, arguments, environment: environment)
            entries.append(Entry(label: label, command: command))
        }
        return entries
    }
}

/// Pauses between starts of a process: none before the first, then twice as long each time, until it has lasted a while.
package struct RestartPause {
    /// The first pause, the longest, and the time without a start after which the next one is a first again, in milliseconds.
    private static let (shortest, longest, calm): (Int64, Int64, Int64) = (1000, 60_000, 120_000)

    private var last: Int64?
    private var pause: Int64 = 0

    /// Makes one of a process that was never started again.
    package init() {}

    /// Begins a start, unless it is too early for one.
    ///
    /// - Parameter now: milliseconds of `BootClock`.
    /// - Returns: nil for a start, else the seconds to wait.
    package mutating func begin(at now: Int64) -> Int? {
        if let last {
            let passed = now - last
            if passed < pause { return Int((pause - passed + 999) / 1000) }
            if passed > Self.calm { pause = 0 }
        }
        last = now
        pause = pause == 0 ? Self.shortest : min(2 * pause, Self.longest)
        return nil
    }
}
