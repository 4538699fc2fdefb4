// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Kind of source that is asked over time, by a process of its own.
protocol AskedSourceType: SourceType {
    /// Most names of one request.
    var batchLimit: Int { get }
    /// Attempts for one request.
    var attempts: Int { get }
    /// Requests in a second, in the long run; nil for no limit.
    var requestsPerSecond: Double? { get }

    /// The process that asks, which speaks `ProviderMessage`.
    ///
    /// - Parameters:
    ///   - location: what follows the colon, without settings.
    ///   - settings: what follows the question mark.
    ///   - limit: the largest value in bytes.
    ///   - checker: judge of its files.
    /// - Returns: the program and its arguments.
    /// - Throws: what is wrong with it.
    func command(
        _ location: String,
        _ settings: AskedSettings,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(StoreError) -> ProviderClient.Command
}

extension AskedSourceType {
    var isReadAgain: Bool { true }
    var isPath: Bool { false }

    func open(_ location: String, limit: Int, _ checker: PermissionChecker) throws -> any SecretSource {
        throw StoreError(.usage, "\(scheme) is asked over time, and cannot be read as a whole")
    }
}

/// `exec:PROGRAM`: a program that is called with the name of a secret and writes its value.
struct ExecSourceType: AskedSourceType {
    let scheme = "exec"
    let location = "PROGRAM[?names=NAMES]"
    let batchLimit = 1
    /// What a program says is not bettered by asking again at once.
    let attempts = 1
    let requestsPerSecond: Double? = nil

    func command(
        _ location: String,
        _ settings: AskedSettings,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(StoreError) -> ProviderClient.Command {
        let path = try Self.find(location)
        try Self.check(path, checker)
        let words = ProviderHelper.words(program: path, limit: limit, keepsNewline: settings.keepsNewline)
        return ProviderClient.Command(OwnProgram.path, OwnProgram.arguments(ProviderHelper.mode, words))
    }

    /// The path of a program, which is looked for in PATH if its name has no slash.
    private static func find(_ name: String) throws(StoreError) -> String {
        guard !name.contains("/") else { return name }
        for directory in (EnvironmentVariables.value("PATH") ?? "").split(separator: ":")
        where directory.hasPrefix("/") {
            let path = "\(directory)/\(name)"
            if (try? FileStatus.ofPath(path, followingLink: true).kind) == .regular { return path }
        }
        throw StoreError(.failed, "exec: there is no program \(name) in PATH", hint: "name its path")
    }

    /// Refuses a program that others could have written.
    private static func check(_ path: String, _ checker: PermissionChecker) throws(StoreError) {
        let status = try StoreError.wrapping("open", path) { () throws(Errno) in
            try FileStatus.ofPath(path, followingLink: true)
        }
        guard status.kind == .regular else { throw StoreError(.permissions, "\(path) is not a regular file") }
        guard status.permissions & 0o111 != 0 else {
            throw StoreError(.failed, "exec: \(path) cannot be run", hint: "chmod +x \(quoted(path))")
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
