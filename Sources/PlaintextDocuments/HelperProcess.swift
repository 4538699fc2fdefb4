// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The caller's side of a helper process: a document of it goes in, messages come out.
final class HelperProcess {
    private static let name = "the helper process"

    private let process: ChildProcess
    private let input: OwnedDescriptor
    private let output: OwnedDescriptor

    /// Starts a helper process on a document.
    ///
    /// - Parameters:
    ///   - document: open for reading, at its start.
    ///   - words: the arguments that say what to do with it.
    /// - Throws: class `failed`.
    init(_ document: borrowing OwnedDescriptor, _ words: [String]) throws(StoreError) {
        let input = try StoreError.wrapping("start", Self.name) { () throws(Errno) in try OwnedDescriptor.pipe() }
        let output = try StoreError.wrapping("start", Self.name) { () throws(Errno) in try OwnedDescriptor.pipe() }
        process = try StoreError.wrapping("start", Self.name) { () throws(Errno) in
            try ChildProcess(
                OwnProgram.path,
                arguments: OwnProgram.arguments(PlaintextHelper.mode, words),
                environment: PlaintextHelper.environment,
                descriptors: [
                    (0, input.read.number), (1, output.write.number), (2, 2),
                    (PlaintextHelper.documentNumber, document.number),
                ]
            )
        }
        self.input = input.ends { (_, write) in write }
        self.output = output.ends { (read, _) in read }
    }

    /// Hands over the keys of a store.
    func send(_ keys: StoreKeys) throws(StoreError) {
        try StoreError.wrapping("write to", Self.name) { () throws(Errno) in try KeyHandover.write(keys, to: input) }
    }

    /// Hands over another key.
    func send(_ key: FernetKey) throws(StoreError) {
        try StoreError.wrapping("write to", Self.name) { () throws(Errno) in
            try key.withBytes { (bytes) throws(Errno) in try input.writeAll(bytes) }
        }
    }

    /// Hands over the data key of the document.
    func send(_ key: borrowing Key256) throws(StoreError) {
        try StoreError.wrapping("write to", Self.name) { () throws(Errno) in
            try key.withBytes { (bytes) throws(Errno) in try input.writeAll(bytes) }
        }
    }

    /// Sends a message.
    func send(_ frame: DocumentFrame) throws(StoreError) {
        try StoreError.wrapping("write to", Self.name) { () throws(Errno) in try frame.write(to: input.number) }
    }

    /// Waits for a message of a kind.
    ///
    /// - Parameters:
    ///   - kind: which.
    ///   - progress: is told how many of how many values are sealed, whenever the helper says so.
    /// - Returns: the message.
    /// - Throws: the error that comes instead.
    func receive(_ kind: DocumentFrameKind, progress: (Int, Int) -> Void = { _, _ in }) throws(StoreError)
        -> DocumentFrame
    {
        while true {
            let message = try StoreError.wrapping("read from", Self.name) { () throws(Errno) in
                try DocumentFrame.read(from: output)
            }
            guard let frame = message else { throw Self.endedEarly }
            switch frame.kind {
            case kind: return frame
            case .failure: throw frame.error
            case .progress:
                let counts = frame.lines.compactMap { Int($0) }
                if counts.count == 2 { progress(counts[0], counts[1]) }
            default: throw Self.endedEarly
            }
        }
    }

    /// Waits for its end.
    func end() throws(StoreError) {
        let exit = try StoreError.wrapping("wait for", Self.name) { () throws(Errno) in try process.wait() }
        guard exit == .status(0) else { throw Self.endedEarly }
    }

    private static let endedEarly = StoreError(.failed, "the helper process ended early")
}
