// SPDX-License-Identifier: Apache-2.0

package import SecureFiles
internal import SystemPackage

extension Configuration {
    /// A configuration and the file that it is from.
    package struct Found: Sendable, Equatable {
        /// The path, for messages; nil where there is no file.
        package let path: String?
        package let configuration: Configuration

        /// No file: the usual configuration.
        package static let none = Found(path: nil, configuration: Configuration())
    }

    /// Finds the configuration: the named file, else the first of those in the store directory, in the user's
    /// configuration directory and in /etc/credfs.
    ///
    /// - Parameters:
    ///   - path: a file that a flag or variable names, which must be there.
    ///   - store: the store directory; nil where it is not known.
    ///   - checker: the judge of the file.
    ///   - environment: the value of a variable.
    /// - Returns: what was found; the usual one without a path where there is none.
    /// - Throws: class `permissions` where others can write the file, or `invalid`, or `failed` where it cannot be read.
    package static func find(
        named path: String?,
        store: String?,
        _ checker: PermissionChecker,
        environment: (String) -> String?
    ) throws(StoreError) -> Found {
        if let path {
            let (directory, name) = Store.split(path)
            guard let folder = try StoreDirectory.open(directory, followingLink: true),
                let found = try read(name, in: folder, checker)
            else { throw .system("open", path, .noSuchFileOrDirectory) }
            return found
        }
        let own = BaseDirectory.configuration.path(environment).map { "\($0)/credfs" }
        for directory in [store, own, "/etc/credfs"] {
            // A directory that cannot be entered belongs to somebody else; a store that cannot is told of by its command.
            guard let directory, let folder = try? StoreDirectory.open(directory, followingLink: true),
                let found = try read(fileName, in: folder, checker)
            else { continue }
            return found
        }
        return .none
    }

    private static func read(
        _ name: String,
        in folder: StoreDirectory,
        _ checker: PermissionChecker
    ) throws(StoreError) -> Found? {
        guard let file = try folder.contents(of: name, limit: maximumByteCount, .configuration, checker) else {
            return nil
        }
        let path = folder.path(of: name)
        do throws(StoreError) {
            return Found(path: path, configuration: try read(file.bytes.span))
        } catch {
            throw StoreError(error.code, "\(path): \(error.message)", hint: error.hint)
        }
    }
}

extension FileRequirement {
    /// A file that others may read and only its owner may write.
    fileprivate static var configuration: FileRequirement { .sharedManifest }
}
