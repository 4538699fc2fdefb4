// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Paths that are found again from another working directory, in another process too.
enum AbsolutePath {
    /// The path with the working directory before it, if it is relative.
    ///
    /// - Throws: class `failed` where the working directory has no path.
    static func of(_ path: String) throws(StoreError) -> String {
        path.hasPrefix("/") ? path : "\(try workingDirectory())/\(path)"
    }

    /// The path of the working directory.
    ///
    /// - Throws: class `failed` where it has none.
    static func workingDirectory() throws(StoreError) -> String {
        try StoreError.wrapping("find", "the working directory") { () throws(Errno) in
            try OwnedDescriptor.workingDirectory()
        }
    }
}
