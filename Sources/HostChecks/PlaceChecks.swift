// SPDX-License-Identifier: Apache-2.0

internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The directory that mounts are made in, and what was left there.
package enum PlaceChecks {
    package static func run(_ host: HostView) -> [Finding] { [processes(host), runtime(host), staleMounts(host)] }

    // MARK: The file system of processes

    /// Checks procfs, through which `run`, `mount` and the editor are started and callers are identified.
    static func processes(_ host: HostView) -> Finding {
        guard host.hasProc else {
            return .problem(
                .processes,
                "/proc is not mounted: 'run', 'mount', 'edit' and others need it",
                fix: host.wayToProc
            )
        }
        let options = host.lines("/proc/self/mountinfo").filter { MountInfo(line: $0)?.path == "/proc" }
            .flatMap { $0.split { $0 == " " || $0 == "," } }
        let hides = options.last { $0.hasPrefix("hidepid=") && !["hidepid=0", "hidepid=off"].contains($0) }
        guard let hides, !host.isRoot else { return .ok(.processes, "/proc is mounted") }
        return .ok(
            .processes,
            "/proc is mounted with \(hides): processes of other users, such as setuid programs of a job, are not "
                + "known as members of a job"
        )
    }

    // MARK: The runtime directory

    /// Advice where the mode or owner of a directory is for the system to change.
    private static let other = "set XDG_RUNTIME_DIR to a directory of your own"

    /// The rules are those of the directory's user (`RuntimeDirectory` in Jobs).
    static func runtime(_ host: HostView) -> Finding {
        let path = host.variable("XDG_RUNTIME_DIR")
        if let path, path.hasPrefix("/") { return named(path, host) }
        let finding = host.isRoot ? shared("/run", host) : temporary(host)
        guard finding.status == .ok else { return finding }
        guard let path else { return finding }
        return .warning(
            .runtimeDirectory,
            "XDG_RUNTIME_DIR is ignored: not an absolute path: \(path); \(finding.message)",
            fix: "unset XDG_RUNTIME_DIR"
        )
    }

    private static func named(_ path: String, _ host: HostView) -> Finding {
        let unset = "unset XDG_RUNTIME_DIR"
        let found = host.entry(path, followingLink: false)
        if let found, found.kind != .directory {
            return .problem(.runtimeDirectory, "XDG_RUNTIME_DIR is no directory: \(path)", fix: other)
        }
        guard let entry = found else {
            let make = "mkdir -m 0700 \(quoted(path))"
            let fix = "log in through a session that makes it, \(make), or \(unset)"
            return .problem(.runtimeDirectory, "XDG_RUNTIME_DIR is no directory: \(path)", fix: fix)
        }
        return owned(path, entry, host, otherwise: unset, forbidden: 0o022)
    }

    private static func shared(_ path: String, _ host: HostView) -> Finding {
        guard let entry = host.entry(path), entry.kind == .directory else {
            return .problem(.runtimeDirectory, "there is no \(path)", fix: "mkdir -m 0755 \(path)")
        }
        guard entry.owner == 0, entry.permissions & 0o022 == 0 else {
            return .problem(
                .runtimeDirectory,
                "\(path) can be changed by others than root: uid \(entry.owner), mode \(entry.permissions.octal)",
                fix: other
            )
        }
        return roomy(path, host)
    }

    private static func temporary(_ host: HostView) -> Finding {
        let path = "/tmp/credfs-\(host.user)"
        if let entry = host.entry(path, followingLink: false) {
            guard entry.kind == .directory else {
                let fix = "\(host.sudo)rm \(path), or set XDG_RUNTIME_DIR"
                return .problem(.runtimeDirectory, "\(path) is not a directory", fix: fix)
            }
            return owned(
                path,
                entry,
                host,
                otherwise: other,
                forbidden: 0o077
            )
        }
        guard let parent = host.entry("/tmp"), parent.kind == .directory else {
            return .problem(.runtimeDirectory, "there is no /tmp", fix: "set XDG_RUNTIME_DIR")
        }
        guard parent.permissions & 0o1002 == 0o1002 || parent.permissions & 0o002 == 0 else {
            return .problem(
                .runtimeDirectory,
                "/tmp is not sticky: others can replace what is in it (mode \(parent.permissions.octal))",
                fix: other
            )
        }
        let finding = roomy("/tmp", host)
        guard finding.status == .ok else { return finding }
        return .ok(.runtimeDirectory, "\(path), made when it is needed; a session would set XDG_RUNTIME_DIR")
    }

    private static func owned(
        _ path: String,
        _ entry: HostView.Entry,
        _ host: HostView,
        otherwise: String,
        forbidden: UInt16
    ) -> Finding {
        guard entry.owner == host.user else {
            let message = "\(path) is owned by uid \(entry.owner), expected \(host.user)"
            return .problem(.runtimeDirectory, message, fix: otherwise)
        }
        guard entry.permissions & 0o077 == 0 else {
            let message = "\(path) is open to others: mode \(entry.permissions.octal), expected 0700"
            let isShared = SystemDirectory.contains(path, permissions: entry.permissions)
            let fix = isShared ? otherwise : "chmod 0700 \(quoted(path))"
            let isProblem = entry.permissions & forbidden != 0
            return isProblem
                ? .problem(.runtimeDirectory, message, fix: fix) : .warning(.runtimeDirectory, message, fix: fix)
        }
        return roomy(path, host)
    }

    /// Checks that a file can be made in a directory: the last question, after those of owner and mode.
    private static func roomy(_ path: String, _ host: HostView) -> Finding {
        guard let errno = host.calls.canWrite(host.root + path) else { return .ok(.runtimeDirectory, path) }
        let memory = "\(Self.other) in memory"
        let fix =
            switch errno {
            case .readOnlyFileSystem:
                "mount a tmpfs there (\(host.sudo)mount -t tmpfs tmpfs \(quoted(path)); "
                    + "of a container: --tmpfs \(quoted(path))), or \(memory)"
            case .noSpace: "make room there: df -h \(quoted(path)); df -i \(quoted(path)); or \(memory)"
            default: memory
            }
        return .problem(.runtimeDirectory, "nothing can be made in \(path): \(errno.message)", fix: fix)
    }

    // MARK: Mounts

    static func staleMounts(_ host: HostView) -> Finding {
        guard host.hasProc else { return .unknown(.staleMounts, host) }
        let paths = VisibleMounts.paths(host)
        let states = paths.map { ($0, host.calls.mountState($0)) }
        let stale = states.filter { $0.1 == .stale }.map(\.0)
        if let first = stale.first {
            return .warning(
                .staleMounts,
                "left by a process that has gone: \(stale.joined(separator: ", "))",
                fix: "credfs doctor --fix" + (stale.count == 1 ? ", or fusermount3 -u -z \(quoted(first))" : "")
            )
        }
        let silent = states.filter { $0.1 == .silent }.map(\.0)
        if !silent.isEmpty {
            return .warning(
                .staleMounts,
                "served by a process that does not answer, perhaps stopped: \(silent.joined(separator: ", "))",
                fix: "continue it: kill -CONT PID"
            )
        }
        return .ok(.staleMounts, paths.isEmpty ? "none left behind" : "all that are seen are served: \(paths.count)")
    }
}
