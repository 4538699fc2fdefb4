// SPDX-License-Identifier: Apache-2.0

/// What editors leave beside a file.
extension Folder {
    /// The paths of files in this directory that an editor may have left of another, and that may hold what it held.
    package func editorLeftovers(of name: String) throws(StoreError) -> [String] {
        try names().filter { Self.isEditorLeftover($0, of: name) }.sorted().map { path(of: $0) }
    }

    private static func isEditorLeftover(_ entry: String, of name: String) -> Bool {
        let whole = ["\(name)~", "#\(name)#", ".#\(name)", "\(name).orig", "\(name).save", ".\(name).un~"]
        return whole.contains(entry) || entry.hasPrefix(".\(name).sw")
    }
}
