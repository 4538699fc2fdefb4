// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The process that shows secrets to an editor: the only one beside `PlaintextHelper` that meets a document with
/// plaintext in it.
///
/// It has the terminal for the editor, memory to edit in that nobody outside reaches by its path, and the data key. It
/// hands back sealed text, and ends with whoever started it.
package enum EditingHelper {
    /// The first argument that makes credfs this process.
    package static let mode = "editing-helper"

    static let inputNumber: Int32 = 3
    static let outputNumber: Int32 = 4
    /// Held to the end: as long as it is locked, nobody removes the directory below the memory.
    static let lockNumber: Int32 = 5

    /// The whole life of the process.
    ///
    /// - Returns: the exit status.
    package static func main() -> Int32 {
        // Where the limit of locked memory forbids it, the process is still short-lived and not dumpable.
        try? Memory.lockEverything()
        let input = OwnedDescriptor(owning: inputNumber)
        let output = OwnedDescriptor(owning: outputNumber)
        let lock = OwnedDescriptor(owning: lockNumber)
        defer { _ = lock.number }
        do throws(Errno) {
            try input.closeOnExec()
            try output.closeOnExec()
            try lock.closeOnExec()
            try ProcessAttributes.becomeSubreaper()
            guard let frame = try DocumentFrame.read(from: input), frame.kind == .request,
                let request = EditingRequest(frame.bytes)
            else { return 1 }
            let space: EditingSpace
            do throws(StepFailure<EditingStep>) {
                space = try EditingSpace.enter(over: request.directory, for: request.editor)
            } catch {
                try DocumentFrame(.refusal, error.words).write(to: output.number)
                return 0
            }
            defer { space.wipe() }
            try DocumentFrame(.ready).write(to: output.number)
            return try serve(request, space, input, output)
        } catch { return 1 }
    }

    private static func serve(
        _ request: EditingRequest,
        _ space: EditingSpace,
        _ input: borrowing OwnedDescriptor,
        _ output: borrowing OwnedDescriptor
    ) throws(Errno) -> Int32 {
        let editor = try EditorProcess()
        guard let keys = try? KeyHandover.read(from: input) else { return 1 }
        let session = EditingSession(request, space, keys, editor)
        while let frame = try DocumentFrame.read(from: input) {
            switch frame.kind {
            case .base: session.base = frame.bytes
            case .document: session.document = frame.bytes
            case .edit:
                guard let answer = session.edit(cancelledBy: input.number) else { return 0 }
                try answer.write(to: output.number)
            default: return 1
            }
        }
        return 0
    }
}

/// Rounds of editing the same document.
private final class EditingSession {
    /// The secrets as they are stored, sealed; and what is shown instead of what was shown last.
    var base: [UInt8] = []
    var document: [UInt8]?
    private let request: EditingRequest
    private let space: EditingSpace
    private let keys: StoreKeys
    private let editor: EditorProcess
    private var editable: EditableDocument?

    init(_ request: EditingRequest, _ space: EditingSpace, _ keys: StoreKeys, _ editor: EditorProcess) {
        self.request = request
        self.space = space
        self.keys = keys
        self.editor = editor
    }

    /// Runs the editor.
    ///
    /// - Parameter caller: can be read, or is closed, once the editing is to end.
    /// - Returns: what to tell the caller; nil where it wants to hear nothing more.
    func edit(cancelledBy caller: Int32) -> DocumentFrame? {
        do throws(StoreError) {
            let editable = try offer()
            let end = try StoreError.wrapping("run", "the editor") { () throws(Errno) in
                try editor.run(request, in: space, cancelledBy: caller)
            }
            switch end {
            case .cancelled: return nil
            case .ended(.status(0)):
                let reading = try editable.seal(space.read())
                return DocumentFrame(.document, ManifestWriter.unsignedText(reading))
            case .ended(let exit): return DocumentFrame(.editorFailure, exit.words)
            }
        } catch { return DocumentFrame(error) }
    }

    private func offer() throws(StoreError) -> EditableDocument {
        if let document {
            let stored = base
            let editable = EditableDocument(base: try ManifestReader.read(stored.span, as: .template), keys: keys)
            try space.write(editable.plaintext(of: try ManifestReader.read(document.span, as: .template)))
            self.editable = editable
            self.document = nil
        }
        guard let editable else { throw StoreError(.failed, "nothing was offered") }
        return editable
    }
}

extension ChildProcess.Exit {
    /// As a message carries it.
    var words: String {
        switch self {
        case .status(let status): "status\n\(status)"
        case .signal(let signal): "signal\n\(signal)"
        }
    }
}
