// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SystemCalls
internal import SystemPackage

extension PolicyOptions {
    /// Paths of an option that may be repeated; a path with a comma is no list unless each part of it is a path.
    static func paths(_ arguments: [String]) throws(CommandError) -> [String] {
        try ArgumentList.items(arguments) { text in
            let parts = text.split(separator: ",", omittingEmptySubsequences: false)
            return parts.contains { !$0.isEmpty && !$0.hasPrefix("/") }
                || (try? FileStatus.ofPath(text, followingLink: false)) != nil
        }
    }

    /// Warning of an executable that no process on this machine can be now; a mount looks at it when it begins.
    static func warning(ofExecutable path: String) -> String? {
        let shown = quoted(path)
        guard let status = try? FileStatus.ofPath(path, followingLink: true) else {
            return "\(shown) is not there: nobody can read by it until it is, and a mount begins after that"
        }
        guard status.kind == .regular, status.permissions & 0o111 != 0 else {
            return "\(shown) is no program: nobody can read by it"
        }
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY),
            let start = try? file.readFully(upTo: 2), start == Array("#!".utf8)
        else { return nil }
        return "\(shown) is a script: its process is the interpreter of its first line, which this does not allow"
    }
}
