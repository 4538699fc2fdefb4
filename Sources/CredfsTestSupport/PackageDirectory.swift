// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// Where the package and what was built from it lie.
package enum PackageDirectory {
    /// The directory that holds Package.swift.
    package static let root = URL(filePath: #filePath, directoryHint: .notDirectory)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path(percentEncoded: false)

    /// The directory that holds the running test program, and with it every program of the package.
    package static let products = URL(filePath: "/proc/self/exe", directoryHint: .notDirectory)
        .resolvingSymlinksInPath().deletingLastPathComponent().path(percentEncoded: false)

    /// The path of a program of this package.
    package static func program(_ name: String) -> String { products + name }
}
