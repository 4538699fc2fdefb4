// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import SecretStore
internal import SystemCalls

/// Policies that allow what the audit log saw and nothing more.
struct PolicySuggestion {
    /// Narrowest policy of one secret.
    struct Policy {
        let name: SecretName
        fileprivate(set) var executables: Set<String>? = []
        fileprivate(set) var uids: Set<UInt32>? = []
        fileprivate(set) var units: Set<String>? = []

        fileprivate init(name: SecretName) {
            self.name = name
        }

        /// The options of `policy set`.
        var arguments: String {
            let options =
                list(executables).map { "--allow-exe \(quoted($0))" } + list(uids).map { "--allow-uid \($0)" }
                + list(units).map { "--allow-unit \(quoted($0))" }
            return options.joined(separator: " ")
        }

        var isEmpty: Bool { arguments.isEmpty }

        /// Sets the keys that the log speaks of; others stay.
        func apply(to policy: inout ReadPolicy?) {
            var rules = policy ?? ReadPolicy()
            rules.executables = list(executables).map { ReadPolicy.Executable(path: $0) }
            rules.uids = list(uids)
            rules.units = list(units)
            policy = rules
        }

        private func list<Element: Comparable>(_ set: Set<Element>?) -> [Element] { (set ?? []).sorted() }
    }

    /// In the order of the names.
    let policies: [Policy]
    /// Warnings of what could not be made a rule of.
    private(set) var warnings: [String] = []

    /// Reads a log.
    ///
    /// - Parameters:
    ///   - tail: its entries.
    ///   - since: the time before which nothing counts.
    ///   - manifest: the secrets; what else was opened counts for nothing.
    /// - Throws: `AuditError`.
    init(_ tail: AuditTail, since: String?, for manifest: Manifest) throws(AuditError) {
        var draft = Draft(manifest)
        while let item = try tail.next() {
            guard case .entry(let line, _) = item, line.entry.operation == "open",
                ["success", "would-deny"].contains(line.entry.status),
                since.map({ $0 <= line.entry.timestamp }) ?? true
            else { continue }
            // Who reads a rendered file needs every part of it.
            for name in line.entry.names.compactMap(SecretName.init) { draft.note(line.entry, name) }
        }
        // A rule of users alone would let every program of theirs read.
        policies = draft.found.values.filter { $0.executables != nil && !$0.isEmpty }.sorted { $0.name < $1.name }
        warn(draft.changing) {
            "programs that opened \($0) are unknown or gone, so nothing is suggested there: credfs policy set"
        }
        warn(draft.unwritable) {
            "programs that opened \($0) have a path that no policy can hold, so nothing is suggested there"
        }
        warn(draft.decoys) { "the decoy \($0) was opened, which makes no policy: see who in credfs audit report" }
    }

    private mutating func warn(_ names: Set<String>, _ text: (String) -> String) {
        if !names.isEmpty { warnings.append(text(Names.abbreviated(names.sorted()))) }
    }
}

/// Policies while a log is read.
private struct Draft {
    private(set) var found: [SecretName: PolicySuggestion.Policy] = [:]
    /// Secrets that programs have opened which are unknown or gone.
    private(set) var changing: Set<String> = []
    /// Secrets that programs have opened whose path no manifest can hold.
    private(set) var unwritable: Set<String> = []
    private(set) var decoys: Set<String> = []
    /// For each secret of the store.
    private let isDecoy: [SecretName: Bool]

    init(_ manifest: Manifest) {
        isDecoy = Dictionary(manifest.secrets.map { ($0.name, $0.policy?.decoy == true) }) { first, _ in first }
    }

    /// Adds what an open says of a secret.
    mutating func note(_ entry: AuditEntry, _ name: SecretName) {
        guard let isDecoy = isDecoy[name] else { return }
        // Whoever opens one is the last who should be let in.
        guard !isDecoy else {
            decoys.insert(name.text)
            return
        }
        var policy = found[name] ?? PolicySuggestion.Policy(name: name)
        let path = entry.executable
        if let path, path.hasPrefix("/"), !ReadPolicy.isPath(path) {
            policy.executables = nil
            unwritable.insert(name.text)
        } else if let path, Self.isLasting(path) {
            policy.executables?.insert(path)
        } else {
            policy.executables = nil
            changing.insert(name.text)
        }
        if let uid = entry.uid.flatMap({ UInt32(exactly: $0) }) {
            policy.uids?.insert(uid)
        } else {
            policy.uids = nil
        }
        // Sessions, scopes and containers have another name each time.
        if let unit = entry.unit, unit.hasSuffix(".service") {
            policy.units?.insert(unit)
        } else {
            policy.units = nil
        }
        found[name] = policy
    }

    /// Detects a program that is still where it was: a rule names the file that is there when the mount begins.
    private static func isLasting(_ path: String) -> Bool {
        (try? FileStatus.ofPath(path, followingLink: true))?.kind == .regular
    }
}
