// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SystemCalls

/// Check of git: what must not be committed could be, or has been.
struct GitCheck {
    /// A file that must stay out of a repository.
    private struct Subject {
        let path: String
        let what: String
        /// Having it is having secrets.
        let isOpen: Bool
    }

    private let host: HostView

    init(_ host: HostView) {
        self.host = host
    }

    /// Asks git about the store, the manifest and files with keys that variables name.
    ///
    /// - Parameters:
    ///   - store: the store.
    ///   - leftovers: what editors left beside the manifest.
    ///   - manifestIsPlain: whether values in the manifest are not sealed.
    /// - Returns: at least one finding.
    func run(_ store: Store, leftovers: [String], manifestIsPlain: Bool) -> [Finding] {
        var subjects = [
            Subject(path: store.keyPath, what: "the key", isOpen: true),
            Subject(path: "\(store.location.directory)/\(StoreLocation.stateName)", what: "the state", isOpen: false),
        ]
        subjects += leftovers.map { Subject(path: $0, what: "what an editor left", isOpen: true) }
        if manifestIsPlain {
            subjects.append(Subject(path: store.manifestPath, what: "a manifest with plaintext", isOpen: true))
        }
        for name in ["CREDFS_KEY_FILE", "CREDFS_PASSWORD_FILE"] {
            guard let path = host.variable(name) else { continue }
            subjects.append(Subject(path: path, what: "the file of \(name)", isOpen: true))
        }
        var findings: [Finding] = []
        var workTrees: [String] = []
        for subject in subjects where host.entry(subject.path, followingLink: false) != nil {
            let parts = Store.split(subject.path)
            // A link on the way leads to the repository that counts.
            let directory = host.calls.realPath(host.root + parts.directory) ?? parts.directory
            guard let workTree = workTree(of: String(directory.dropFirst(host.root.utf8.count))) else { continue }
            if !workTrees.contains(workTree) { workTrees.append(workTree) }
            if let finding = ask(subject, name: parts.name, in: directory), !findings.contains(finding) {
                findings.append(finding)
            }
        }
        if !findings.isEmpty { return findings }
        guard !workTrees.isEmpty else { return [.ok(.git, "nothing secret is in a git work tree")] }
        return [.ok(.git, "what is secret in \(workTrees.joined(separator: ", ")) is ignored by git")]
    }

    /// The directory at or above a path that has a `.git`.
    private func workTree(of path: String) -> String? {
        guard path.hasPrefix("/") else { return nil }
        var directory = path
        while true {
            if host.entry(directory == "/" ? "/.git" : "\(directory)/.git") != nil { return directory }
            if directory == "/" { return nil }
            directory = Store.split(directory).directory
        }
    }

    private func ask(_ subject: Subject, name: String, in directory: String) -> Finding? {
        guard let tracked = host.calls.git(directory, ["--literal-pathspecs", "ls-files", "-z", "--", name]) else {
            return .warning(
                .git,
                "\(subject.path) is in a git work tree, and no git can be asked whether it is ignored",
                fix: "install git, or see that a .gitignore names it"
            )
        }
        guard tracked.status == 0 else { return noAnswer(directory) }
        let git = "git -C \(quoted(directory))"
        if !tracked.bytes.isEmpty {
            let message = "\(subject.what) is tracked by git: \(subject.path)"
            let remove = "\(git) rm -r --cached \(quoted(name))"
            guard subject.isOpen else { return .warning(.git, message, fix: remove) }
            return .problem(.git, message, fix: "\(remove), then change the secrets: every clone has it")
        }
        switch host.calls.git(directory, ["check-ignore", "-q", "--", "./\(name)"])?.status {
        case 0: return nil
        case 1:
            return .warning(
                .git,
                "\(subject.what) is not ignored by git: \(subject.path)",
                fix: "echo \(quoted("/" + name)) >>\(quoted(directory + "/.gitignore"))"
            )
        default: return noAnswer(directory)
        }
    }

    private func noAnswer(_ directory: String) -> Finding {
        .warning(
            .git,
            "git does not answer for \(directory), perhaps because it belongs to another user",
            fix: "run it as the owner of the work tree"
        )
    }
}
