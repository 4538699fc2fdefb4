// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import ProcessControl
internal import SecretStore
internal import SecureFiles
internal import SystemCalls

/// Kind of source that is asked over time, by a process of its own.
protocol AskedSourceType: SourceType {
    /// Most names of one request.
    var batchLimit: Int { get }
    /// Attempts for one request.
    var attempts: Int { get }
    /// Requests in a second, in the long run; nil for no limit.
    var requestsPerSecond: Double? { get }

    /// Keys of settings that it alone has.
    var ownKeys: [String] { get }
    /// Its secrets have names of their own, which `names` can tell as `NAME=ID`.
    var namesHaveIDs: Bool { get }

    /// Detects a location that is a path, which is meant in the working directory of the start.
    func isPath(_ location: String) -> Bool

    /// Completes settings by what the location says.
    ///
    /// - Throws: class `usage` for what cannot be meant.
    func complete(_ settings: inout AskedSettings, _ location: String) throws(StoreError)

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
    var namesHaveIDs: Bool { false }

    func isPath(_ location: String) -> Bool { false }

    func complete(_ settings: inout AskedSettings, _ location: String) throws(StoreError) {}

    func open(_ location: String, _ access: SourceAccess) throws -> any SecretSource {
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
    let ownKeys = ["newline"]

    /// A program without a slash is looked for in PATH.
    func isPath(_ location: String) -> Bool { location.contains("/") }

    func command(
        _ location: String,
        _ settings: AskedSettings,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(StoreError) -> ProviderClient.Command {
        let path = try Self.find(location)
        try ProgramCheck.check(path, "exec", checker)
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
}
