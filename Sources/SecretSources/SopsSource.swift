// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import PlaintextDocuments
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// `sops:[NAME=]PATH`: a file that sops has encrypted for an age identity; only the helper process reads what is in it.
struct SopsSourceType: NamedFileSourceType {
    let scheme = "sops"
    /// A server may start no helper process once it serves.
    let isReadAgain = false
    let needsProcess = true

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
        let place = try PathLocation(location)
        let file = try StoreError.wrapping("open", place.path) { () throws(Errno) in
            try OwnedDescriptor.open(place.path, O_RDONLY | O_NOCTTY)
        }
        if DescriptorPath.number(place.path) == nil {
            try StoreDirectory.check(file, place.path, .sharedManifest, access.checker)
        }
        do throws(StoreError) {
            return DocumentSource(
                try DocumentImport(
                    sops: file,
                    place.name.flatMap { SecretReference($0.text) } ?? Self.name(ofFile: place.path),
                    isGuess: place.name == nil,
                    access.identities
                )
            )
        } catch {
            throw StoreError(error.code, "\(place.path): \(error.message)", hint: error.hint)
        }
    }

    /// The name of a binary file, whose content is one value; none of one that sops takes for JSON.
    private static func name(ofFile path: String) -> SecretReference? {
        let name = PathParts.split(path).name
        return name.hasSuffix(".json") ? nil : SecretReference(name)
    }
}
