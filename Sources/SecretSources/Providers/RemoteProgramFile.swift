// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// File of the program that asks servers on the network: beside credfs, or where packages put helpers of a program.
///
/// It is never looked for in PATH: who could put a program there would get what it is told.
enum RemoteProgramFile {
    /// Name of the program.
    static let name = "credfs-remote"

    /// Finds the program.
    ///
    /// - Parameters:
    ///   - scheme: the kind of source that wants it.
    ///   - checker: judge of the file.
    /// - Returns: its path.
    /// - Throws: class `failed` where it is missing, `permissions` where others could have written it.
    static func find(for scheme: String, _ checker: PermissionChecker) throws(StoreError) -> String {
        guard let own = ProcessAttributes.executable(of: ProcessAttributes.processID),
            let slash = own.lastIndex(of: "/")
        else { throw StoreError(.failed, "\(scheme): cannot tell where credfs is, since /proc is missing") }
        let directory = own[..<slash]
        let places = ["\(directory)/\(name)", "\(directory)/../libexec/\(name)"]
        let path = places.first { (try? FileStatus.ofPath($0, followingLink: true)) != nil }
        guard let path else {
            throw StoreError(
                .failed,
                "\(scheme): \(name) is missing, which asks servers on the network",
                hint: "it is installed with credfs, in \(directory) or in libexec beside that"
            )
        }
        try ProgramCheck.check(path, scheme, checker)
        return path
    }

    /// The process that asks a server.
    ///
    /// - Parameters:
    ///   - scheme: the kind of source.
    ///   - location: which secrets, as the program takes it.
    ///   - settings: settings of the kind, and what names stand for.
    ///   - limit: the largest value in bytes.
    ///   - checker: judge of the program's file.
    /// - Returns: the program and its arguments.
    /// - Throws: what is wrong with the program.
    static func command(
        _ scheme: String,
        _ location: String,
        _ settings: AskedSettings,
        limit: Int,
        _ checker: PermissionChecker
    ) throws(StoreError) -> ProviderClient.Command {
        let own = settings.own.map { "\($0.key)=\($0.value)" }.sorted()
        let ids = settings.ids.map { "name:\($0.key.text)=\($0.value)" }.sorted()
        return ProviderClient.Command(
            try find(for: scheme, checker),
            [name, scheme, String(limit), location] + own + ids,
            // The allocator overwrites what is freed: libcurl and libcrypto have copies of values on their way.
            environment: ["GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"]
        )
    }
}
