// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
package import SecretStore
package import SystemCalls

/// The caller's side of the helper process: seals every plaintext value of a document without reading any of it.
package final class DocumentSealing {
    /// Sealed document.
    package struct Result: Sendable {
        /// The document with every value sealed.
        package let reading: ManifestReader.Reading
        /// The names whose values were plaintext.
        package let sealedNames: [String]
    }

    /// Header of the document: all but its secrets.
    package let header: ManifestReader.Reading
    private let helper: HelperProcess

    private init(header: ManifestReader.Reading, helper: HelperProcess) {
        self.header = header
        self.helper = helper
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
        let helper = try HelperProcess(document, [task.rawValue])
        let text = try helper.receive(.header)
        return DocumentSealing(header: try ManifestReader.read(text.bytes.span, as: .template), helper: helper)
    }

    /// Hands over the key and takes the sealed document.
    ///
    /// - Parameters:
    ///   - keys: the keys of the store.
    ///   - progress: is told how many of how many values are sealed.
    /// - Returns: the document.
    /// - Throws: what is wrong with a value: its format or size, or a sealed one that does not open.
    package func finish(_ keys: StoreKeys, progress: (Int, Int) -> Void) throws(StoreError) -> Result {
        try helper.send(keys)
        let names = try helper.receive(.sealedNames, progress: progress)
        let text = try helper.receive(.document)
        try helper.end()
        return Result(
            reading: try ManifestReader.read(text.bytes.span, as: .template),
            sealedNames: names.lines
        )
    }
}
