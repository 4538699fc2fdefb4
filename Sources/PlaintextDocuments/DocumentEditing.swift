// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
package import SecretStore
internal import SecureFiles
package import SystemCalls
internal import SystemPackage

/// The caller's side of the editing process: offers secrets to a person and gets back what they made of them, sealed.
package final class DocumentEditing {
    /// An editor that did not end well.
    package struct EditorFailure: Error, Sendable, Equatable {
        /// Exit of the editor.
        package let exit: ChildProcess.Exit
    }

    /// A signal that was to end credfs.
    package struct Interruption: Error, Sendable, Equatable {
        /// Its number.
        package let signal: Int32
    }

    /// The process ended before it was told to.
    package struct Ended: Error, Sendable {}

    /// Time for the process to end its editor and itself.
    private static let patience = Duration.seconds(10)

    private let helper: ChildProcess
    private var toHelper: Sending?
    private let fromHelper: OwnedDescriptor
    private let signals: SignalQueue

    private init(
        helper: consuming ChildProcess,
        toHelper: Sending,
        fromHelper: consuming OwnedDescriptor,
        signals: consuming SignalQueue
    ) {
        self.helper = helper
        self.toHelper = toHelper
        self.fromHelper = fromHelper
        self.signals = signals
    }

    deinit { end() }

    /// Starts the process, which makes its place; from here on signals are collected.
    ///
    /// - Parameters:
    ///   - request: where and with what.
    ///   - lock: kept open by the process.
    /// - Returns: the started editing.
    /// - Throws: a failed step of the process, `Interruption`, or `StoreError` where nothing could be started.
    package static func begin(
        _ request: EditingRequest,
        holding lock: borrowing OwnedDescriptor
    ) throws -> DocumentEditing {
        let editing = try StoreError.wrapping("start", "the editing process") { () throws(Errno) in
            try start(lock.number)
        }
        try editing.send(DocumentFrame(.request, request.bytes))
        let answer = try editing.receive()
        guard answer.kind == .ready else {
            guard answer.kind == .refusal, let failure = StepFailure<EditingStep>(words: answer.text) else {
                throw Ended()
            }
            throw failure
        }
        return editing
    }

    private static func start(_ lock: Int32) throws(Errno) -> DocumentEditing {
        let input = try OwnedDescriptor.pipe()
        let output = try OwnedDescriptor.pipe()
        let helper = try ChildProcess(
            OwnProgram.path,
            arguments: OwnProgram.arguments(EditingHelper.mode),
            environment: PlaintextHelper.environment,
            descriptors: [
                (0, 0), (1, 1), (2, 2), (EditingHelper.inputNumber, input.read.number),
                (EditingHelper.outputNumber, output.write.number), (EditingHelper.lockNumber, lock),
            ]
        )
        // After the child, which is to have the signals of its editor as they were.
        let signals = try SignalQueue([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGCHLD])
        return DocumentEditing(
            helper: helper,
            toHelper: input.ends { (_, write) in Sending(write) },
            fromHelper: output.ends { (read, _) in read },
            signals: signals
        )
    }

    /// Hands over the key, once.
    package func unlock(_ keys: StoreKeys) throws {
        guard let toHelper else { throw Ended() }
        do throws(Errno) { try KeyHandover.write(keys, to: toHelper.descriptor) } catch { throw Ended() }
    }

    /// Sends what the next `edit` shows.
    ///
    /// - Parameters:
    ///   - manifest: what it shows.
    ///   - base: what is stored, whose values stay as they are where they do not change.
    /// - Throws: `Ended`.
    package func offer(_ manifest: Manifest, base: Manifest) throws {
        try send(DocumentFrame(.base, ManifestWriter.unsignedText(base.editable)))
        try send(DocumentFrame(.document, ManifestWriter.unsignedText(manifest.editable)))
    }

    /// Runs the editor on what was offered, or on what it left before.
    ///
    /// - Returns: the document that they left, sealed.
    /// - Throws: `StoreError` for what is wrong with it, `EditorFailure`, `Interruption` or `Ended`.
    package func edit() throws -> ManifestReader.Reading {
        try send(DocumentFrame(.edit))
        let answer = try receive()
        switch answer.kind {
        case .document: return try ManifestReader.read(answer.bytes.span, as: .template)
        case .failure: throw answer.error
        case .editorFailure:
            let words = answer.lines
            guard words.count == 2, let number = Int32(words[1]) else { throw Ended() }
            throw EditorFailure(exit: words[0] == "signal" ? .signal(number) : .status(number))
        default: throw Ended()
        }
    }

    /// Waits until a descriptor can be read.
    ///
    /// - Throws: `Interruption`, or the error of a system call.
    package func waitForInput(on number: Int32) throws {
        try signals.wait(for: number, of: helper.id) { arrival in
            switch arrival.signal {
            // A key of the terminal is for the editor, unless there is none.
            case SIGINT where isForEditor(arrival, number), SIGQUIT where isForEditor(arrival, number): break
            default: throw Interruption(signal: arrival.signal)
            }
        }
    }

    private func isForEditor(_ arrival: SignalQueue.Arrival, _ awaited: Int32) -> Bool {
        arrival.isFromKernel && awaited == fromHelper.number
    }

    /// Ends the process and the editor, if one runs.
    package func end() {
        guard toHelper != nil else { return }
        toHelper = nil
        try? Children.send(SIGCONT, to: helper.id)
        let deadline = ContinuousClock.now + Self.patience
        while !hasEnded {
            let rest = deadline - .now
            if rest <= .zero { helper.kill() }
            _ = try? signals.wait(timeout: max(rest, .milliseconds(100)))
            signals.drain()
        }
    }

    private var hasEnded: Bool {
        do throws(Errno) { return try helper.exitIfEnded() != nil } catch { return true }
    }

    private func send(_ frame: DocumentFrame) throws {
        guard let toHelper else { throw Ended() }
        do throws(Errno) { try frame.write(to: toHelper.descriptor.number) } catch { throw Ended() }
    }

    private func receive() throws -> DocumentFrame {
        try waitForInput(on: fromHelper.number)
        guard let frame = try? DocumentFrame.read(from: fromHelper) else { throw Ended() }
        return frame
    }
}

/// The end of a pipe that is closed to end who reads it.
private final class Sending {
    let descriptor: OwnedDescriptor

    init(_ descriptor: consuming OwnedDescriptor) {
        self.descriptor = descriptor
    }
}
