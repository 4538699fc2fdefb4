// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import PlaintextDocuments
package import SecretStore
package import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// A directory with a file for each secret, such as Docker, Kubernetes and systemd make them; or one such file.
package final class DirectorySource: SecretSource {
    package private(set) var names: [ImportedName] = []
    /// Entries that were left out: hidden files, which are nobody's secrets, and directories.
    package private(set) var leftOut: [String] = []
    /// The file of each name.
    private var files: [String] = []
    private let folder: StoreDirectory
    private let form: any FileForm
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
    package convenience init(_ path: String, limit: Int, checker: PermissionChecker? = nil) throws {
        try self.init(directory: path, PlainForm(), limit, checker)
    }

    /// Looks at a directory, or at one file.
    ///
    /// - Parameters:
    ///   - place: which, with the name of the secret of one file.
    ///   - form: what is in the files.
    ///   - access: limit and judge.
    /// - Throws: as above.
    convenience init(_ place: PathLocation, _ form: any FileForm, _ access: SourceAccess) throws {
        guard place.isDirectory else {
            try self.init(file: place, form, access.limit, access.checker)
            return
        }
        guard place.name == nil else {
            throw StoreError(.usage, "\(place.path) is a directory", hint: "a name is for one file: leave NAME= out")
        }
        try self.init(directory: place.path, form, access.limit, access.checker)
    }

    private init(folder path: String, _ form: any FileForm, _ limit: Int, _ checker: PermissionChecker?) throws {
        guard let folder = try StoreDirectory.open(path, followingLink: true) else {
            throw StoreError.system("open", path, .noSuchFileOrDirectory)
        }
        self.folder = folder
        self.form = form
        self.limit = limit
        self.checker = checker
        try check(folder.descriptor, folder.path, .deliveryDirectory)
    }

    private convenience init(
        directory path: String,
        _ form: any FileForm,
        _ limit: Int,
        _ checker: PermissionChecker?
    ) throws {
        try self.init(folder: path, form, limit, checker)
        for name in try folder.names().sorted() { try add(name) }
    }

    private convenience init(
        file place: PathLocation,
        _ form: any FileForm,
        _ limit: Int,
        _ checker: PermissionChecker
    ) throws {
        let (directory, name) = PathParts.split(place.path)
        guard try Store.exists(place.path), !["", ".", ".."].contains(name) else {
            throw StoreError.system("open", place.path, .noSuchFileOrDirectory)
        }
        try self.init(folder: directory, form, limit, checker)
        guard let secret = place.name ?? SecretName(form.name(ofFile: name) ?? name) else {
            throw StoreError(
                .usage,
                "\(place.path) has no name for a secret",
                hint: "give it one: NAME=\(quoted(place.path))"
            )
        }
        try add(name, as: secret.text)
    }

    private func add(_ name: String) throws {
        guard !name.hasPrefix(".") else {
            // Kubernetes keeps its own there.
            if !name.hasPrefix("..") { leftOut.append(name) }
            return
        }
        guard let secret = form.name(ofFile: name) else { return leftOut.append(name) }
        guard SecretName(secret) != nil else {
            throw StoreError(.invalid, "\(folder.path(of: name)) has no name for a secret", hint: SecretReference.rule)
        }
        try add(name, as: secret)
    }

    private func add(_ name: String, as secret: String) throws {
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
        names.append(ImportedName(secret))
        files.append(name)
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
        var fresh: [Fresh] = []
        for (name, target) in zip(files, targets) {
            guard let target else { continue }
            let (text, stamp) = try seal(name, target, sealer)
            if stamp.age < Self.quietTime {
                fresh.append(Fresh(index: values.count, name: name, target: target, stamp: stamp))
            }
            values.append(text)
            progress(values.count)
        }
        try settle(fresh, &values, sealer)
        return values
    }

    /// Time without a change after which a file is taken to be written; the stamps of files are no finer than some of it.
    private static let quietTime = Duration.milliseconds(20)
    private static let pause: UInt32 = 20_000
    private static let attempts = 10

    /// Value of a file that was changed just now, so that its writer may not be done.
    private struct Fresh {
        let index: Int
        let name: String
        let target: ImportTarget
        var stamp: FileStamp
    }

    /// Reads again what was changed since it was read, until nobody writes there.
    private func settle(_ fresh: [Fresh], _ values: inout [String], _ sealer: ValueSealer) throws {
        var fresh = fresh
        for _ in 0..<Self.attempts where !fresh.isEmpty {
            usleep(Self.pause)
            var left: [Fresh] = []
            for var item in fresh {
                let place = place(of: item.name)
                guard try open(item.name, in: place).stamp(place.path(of: item.name)) != item.stamp else { continue }
                (values[item.index], item.stamp) = try seal(item.name, item.target, sealer)
                left.append(item)
            }
            fresh = left
        }
        if let item = fresh.first { throw Self.unsettled(place(of: item.name).path(of: item.name)) }
    }

    /// Seals a file that was the same before and after it was read.
    private func seal(_ name: String, _ target: ImportTarget, _ sealer: ValueSealer) throws -> (String, FileStamp) {
        let place = place(of: name)
        let path = place.path(of: name)
        for attempt in 1...Self.attempts {
            let file = try open(name, in: place)
            let before = try file.stamp(path)
            let content: SecureBuffer
            do { content = try read(file, path) } catch {
                // Too large, perhaps, only while it is written.
                guard attempt < Self.attempts, try file.stamp(path) != before else { throw error }
                usleep(Self.pause)
                continue
            }
            guard try file.stamp(path) == before else {
                usleep(Self.pause)
                continue
            }
            let value = try form.open(content, in: name, at: path)
            guard value.count <= limit else { throw tooLarge(path) }
            let text = try value.withBytes { (value) throws(StoreError) in try sealer.seal(value, for: target) }
            return (text, before)
        }
        throw Self.unsettled(path)
    }

    private static func unsettled(_ path: String) -> StoreError {
        StoreError(
            .unavailable,
            "\(path) was written to while it was read",
            hint: "have it written under another name, and renamed when it is whole"
        )
    }

    private func place(of name: String) -> StoreDirectory { linked.contains(name) ? data ?? folder : folder }

    private func open(_ name: String, in place: StoreDirectory) throws -> OwnedDescriptor {
        let path = place.path(of: name)
        guard let file = try place.file(name) else {
            throw StoreError.system("open", path, .noSuchFileOrDirectory)
        }
        let kind = try StoreError.wrapping("examine", path) { () throws(Errno) in try file.status().kind }
        guard kind == .regular else { throw Self.noFile(path) }
        try check(file, path, .deliveredFile)
        return file
    }

    private func read(_ file: borrowing OwnedDescriptor, _ path: String) throws -> SecureBuffer {
        let size = form.contentLimit(limit)
        let content = try SecureBuffer.collecting(
            limit: size,
            orThrow: { StoreError.memory($0) },
            { (bytes, start) throws(StoreError) in
                do throws(Errno) { return try file.read(into: &bytes, from: start) } catch {
                    throw .system("read", path, error)
                }
            }
        )
        guard content.count <= size else { throw tooLarge(path) }
        return content
    }

    private func tooLarge(_ path: String) -> StoreError {
        StoreError(.invalid, "\(path) is larger than \(limit) bytes", hint: "--max-size raises the limit")
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

extension OwnedDescriptor {
    fileprivate func stamp(_ path: String) throws(StoreError) -> FileStamp {
        try StoreError.wrapping("examine", path) { () throws(Errno) in try stamp() }
    }
}

/// `dir:PATH`: a directory with a file for each secret.
struct DirectorySourceType: SourceType {
    let scheme = "dir"
    let location = "PATH"
    let isReadAgain = true
    let isPath = true

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
        try DirectorySource(location, limit: access.limit, checker: access.checker)
    }
}
