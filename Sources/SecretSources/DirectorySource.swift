// SPDX-License-Identifier: Apache-2.0

package import PlaintextDocuments
package import SecretStore
package import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// A directory with a file for each secret, such as Docker, Kubernetes and systemd make them.
package final class DirectorySource: SecretSource {
    package private(set) var names: [ImportedName] = []
    /// Entries that were left out: hidden files, which are nobody's secrets, and directories.
    package private(set) var leftOut: [String] = []
    private let folder: StoreDirectory
    private let limit: Int
    private let checker: PermissionChecker?
    /// Directory in which the files of a Kubernetes volume lie in fact.
    private var data: StoreDirectory?
    private var linked: Set<String> = []

    /// Looks at a directory.
    ///
    /// - Parameters:
    ///   - path: the directory.
    ///   - limit: the largest value in bytes.
    ///   - checker: judge of directory and files, where others must not have put anything there.
    /// - Throws: class `permissions` for what is neither a file nor a directory, `invalid` for a bad name.
    package init(_ path: String, limit: Int, checker: PermissionChecker? = nil) throws {
        guard let folder = try StoreDirectory.open(path, followingLink: true) else {
            throw StoreError.system("open", path, .noSuchFileOrDirectory)
        }
        self.folder = folder
        self.limit = limit
        self.checker = checker
        try check(folder.descriptor, folder.path, .deliveryDirectory)
        for name in try folder.names().sorted() { try add(name) }
    }

    private func add(_ name: String) throws {
        guard !name.hasPrefix(".") else {
            // Kubernetes keeps its own there.
            if !name.hasPrefix("..") { leftOut.append(name) }
            return
        }
        guard SecretName(name) != nil else {
            throw StoreError(.invalid, "\(folder.path(of: name)) has no name for a secret", hint: SecretReference.rule)
        }
        switch try folder.kind(of: name) {
        case .regular: break
        case .directory: return leftOut.append(name)
        case .symbolicLink:
            guard try folder.link(name) == "..data/\(name)" else {
                throw StoreError(.open(folder.path(of: name), .tooManySymbolicLinkLevels))
            }
            if data == nil { data = try volume() }
            linked.insert(name)
        default: throw Self.noFile(folder.path(of: name))
        }
        names.append(ImportedName(name))
    }

    /// The directory that `..data` of a Kubernetes volume stands for.
    private func volume() throws -> StoreDirectory {
        guard let target = try folder.link("..data"), target.hasPrefix(".."), target != "..", !target.contains("/"),
            let volume = try folder.folder(target)
        else { throw StoreError(.open(folder.path(of: "..data"), .tooManySymbolicLinkLevels)) }
        return volume
    }

    package func seal(_ targets: [ImportTarget?], _ keys: StoreKeys, progress: (Int) -> Void) throws -> [String] {
        let sealer = try ValueSealer(keys)
        var values: [String] = []
        for (name, target) in zip(names, targets) {
            guard let target else { continue }
            values.append(
                try read(name.text).withBytes { (value) throws(StoreError) in
                    try sealer.seal(value, for: target)
                }
            )
            progress(values.count)
        }
        return values
    }

    private func read(_ name: String) throws -> SecureBuffer {
        let place = linked.contains(name) ? data ?? folder : folder
        let path = place.path(of: name)
        guard let file = try place.file(name) else {
            throw StoreError.system("open", path, .noSuchFileOrDirectory)
        }
        let kind = try StoreError.wrapping("examine", path) { () throws(Errno) in try file.status().kind }
        guard kind == .regular else { throw Self.noFile(path) }
        try check(file, path, .deliveredFile)
        let content = try SecureBuffer.collecting(
            limit: limit,
            orThrow: { StoreError.memory($0) },
            { (bytes, start) throws(StoreError) in
                do throws(Errno) { return try file.read(into: &bytes, from: start) } catch {
                    throw .system("read", path, error)
                }
            }
        )
        guard content.count <= limit else {
            throw StoreError(.invalid, "\(path) is larger than \(limit) bytes", hint: "--max-size raises the limit")
        }
        return content
    }

    private func check(
        _ file: borrowing OwnedDescriptor,
        _ path: String,
        _ requirement: FileRequirement
    ) throws(StoreError) {
        if let checker { try StoreDirectory.check(file, path, requirement, checker) }
    }

    private static func noFile(_ path: String) -> StoreError {
        StoreError(.permissions, "\(path) is not a regular file")
    }
}

/// `dir:PATH`: a directory with a file for each secret.
struct DirectorySourceType: SourceType {
    let scheme = "dir"
    let location = "PATH"
    let isReadAgain = true

    func open(_ location: String, limit: Int, _ checker: PermissionChecker) throws -> any SecretSource {
        try DirectorySource(location, limit: limit, checker: checker)
    }
}
