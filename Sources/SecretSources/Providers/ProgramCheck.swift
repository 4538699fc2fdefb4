// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Check of a program that a source starts.
enum ProgramCheck {
    /// Refuses a program that others could have written.
    ///
    /// - Parameters:
    ///   - path: the program.
    ///   - what: what it is for, for messages.
    ///   - checker: whether modes and owners are judged.
    /// - Throws: class `permissions`, or `failed` for what is no program.
    static func check(_ path: String, _ what: String, _ checker: PermissionChecker) throws(StoreError) {
        let status = try StoreError.wrapping("open", path) { () throws(Errno) in
            try FileStatus.ofPath(path, followingLink: true)
        }
        guard status.kind == .regular else { throw StoreError(.permissions, "\(path) is not a regular file") }
        guard status.permissions & 0o111 != 0 else {
            throw StoreError(.failed, "\(what): \(path) cannot be run", hint: "chmod +x \(quoted(path))")
        }
        guard checker.isStrict else { return }
        guard status.permissions & 0o022 == 0 else {
            throw StoreError(
                .permissions,
                "insecure permissions on \(path): mode \(status.permissions.octal), expected 0755",
                hint: "chmod go-w \(quoted(path))"
            )
        }
        guard [0, ProcessAttributes.effectiveUser].contains(status.owner) else {
            throw StoreError(.permissions, "\(path) is owned by uid \(status.owner), who could change it")
        }
    }
}
