// SPDX-License-Identifier: Apache-2.0

package import ProcessControl
package import SecretStore
package import SystemCalls
package import SystemPackage

/// View of a machine: its files below a root, and the answers to what only a call can tell.
///
/// Everything comes in from the top, so that a test can be any machine.
package struct HostView {
    /// Entry of a directory.
    package struct Entry: Sendable, Equatable {
        package let kind: FileStatus.Kind
        package let permissions: UInt16
        package let owner: UInt32

        /// Makes an entry.
        package init(kind: FileStatus.Kind, permissions: UInt16, owner: UInt32) {
            self.kind = kind
            self.permissions = permissions
            self.owner = owner
        }
    }

    /// Prefix of every path that is read; empty for the machine itself.
    package var root: String
    /// The value of a variable.
    package var environment: (String) -> String?
    /// The effective user.
    package var user: UInt32
    /// The present time.
    package var now: Timestamp
    /// The calls.
    package var calls: Calls

    /// Answers to what no file tells.
    package struct Calls {
        /// Error of opening the FUSE device.
        package var openDevice: () -> Errno?
        /// Error of getting secret memory.
        package var secretMemory: () -> Errno?
        /// Failure to mount in namespaces.
        package var namespaces: (_ withUser: Bool) -> NamespaceTrial.Failure?
        /// State of a mounted file system.
        package var mountState: (_ path: String) -> VisibleMounts.State
        /// Takes a mount away.
        package var detach: (_ path: String) -> Errno?
        /// Output of git, the first argument being the directory; nil where there is no git that can be run.
        package var git: (_ directory: String, _ arguments: [String]) -> ProgramOutput?
        /// The path without links.
        package var realPath: (_ path: String) -> String?
        /// Detects a variable, its value unread.
        package var isSet: (_ name: String) -> Bool
        /// Error that making something in a directory would have: access(2), and whether there is room.
        package var canWrite: (_ path: String) -> Errno?
        /// Entry at a path; nil if there is nothing, or nothing that may be seen.
        package var entry: (_ path: String, _ followingLink: Bool) -> Entry?

        /// Makes a set of answers.
        package init(
            openDevice: @escaping () -> Errno?,
            secretMemory: @escaping () -> Errno?,
            namespaces: @escaping (Bool) -> NamespaceTrial.Failure?,
            mountState: @escaping (String) -> VisibleMounts.State,
            detach: @escaping (String) -> Errno?,
            git: @escaping (String, [String]) -> ProgramOutput?,
            realPath: @escaping (String) -> String?,
            isSet: @escaping (String) -> Bool,
            canWrite: @escaping (String) -> Errno?,
            entry: @escaping (String, Bool) -> Entry?
        ) {
            self.openDevice = openDevice
            self.secretMemory = secretMemory
            self.namespaces = namespaces
            self.mountState = mountState
            self.detach = detach
            self.git = git
            self.realPath = realPath
            self.isSet = isSet
            self.canWrite = canWrite
            self.entry = entry
        }
    }

    /// Makes a view.
    package init(
        root: String,
        environment: @escaping (String) -> String?,
        user: UInt32,
        now: Timestamp,
        calls: Calls
    ) {
        self.root = root
        self.environment = environment
        self.user = user
        self.now = now
        self.calls = calls
    }

    /// User 0.
    package var isRoot: Bool { user == 0 }

    /// Beginning of a command that only root may run.
    var sudo: String { isRoot ? "" : "sudo " }

    /// The value of a variable that is not empty.
    func variable(_ name: String) -> String? {
        environment(name).flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Procfs is mounted.
    var hasProc: Bool { entry("/proc/self/ns", followingLink: false) != nil }

    /// Command that mounts procfs.
    var wayToProc: String { "\(sudo)mount -t proc proc /proc" }

    /// Gets the entry at a path.
    func entry(_ path: String, followingLink: Bool = true) -> Entry? {
        calls.entry(root + path, followingLink)
    }

    /// The text of a file, or nil where it cannot be read; at most 4 MiB of it.
    func text(_ path: String) -> String? {
        guard let file = try? OwnedDescriptor.open(root + path, Self.readOnly) else { return nil }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < 4 << 20 {
            var span = chunk.mutableSpan
            guard let count = try? file.read(into: &span) else { return nil }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The lines of a file, or none.
    func lines(_ path: String) -> [Substring] {
        text(path)?.split(separator: "\n") ?? []
    }

    /// The names in a directory, or none.
    func names(_ path: String) -> [String] {
        let directory = try? OwnedDescriptor.openPath(directory: root + path)
        return (try? directory?.entryNames()) ?? []
    }

    /// The number that a file holds.
    func number(_ path: String) -> Int? {
        text(path).flatMap { Int($0.filter { $0 != "\n" }) }
    }

    /// Gets a field of `/proc/self/status`.
    func processStatus(_ name: String) -> String? {
        lines("/proc/self/status").first { $0.hasPrefix("\(name):") }
            .map { String($0.dropFirst(name.count + 1).filter { $0 != "\t" && $0 != " " }) }
    }

    /// The soft and the hard limit that `/proc/self/limits` tells; nil in one of them means unlimited.
    func limit(_ name: String) -> (soft: UInt64?, hard: UInt64?)? {
        guard let line = lines("/proc/self/limits").first(where: { $0.hasPrefix(name) }) else { return nil }
        let fields = line.dropFirst(name.count).split(separator: " ")
        guard fields.count >= 2 else { return nil }
        return (UInt64(fields[0]), UInt64(fields[1]))
    }

    /// Detects a capability in a set of the process, by its number; the effective one if none is named.
    func hasCapability(_ number: Int, in name: String = "CapEff") -> Bool {
        guard let text = processStatus(name), let set = UInt64(text, radix: 16) else { return isRoot }
        return set >> UInt64(number) & 1 == 1
    }

    /// The directories in which programs are looked for.
    var programDirectories: [Substring] {
        (variable("PATH") ?? "/usr/bin:/bin").split(separator: ":").filter { $0.hasPrefix("/") }
    }

    /// The path of a program.
    func program(_ name: String) -> String? {
        programDirectories.map { "\($0)/\(name)" }.first { isProgram($0) }
    }

    /// Detects a program that can be run.
    func isProgram(_ path: String) -> Bool {
        entry(path).map { $0.kind == .regular && $0.permissions & 0o111 != 0 } ?? false
    }
}
