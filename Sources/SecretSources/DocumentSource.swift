// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import PlaintextDocuments
package import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// A document, which only the helper process reads.
package final class DocumentSource: SecretSource {
    private let document: DocumentImport

    /// Takes over a document whose names were read.
    package init(_ document: DocumentImport) {
        self.document = document
    }

    package var names: [ImportedName] { document.names }

    package func seal(_ targets: [ImportTarget?], _ keys: StoreKeys, progress: (Int) -> Void) throws -> [String] {
        try document.seal(targets, keys, progress: progress)
    }
}

/// `dotenv:PATH`, `json:PATH`, `yaml:PATH`: a file with names and values.
struct DocumentSourceType: SourceType {
    let format: ImportRequest.Format
    let location = "PATH"
    /// A server may start no helper process once it serves.
    let isReadAgain = false
    let isPath = true
    let needsProcess = true

    var scheme: String { format.rawValue }

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
        let file = try StoreError.wrapping("open", location) { () throws(Errno) in
            try OwnedDescriptor.open(location, O_RDONLY | O_NOCTTY)
        }
        // A pipe that a shell hands on (`<(sops decrypt FILE)`) is nobody else's.
        if DescriptorPath.number(location) == nil {
            try StoreDirectory.check(file, location, .sharedManifest, access.checker)
        }
        return DocumentSource(try DocumentImport(file, ImportRequest(format), nil))
    }
}
