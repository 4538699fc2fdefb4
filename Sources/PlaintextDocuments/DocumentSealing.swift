// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecretStore
package import SystemCalls
internal import SystemPackage

/// The caller's side of the helper process: seals every plaintext value of a document without reading any of it.
package final class DocumentSealing {
    /// What comes back.
    package struct Result: Sendable {
        /// The document with every value sealed.
        package let reading: ManifestReader.Reading
        /// The names whose values were plaintext.
        package let sealedNames: [String]
    }

    /// What the document says apart from its secrets.
    package let header: ManifestReader.Reading
    private let helper: ChildProcess
    private let toHelper: OwnedDescriptor
    private let fromHelper: OwnedDescriptor

    private init(
        header: ManifestReader.Reading,
        helper: consuming ChildProcess,
        toHelper: consuming OwnedDescriptor,
        fromHelper: consuming OwnedDescriptor
    ) {
        self.header = header
        self.helper = helper
        self.toHelper = toHelper
        self.fromHelper = fromHelper
    }

    /// Starts the helper process on a document and reads its header.
    ///
    /// - Parameters:
    ///   - document: open for reading, at its start.
    ///   - task: what it is.
    /// - Returns: the started sealing.
    /// - Throws: what is wrong with the document, with line and column.
    package static func begin(
        _ document: borrowing OwnedDescriptor,
        _ task: PlaintextHelper.Task
    ) throws(StoreError) -> DocumentSealing {
        let problem = "the helper process"
        let input = try StoreError.wrapping("start", problem) { () throws(Errno) in try OwnedDescriptor.pipe() }
        let output = try StoreError.wrapping("start", problem) { () throws(Errno) in try OwnedDescriptor.pipe() }
        let helper = try StoreError.wrapping("start", problem) { () throws(Errno) in
            try ChildProcess(
                "/proc/self/exe",
                arguments: ["credfs", PlaintextHelper.mode, task.rawValue],
                environment: PlaintextHelper.environment,
                descriptors: [
                    (0, input.read.number), (1, output.write.number), (2, 2),
                    (PlaintextHelper.documentNumber, document.number),
                ]
            )
        }
        let toHelper = input.ends { (_, write) in write }
        let fromHelper = output.ends { (read, _) in read }
        let text = try receive(.header, from: fromHelper)
        let header = try ManifestReader.read(text.span, as: .template)
        return DocumentSealing(header: header, helper: helper, toHelper: toHelper, fromHelper: fromHelper)
    }

    /// Hands over the key and takes the sealed document.
    ///
    /// - Throws: what is wrong with a value: its format or size, or a sealed one that does not open.
    package func finish(_ keys: StoreKeys) throws(StoreError) -> Result {
        try StoreError.wrapping("write to", "the helper process") { () throws(Errno) in
            try KeyHandover.write(keys, to: toHelper)
        }
        let names = try Self.receive(.sealedNames, from: fromHelper)
        let text = try Self.receive(.document, from: fromHelper)
        let exit = try StoreError.wrapping("wait for", "the helper process") { () throws(Errno) in try helper.wait() }
        guard exit == .status(0) else { throw StoreError(.failed, "the helper process ended early") }
        return Result(
            reading: try ManifestReader.read(text.span, as: .template),
            sealedNames: Frame(kind: .sealedNames, bytes: names).lines
        )
    }

    private static func receive(
        _ kind: Frame.Kind,
        from input: borrowing OwnedDescriptor
    ) throws(StoreError) -> [UInt8] {
        let frame = try StoreError.wrapping("read from", "the helper process") { () throws(Errno) in
            try Frame.read(from: input)
        }
        guard let frame, frame.kind == kind || frame.kind == .failure else {
            throw StoreError(.failed, "the helper process ended early")
        }
        if frame.kind == .failure { throw frame.error }
        return frame.bytes
    }
}
