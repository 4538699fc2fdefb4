// SPDX-License-Identifier: Apache-2.0

package import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Directory of a store, or one that a command is told of.
package typealias StoreDirectory = Directory<StoreError>

extension StoreError: FileFailure {
    package init(_ error: FileError) {
        switch error.kind {
        case .insecure, .denied: self.init(.permissions, error.message, hint: error.hint)
        case .system: self.init(.failed, error.message, hint: error.hint)
        case .tooLarge: self.init(.invalid, error.message, hint: error.hint)
        case .tooLong: self.init(.authentication, error.message, hint: error.hint)
        case .memory(let error): self = .memory(error)
        }
    }
}

extension StoreDirectory {
    /// Looks for a work tree of git: a directory at or above this one that has a `.git`.
    package func isInGitWorkTree() throws(StoreError) -> Bool {
        try StoreError.wrapping("examine", path) { () throws(Errno) in
            var directory = try descriptor.duplicate()
            while true {
                if (try? directory.openEntry(".git")) != nil { return true }
                let parent = try directory.openEntry("..")
                if try directory.status().identity == parent.status().identity { return false }
                directory = parent
            }
        }
    }

    /// The paths of files in this directory that an editor may have left of another, and that may hold what it held.
    package func editorLeftovers(of name: String) throws(StoreError) -> [String] {
        try names().filter { Self.isEditorLeftover($0, of: name) }.sorted().map { path(of: $0) }
    }

    private static func isEditorLeftover(_ entry: String, of name: String) -> Bool {
        let whole = ["\(name)~", "#\(name)#", ".#\(name)", "\(name).orig", "\(name).save", ".\(name).un~"]
        return whole.contains(entry) || entry.hasPrefix(".\(name).sw")
    }
}
