// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Synchronization
import Testing

/// Two users, root and an ordinary one, with the same store each.
///
/// What jobs of the ordinary user need is made in a mount namespace for each of them, so that nothing of the machine is
/// changed and nothing has to be restored: a /dev/fuse for everybody, as udev makes it outside containers; a drop-in of
/// root's in /etc/ssh/ssh_config.d; a setuid program at `$WORLD/id`.
final class Host: Sendable {
    @TaskLocal static var lent: Host?

    /// One whom every Debian has; not 65534, which every other user is in a user namespace.
    static let ordinaryUser = "33"

    /// Where programs are looked for, all of them Debian's.
    static let path = "/usr/sbin:/usr/bin:/sbin:/bin"

    /// The host of the running suite.
    static var current: Host {
        get throws { try #require(lent) }
    }

    let directory: TemporaryDirectory
    /// The value of every secret but LARGE, which only a store of its own has: everything with it takes longer.
    let secrets: [String: [UInt8]]
    private let count = Atomic(0)

    init() async throws {
        directory = try TemporaryDirectory()
        try Self.setMode(0o755, directory.path)
        secrets = try await Self.makeSecrets(in: directory.path)
        try await makeUsers()
    }

    /// The home of a user, which holds the store and the runtime directory.
    func home(_ user: Way.User) -> String { directory.path(user == .root ? "root" : "ordinary") }

    /// How a job ended, and where.
    struct Outcome: Sendable {
        let job: ChildProcess.Outcome
        /// What was in `$CREDENTIALS_DIRECTORY`.
        let place: String

        var text: String { job.outputText }
    }

    /// Runs a shell script as a job and expects that nothing is left of it.
    ///
    /// `before` is a shell script that whoever starts credfs runs first; `command` comes before all of it, in place of what
    /// makes it the user. The job finds the values in `$EXPECTED`, and a directory of its own in `$HOME`, where it starts.
    func run(
        _ way: Way,
        _ script: String,
        shell: String = "/bin/sh",
        adding variables: [String: String] = [:],
        needsLarge: Bool = false,
        isInWorld: Bool = false,
        as command: [String]? = nil,
        before: String = "",
        at location: SourceLocation = #_sourceLocation
    ) async throws -> Outcome {
        let home = home(way.user)
        let scratch = "\(home)/scratch-\(count.add(1, ordering: .relaxed).newValue)"
        try Self.makeDirectory(scratch, of: way.user)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        var environment = [
            "PATH": Self.path, "LC_ALL": "C", "HOME": scratch, "TMPDIR": scratch,
            "CREDFS_STORE": "\(home)/\(needsLarge ? "large" : "store")", "XDG_RUNTIME_DIR": "\(home)/run",
            "EXPECTED": "\(home)/expected",
            "CREDFS": PackageDirectory.program("credfs"), "WORLD": directory.path("world"), "OPTIONS": "",
        ]
        environment.merge(variables) { $1 }
        let job = [shell, "-euc", "printf '%s' \"$CREDENTIALS_DIRECTORY\" >\"$HOME/place\"\n" + script]
        let usual = way.user == .root ? [] : Self.asOrdinaryUser(isBound: !way.allowsNewPrivileges)
        var command = (command ?? usual) + ["/bin/sh", "-euc", "cd \"$HOME\"\n\(before)\n\(way.script)", "sh"] + job
        if way.user == .ordinary || isInWorld {
            command = ["unshare", "--mount", "/bin/sh", "-euc", Self.world, "sh"] + command
        }
        let outcome = try await ChildProcess.run("/usr/bin/env", ["--"] + command, environment: environment)
        let place = (try? Data(contentsOf: URL(filePath: "\(scratch)/place"))).map {
            String(decoding: $0, as: UTF8.self)
        }
        try await expectNothingLeft(of: way.user, place, at: location)
        return Outcome(job: outcome, place: place ?? "")
    }

    /// Runs a shell script as a job, which must succeed.
    ///
    /// - Returns: what it wrote.
    @discardableResult
    func read(
        _ way: Way,
        _ script: String,
        shell: String = "/bin/sh",
        adding variables: [String: String] = [:],
        needsLarge: Bool = false,
        isInWorld: Bool = false,
        before: String = "",
        at location: SourceLocation = #_sourceLocation
    ) async throws -> String {
        let outcome = try await run(
            way,
            script,
            shell: shell,
            adding: variables,
            needsLarge: needsLarge,
            isInWorld: isInWorld,
            before: before,
            at: location
        )
        #expect(
            outcome.job.status == .exited(0),
            "\(outcome.job.outputText)\(outcome.job.errorText)",
            sourceLocation: location
        )
        return outcome.text
    }

