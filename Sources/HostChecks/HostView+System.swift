// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import SecretStore
internal import SystemCalls
internal import SystemPackage

extension HostView {
    // O_NONBLOCK: whatever lies there, nobody waits for it.
    static let readOnly = O_RDONLY | O_NONBLOCK | O_NOCTTY

    /// The machine itself.
    ///
    /// - Parameters:
    ///   - environment: the value of a variable.
    ///   - childEnvironment: what programs get that are asked something: nothing that opens a store.
    ///   - user: the effective user.
    ///   - now: the present time.
    /// - Returns: the view.
    package static func system(
        environment: @escaping (String) -> String?,
        childEnvironment: [String],
        user: UInt32,
        now: Timestamp
    ) -> HostView {
        var host = HostView(
            root: "",
            environment: environment,
            user: user,
            now: now,
            calls: Calls(
                openDevice: { failure { () throws(Errno) in _ = try FuseMount.openDevice() } },
                secretMemory: { failure { () throws(Errno) in _ = try Memory.secretFile(byteCount: 4096) } },
                namespaces: { HostProbe.namespaces(withUser: $0) },
                mountState: { HostProbe.state(ofMount: $0) },
                detach: { _ in nil },
                git: { _, _ in nil },
                realPath: { OwnedDescriptor.realPath($0) },
                isSet: { EnvironmentVariables.isSet($0) },
                canWrite: { path in failure { () throws(Errno) in try FileStatus.checkRoom(in: path) } },
                entry: { path, followingLink in
                    (try? FileStatus.ofPath(path, followingLink: followingLink))
                        .map { Entry(kind: $0.kind, permissions: $0.permissions, owner: $0.owner) }
                }
            )
        )
        let helper = FuseMount.helperPlaces.first { host.isProgram($0) }
        host.calls.detach = { path in detach(path, isRoot: user == 0, helper: helper) }
        if let git = host.program("git") {
            // What a hook of git or its user set for another repository does not hold for this one.
            let variables = childEnvironment.filter { !$0.hasPrefix("GIT_") } + ["GIT_OPTIONAL_LOCKS=0"]
            host.calls.git = { directory, arguments in
                // A repository can name programs that git runs; none is needed for a question about names.
                let options = ["-c", "core.fsmonitor=false", "-C", directory]
                return try? ProgramOutput.of(
                    git,
                    arguments: ["git"] + options + arguments,
                    environment: variables,
                    seconds: 10
                )
            }
        }
        return host
    }

    private static func detach(_ path: String, isRoot: Bool, helper: String?) -> Errno? {
        if isRoot { return failure { () throws(Errno) in try FuseMount.detach(path) } }
        guard let helper else { return .noSuchFileOrDirectory }
        let output = try? ProgramOutput.of(
            helper,
            arguments: ["fusermount3", "-u", "-z", "--", path],
            environment: [],
            seconds: 5
        )
        return output?.status == 0 ? nil : .notPermitted
    }

    private static func failure(_ body: () throws(Errno) -> Void) -> Errno? {
        do throws(Errno) {
            try body()
            return nil
        } catch { return error }
    }
}
