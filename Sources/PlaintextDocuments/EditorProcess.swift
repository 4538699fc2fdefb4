// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SystemCalls
internal import SystemPackage

/// Runs the editor, as a child of the editing process.
final class EditorProcess {
    /// End of the editing.
    enum End: Equatable {
        case ended(ChildProcess.Exit)
        /// Somebody wants the editing to end.
        case cancelled
    }

    /// Time for an editor that is asked to end.
    private static let patience = Duration.seconds(2)

    private let signals: SignalQueue
    private var id: Int32 = -1

    /// Collects from now on the signals that are the editor's, or an end.
    init() throws(Errno) {
        signals = try SignalQueue([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGCHLD])
    }

    /// Runs the editor to its end, in the process group and on the terminal of credfs.
    ///
    /// - Parameters:
    ///   - request: what it is.
    ///   - space: what it edits in.
    ///   - caller: can be read, or is closed, once the editing is to end.
    /// - Returns: how it ended; every process that it left has ended, too.
    /// - Throws: the error of a system call.
    func run(_ request: EditingRequest, in space: EditingSpace, cancelledBy caller: Int32) throws(Errno) -> End {
        try start(request, space)
        defer { Self.endOthers() }
        while true {
            if let exit = try exitIfEnded() { return .ended(exit) }
            var isCancelled = SignalQueue.isReadable(caller)
            while let arrival = try signals.next() {
                // The keys of the terminal are for the editor, which gets them, too.
                if arrival.signal == SIGTERM || arrival.signal == SIGHUP { isCancelled = true }
            }
            if isCancelled {
                try cancel()
                return .cancelled
            }
            try signals.wait(or: [caller])
        }
    }

    private func start(_ request: EditingRequest, _ space: EditingSpace) throws(Errno) {
        let variables = space.variables
        let replaced = Set(variables.map(\.name))
        let kept = request.environment.filter { entry in
            !replaced.contains(String(decoding: entry.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self))
        }
        let nothing: [UInt8] = []
        let child = try ChildProcess(
            OwnProgram.path,
            arguments: EditorEntrance.arguments(request, space).map { Array($0.utf8) },
            environment: kept + variables.map { Array("\($0.name)=\($0.value)".utf8) },
            secrets: nothing.span,
            handing: [],
            mask: signals.maskBefore
        )
        id = child.id
    }

    private func exitIfEnded() throws(Errno) -> ChildProcess.Exit? {
        while case .change(let change) = try Children.poll() {
            switch change {
            case .ended(id, let exit): return exit
            // Whoever waits for credfs sees it stop with its editor, and go on with it.
            case .stopped(id): Children.stop(with: id)
            case .ended, .stopped: break
            }
        }
        return nil
    }

    private func cancel() throws(Errno) {
        let deadline = ContinuousClock.now + Self.patience
        try? Children.send(SIGTERM, to: id)
        try? Children.send(SIGCONT, to: id)
        while try exitIfEnded() == nil {
            let rest = deadline - .now
            guard rest > .zero else { return }
            try signals.wait(timeout: rest)
            signals.drain()
        }
    }

    /// Ends what an editor left behind: it would keep the memory, and could not save anything any more.
    private static func endOthers() {
        while (try? Children.poll()) ?? .noneLeft != .noneLeft {
            let ids = Children.ids()
            for id in ids { try? Children.send(SIGKILL, to: id) }
            guard !ids.isEmpty else { return }
            for id in ids { _ = try? Children.exit(of: id) }
        }
    }
}