    /// What a command needs before it to run as the ordinary user.
    ///
    /// - Parameters:
    ///   - isBound: whether it can gain no privileges any more.
    ///   - groups: its supplementary groups.
    /// - Returns: the words.
    static func asOrdinaryUser(isBound: Bool, groups: String? = nil) -> [String] {
        let identity = ["setpriv", "--reuid", ordinaryUser, "--regid", ordinaryUser]
        return identity + (groups.map { ["--groups", $0] } ?? ["--clear-groups"]) + (isBound ? ["--no-new-privs"] : [])
            + ["--"]
    }

    /// Expects that neither user has a process, a mount or a file more than at first.
    func expectNothingLeft() async throws {
        defer { endWhatIsLeft() }
        for user in Way.User.allCases {
            try await expectNothingLeft(of: user, nil, at: #_sourceLocation)
            let names = try FileManager.default.contentsOfDirectory(atPath: home(user)).sorted()
            #expect(names == ["expected", "large", "run", "store"])
            for store in ["store", "large"] {
                let files = try FileManager.default.contentsOfDirectory(atPath: "\(home(user))/\(store)").sorted()
                #expect(files == [".gitignore", "secrets.key", "secrets.yaml", "secrets.yaml.bak", "state"])
            }
        }
    }

    private func expectNothingLeft(of user: Way.User, _ place: String?, at location: SourceLocation) async throws {
        let runtime = "\(home(user))/run"
        // Who served a mount ends a moment after it is gone.
        let deadline = ContinuousClock.now + .seconds(5)
        while try !Self.processes(with: runtime).isEmpty, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: runtime) == [], sourceLocation: location)
        #expect(try Self.processes(with: runtime) == [], sourceLocation: location)
        let mounts = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
        #expect(!mounts.contains(directory.path), sourceLocation: location)
        if let place {
            #expect(
                place.hasPrefix("/dev/shm/credfs-") || place.hasPrefix("\(runtime)/credfs/"),
                sourceLocation: location
            )
            #expect(!FileManager.default.fileExists(atPath: place), sourceLocation: location)
        }
    }

    /// After a failed test: nothing of it may disturb others.
    private func endWhatIsLeft() {
        for user in Way.User.allCases {
            for line in (try? Self.processes(with: "\(home(user))/run")) ?? [] {
                if let id = line.split(separator: " ").first.flatMap({ Int32($0) }) { kill(id, SIGKILL) }
            }
        }
        let mounts = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
        for line in mounts.split(separator: "\n") where line.contains(directory.path) {
            unsafe umount2(String(line.split(separator: " ")[4]), Int32(MNT_DETACH))
        }
    }

    /// Processes that have a path in their arguments or in their environment.
    private static func processes(with path: String) throws -> [String] {
        let ids = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { $0.allSatisfy(\.isNumber) }
        let needle = Data(path.utf8)
        return ids.compactMap { id in
            let words = ["cmdline", "environ"].compactMap { name in
                try? Data(contentsOf: URL(filePath: "/proc/\(id)/\(name)", directoryHint: .notDirectory))
            }
            guard words.contains(where: { $0.range(of: needle) != nil }) else { return nil }
            return "\(id) " + String(decoding: words[0], as: UTF8.self).replacing("\0", with: " ")
        }
    }
}

extension Host {
    /// Makes the world of a job, and runs it there.
    private static let world = """
        mount -t tmpfs -o mode=755,size=4m tmpfs "$WORLD"
        cp -a /dev/fuse "$WORLD/fuse"
        chmod 0666 "$WORLD/fuse"
        mount --bind "$WORLD/fuse" /dev/fuse
        mkdir -p "$WORLD/ssh_config.d"
        printf 'Host *\\n    ServerAliveInterval 30\\n' >"$WORLD/ssh_config.d/site.conf"
        mount --bind "$WORLD/ssh_config.d" /etc/ssh/ssh_config.d
        cp /usr/bin/id "$WORLD/id"
        chmod 4755 "$WORLD/id"
        git init --quiet "$WORLD/repository"
        exec "$@"
        """

