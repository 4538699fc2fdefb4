// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// Directories of the package and of what was built from it.
package enum PackageDirectory {
    /// The directory that holds Package.swift.
    package static let root = URL(filePath: #filePath, directoryHint: .notDirectory)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path(percentEncoded: false)

    /// The directory that holds the running test program, and with it every program of the package.
    package static let products = URL(filePath: "/proc/self/exe", directoryHint: .notDirectory)
        .resolvingSymlinksInPath().deletingLastPathComponent().path(percentEncoded: false)

    /// The name that SwiftPM gives the compiler for `package` access: the directory's, as an identifier.
    package static let moduleSafeName: String = {
        let name = URL(filePath: root, directoryHint: .isDirectory).lastPathComponent.lowercased()
        let identifier = String(name.map { $0.isLetter || $0.isNumber ? $0 : "_" })
        return identifier.first?.isNumber == true ? "_" + identifier : identifier
    }()

    /// The path of a program of this package: for those that are shipped the shipped one, where CREDFS_PROGRAM names credfs.
    package static func program(_ name: String) -> String {
        guard let shipped = ProcessInfo.processInfo.environment["CREDFS_PROGRAM"] else { return products + name }
        switch name {
        case "credfs": return shipped
        case "credfs-remote":
            let directory = URL(filePath: shipped, directoryHint: .notDirectory).deletingLastPathComponent()
            return directory.path(percentEncoded: false) + name
        default: return products + name
        }
    }
}
