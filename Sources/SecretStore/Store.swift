// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecureFiles
package import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// An open store: its directory and the place of its manifest, held by descriptors from the first check to the last write.
package struct Store {
    /// The largest key or password file in bytes.
    package static let maximumKeyFileByteCount = 4096

    package let location: StoreLocation
    /// Judge of its files.
    package let checker: PermissionChecker
    /// The store directory; nil only beside a manifest elsewhere.
    package let folder: StoreDirectory?
    private let manifestFolder: StoreDirectory?
    private let manifestName: String

    /// Opens a store.
    ///
    /// - Parameters:
    ///   - location: where it is.
    ///   - checker: who judges its files.
    /// - Throws: class `noStore` if neither a directory nor a manifest elsewhere is there, `permissions` for a link.
    package init(_ location: StoreLocation, checker: PermissionChecker) throws(StoreError) {
        let folder = try StoreDirectory.open(location.directory)
        var manifestFolder: StoreDirectory?
        var manifestName = StoreLocation.manifestName
        if let path = location.manifest {
            let (directory, name) = Self.split(path)
            // The directory of a manifest elsewhere guards nothing: the file is sealed, signed and checked itself.
            manifestFolder = try StoreDirectory.open(directory, followingLink: true)
            // A Kubernetes volume has links that stay in it; what is written goes to the file behind them.
            let place = try manifestFolder?.place(of: name)
            manifestFolder = place?.directory ?? manifestFolder
            manifestName = place?.name ?? name
            if manifestFolder == nil { throw Self.noStore(location) }
        } else if folder == nil {
            throw Self.noStore(location)
        }
        self.location = location
        self.checker = checker
        self.folder = folder
        self.manifestFolder = manifestFolder
        self.manifestName = manifestName
    }

    /// The path of the manifest, for messages.
    package var manifestPath: String {
        location.manifest ?? "\(location.directory)/\(StoreLocation.manifestName)"
    }

    /// The path of the key file, for messages.
    package var keyPath: String { "\(location.directory)/\(StoreLocation.keyName)" }

    package var manifestExpectation: FileRequirement {
        location.manifest == nil ? .privateFile : .sharedManifest
    }

    package func hasManifest() throws(StoreError) -> Bool {
        let place = try manifestPlace()
        return try place.folder.file(place.name) != nil
    }

    /// Presence of a key file in the store directory.
    package func hasKeyFile() throws(StoreError) -> Bool {
        guard let folder else { return false }
        return try folder.file(StoreLocation.keyName) != nil
    }

    /// Checks everything that P3 of the contract names: directory, key, manifest and state.
    ///
    /// Everything is checked again on the descriptor when it is read.
    ///
    /// - Parameter checksState: false for whoever checks the state once the manifest is read, which may say where it is.
    /// - Throws: class `permissions`, or `noStore`.
    package func checkPermissions(withState checksState: Bool = true) throws(StoreError) {
        if let folder {
            try folder.check(.privateDirectory, checker)
            _ = try folder.file(StoreLocation.keyName, .privateFile, checker)
        }
        let place = try manifestPlace()
        guard try place.folder.file(place.name, manifestExpectation, checker) != nil else {
            throw Self.noStore(location)
        }
        if checksState { try checkState(for: nil) }
    }

    /// Reads the manifest file.
    ///
    /// - Throws: class `noStore` if there is none, `permissions`, or `invalid` if it is too large.
    package func readManifest() throws(StoreError) -> FileContents {
        let place = try manifestPlace()
        let limit = Manifest.maximumByteCount
        guard let contents = try place.folder.contents(of: place.name, limit: limit, manifestExpectation, checker)
        else { throw Self.noStore(location) }
        return contents
    }

    /// The open directory that the manifest is in, and its name there.
    package func manifestPlace() throws(StoreError) -> (folder: StoreDirectory, name: String) {
        guard let folder = manifestFolder ?? folder else { throw Self.noStore(location) }
        return (folder, manifestName)
    }

    /// Reads the key file in the store directory.
    ///
    /// - Returns: the key, or nil if there is no key file.
    /// - Throws: class `permissions`, or `authentication` if it does not hold a key.
    package func readKeyFile() throws(StoreError) -> Key256? {
        guard let folder,
            let text = try folder.secret(StoreLocation.keyName, limit: Self.maximumKeyFileByteCount, checker)
        else { return nil }
        return try text.withBytes { (text) throws(StoreError) in try KeyFile.parse(text, from: keyPath) }
    }

    /// Reads a key file, a password file or an identity file anywhere: private, or as it was delivered in memory.
    ///
    /// - Returns: its content.
    /// - Throws: class `permissions`, or `failed` if it is not there.
    package static func readSecretFile(
        _ path: String,
        limit: Int = maximumKeyFileByteCount,
        _ checker: PermissionChecker
    ) throws(StoreError) -> SecureBuffer {
        let (directory, name) = split(path)
        if let number = DescriptorPath.number(path) {
            throw StoreError(
                .usage,
                "\(path) is an open descriptor, no file",
                hint: "name its number: --key-fd \(number), --password-fd \(number)"
            )
        }
        guard let folder = try StoreDirectory.open(directory, followingLink: true),
            let file = try folder.keyFile(name, checker)
        else { throw .system("open", path, .noSuchFileOrDirectory) }
        return try file.secret(limit: limit)
    }

    /// Opens the directory of a file that is to be written.
    ///
    /// - Returns: the directory, and the name of the file in it.
    /// - Throws: class `failed` where there is no such directory, or the path names no file.
    package static func place(ofNew path: String) throws(StoreError) -> (directory: StoreDirectory, name: String) {
        let (directory, name) = split(path)
        guard !["", ".", ".."].contains(name), let folder = try StoreDirectory.open(directory, followingLink: true)
        else { throw .system("create", path, .noSuchFileOrDirectory) }
        return (folder, name)
    }

    /// Presence of a file at a path that was not named by anybody.
    package static func exists(_ path: String) throws(StoreError) -> Bool {
        let (directory, name) = split(path)
        guard let folder = try StoreDirectory.open(directory, followingLink: true) else { return false }
        return try folder.file(name) != nil
    }

    package static func noStore(_ location: StoreLocation) -> StoreError {
        let path = location.manifest ?? location.directory
        let hint =
            isCovered(location.directory)
            ? "a job does not see the store that it is run with: credfs run --keep-store lets it"
            : "make one with: credfs init"
        return StoreError(.noStore, "no store at \(path)", hint: hint)
    }

    /// Detects the empty, read-only directory in memory that `run` puts over a store.
    package static func isCovered(_ directory: String) -> Bool {
        guard let directory = try? OwnedDescriptor.openPath(directory: directory), directory.isInMemory,
            (try? directory.status().permissions) == 0o500
        else { return false }
        return (try? directory.entryNames())?.isEmpty == true
    }

    package static func split(_ path: String) -> (directory: String, name: String) { PathParts.split(path) }
}