    /// Makes what the jobs of a user find, and gives it to that user.
    private func makeUsers() async throws {
        try Self.makeDirectory(directory.path("world"), of: .root, mode: 0o755)
        for user in Way.User.allCases {
            try Self.makeDirectory(home(user), of: user)
            for name in ["run", "expected"] { try Self.makeDirectory("\(home(user))/\(name)", of: user) }
        }
        for (store, secrets) in [("store", secrets), ("large", Self.large)] {
            let place = ["HOME": home(.root), "CREDFS_STORE": "\(home(.root))/\(store)"]
            try await Self.credfs(["init", "--empty"], place)
            for (name, value) in secrets.sorted(by: { $0.key < $1.key }) {
                if let template = Self.templates[name] {
                    try await Self.credfs(["set", name, "--template", "-"], place, input: Array(template.utf8))
                } else {
                    try await Self.credfs(["set", "--allow-empty", name], place, input: value)
                }
                try Data(value).write(to: URL(filePath: "\(home(.root))/expected/\(name)"))
            }
        }
        try await Self.tool(
            """
            cp -a "$1/root/store" "$1/root/large" "$1/root/expected" "$1/ordinary/"
            chown -R "$2:$2" "$1/ordinary"
            """,
            directory.path,
            Self.ordinaryUser
        )
    }

    private static func credfs(_ arguments: [String], _ place: [String: String], input: [UInt8] = []) async throws {
        let program = PackageDirectory.program("credfs")
        let outcome = try await ChildProcess.run(program, arguments, environment: place, standardInput: input)
        try #require(outcome.status == .exited(0), "\(arguments): \(outcome.errorText)")
    }

    /// Runs a shell script that prepares something; it must succeed.
    ///
    /// - Returns: what it wrote.
    @discardableResult
    static func tool(
        _ script: String,
        _ first: String...,
        arguments: [String] = [],
        at location: SourceLocation = #_sourceLocation
    ) async throws -> String {
        let outcome = try await ChildProcess.run(
            "/bin/bash",
            ["-euc", script, "bash"] + first + arguments,
            environment: ["PATH": path, "LC_ALL": "C"]
        )
        try #require(
            outcome.status == .exited(0),
            "\(outcome.outputText)\(outcome.errorText)",
            sourceLocation: location
        )
        return outcome.outputText
    }

    private static func makeDirectory(_ path: String, of user: Way.User, mode: Int = 0o700) throws {
        let identity = user == .root ? 0 : try #require(Int(ordinaryUser))
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false,
            attributes: [.ownerAccountID: identity, .groupOwnerAccountID: identity]
        )
        try setMode(mode, path)
    }

    private static func setMode(_ mode: Int, _ path: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    /// Makes keys and certificates with the programs that people make them with, and values of every kind.
    private static func makeSecrets(in directory: String) async throws -> [String: [UInt8]] {
        let path = "\(directory)/made"
        try makeDirectory(path, of: .root)
        try await tool(
            """
            cd "$1"
            ssh-keygen -q -t ed25519 -N '' -C reader -f SSH_KEY
            key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'
            openssl req -x509 $key -subj /CN=authority -keyout authority.key -out TLS_CA
            for name in server client; do
                openssl req $key -subj "/CN=$name" -keyout "$name.key" -out "$name.request"
                printf 'subjectAltName=IP:127.0.0.1\\n' >extensions
                openssl x509 -req -days 2 -in "$name.request" -CA TLS_CA -CAkey authority.key -CAcreateserial \\
                    -extfile extensions -out "$name.certificate"
            done
            mv client.key TLS_KEY
            mv client.certificate TLS_CERTIFICATE
            """,
            path
        )
        var secrets: [String: [UInt8]] = [
            "BINARY": Self.pattern(4099), "ZERO": [0], "EMPTY": [],
            "name with spaces": Array("spaced".utf8), "PASSWORD": Array("not-a-real-password".utf8),
            "PASSPHRASE": Array("not a real passphrase\n".utf8),
            "DB_PASSWORD": Array(#"not:a\real*password"#.utf8),
            "PASSWORD_LINE": Array((#"127.0.0.1:*:postgres:reader:not\:a\\real\*password"# + "\n").utf8),
        ]
        for name in ["SSH_KEY", "TLS_CA", "TLS_KEY", "TLS_CERTIFICATE"] {
            secrets[name] = [UInt8](try Data(contentsOf: URL(filePath: "\(path)/\(name)")))
        }
        return secrets
    }

    /// Templates of those that are rendered from others.
    private static let templates = ["PASSWORD_LINE": "127.0.0.1:*:postgres:reader:{{ DB_PASSWORD | pgpass }}\n"]

    private static let large = ["LARGE": pattern(1 << 20), "BINARY": pattern(4099), "ODD": pattern(1037), "ZERO": [0]]

    /// Bytes that differ from their neighbours and from block to block, with zeros among them and at both ends.
    private static func pattern(_ count: Int) -> [UInt8] {
        var bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ ($0 >> 8)) }
        bytes[count - 1] = 0
        return bytes
    }
}
