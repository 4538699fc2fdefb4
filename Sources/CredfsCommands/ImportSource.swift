// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import PlaintextDocuments
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Source of an import.
protocol ImportSource: AnyObject {
    /// The names that it has values for.
    var names: [ImportedName] { get }

    /// Seals values; once.
    ///
    /// - Parameters:
    ///   - targets: for each name the secret that its value is for, or nil.
    ///   - keys: the keys of the store.
    ///   - progress: is told how many are sealed.
    /// - Returns: the sealed values of the names that have a target; of a value without bytes, no text.
    /// - Throws: what is wrong with a value, by name.
    func seal(_ targets: [ImportTarget?], _ keys: StoreKeys, progress: (Int) -> Void) throws -> [String]
}

/// A document, which only the helper process reads.
final class DocumentSource: ImportSource {
    private let document: DocumentImport

    init(_ document: DocumentImport) {
        self.document = document
    }

    var names: [ImportedName] { document.names }

    func seal(_ targets: [ImportTarget?], _ keys: StoreKeys, progress: (Int) -> Void) throws -> [String] {
        try document.seal(targets, keys, progress: progress)
    }
}

/// Variables of this process, whose values are overwritten where they stand once they are sealed.
final class EnvironmentSource: ImportSource {
    let names: [ImportedName]

    /// Makes a source of variables that are set.
    init(_ variables: [String]) {
        names = variables.map { ImportedName($0) }
    }

    func seal(_ targets: [ImportTarget?], _ keys: StoreKeys, progress: (Int) -> Void) throws -> [String] {
        let sealer = try ValueSealer(keys)
        var values: [String] = []
        for (name, target) in zip(names, targets) {
            guard let target else { continue }
            let value = try EnvironmentVariables.take(name.text) { (value) throws(StoreError) in
                try sealer.seal(value, for: target)
            }
            values.append(value ?? "")
        }
        return values
    }
}

/// A directory with a file for each secret, such as Docker, Kubernetes and systemd make them.
final class DirectorySource: ImportSource {
    private(set) var names: [ImportedName] = []
    /// Entries that were left out: hidden files, which are nobody's secrets, and directories.
    private(set) var leftOut: [String] = []
    private let folder: StoreDirectory
    private let limit: Int
    /// Directory in which the files of a Kubernetes volume lie in fact.
    private var data: StoreDirectory?
    private var linked: Set<String> = []

    /// Looks at a directory.
    ///
    /// - Parameters:
    ///   - path: the directory.
    ///   - limit: the largest value in bytes.
    /// - Throws: class `permissions` for what is neither a file nor a directory, `invalid` for a bad name.
    init(_ path: String, limit: Int) throws {
        guard let folder = try StoreDirectory.open(path, followingLink: true) else {
            throw StoreError.system("open", path, .noSuchFileOrDirectory)
        }
        self.folder = folder
        self.limit = limit
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

    func seal(_ targets: [ImportTarget?], _ keys: StoreKeys, progress: (Int) -> Void) throws -> [String] {
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

    private static func noFile(_ path: String) -> StoreError {
        StoreError(.permissions, "\(path) is not a regular file")
    }
}
