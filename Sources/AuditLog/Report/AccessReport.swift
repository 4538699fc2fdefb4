// SPDX-License-Identifier: Apache-2.0

/// Readers of each secret, as the log has them: who opened or was shown which secret, how often, in which jobs.
///
/// It takes entries as they stand; `AuditLog.verify` tells whether they are authentic.
package struct AccessReport: Sendable, Equatable {
    /// Reason in the entry of `credfs env --mask`, which prints values for a runner that hides them.
    package static let masking = "env --mask"

    /// Reader of a secret: a program of a user in a unit.
    package struct Reader: Sendable, Hashable {
        /// Path of the program; nil where the kernel did not say.
        package let executable: String?
        package let unit: String?
        /// Name of the user, or `uid N`.
        package let user: String
        /// Command of credfs that showed the value to it; nil for an open in a mount.
        package let command: String?
    }

    /// Outcome of an attempt.
    package enum Outcome: String, Sendable, CaseIterable {
        case granted
        case denied
        case wouldDeny = "would-deny"
        case failed
    }

    /// Attempts of one reader on one secret within the time of the report.
    package struct Use: Sendable, Equatable {
        package let reader: Reader
        package fileprivate(set) var counts: [Outcome: UInt64] = [:]
        /// Timestamps of the first and the last attempt.
        package fileprivate(set) var first: String
        package fileprivate(set) var last: String
        /// Attempts in the order of the log; some entries stand for several.
        package fileprivate(set) var attempts: [Attempt] = []
        /// Jobs by their labels, in the order of the log.
        package fileprivate(set) var jobs: [String] = []
        /// Nothing of it was in the log before the last report.
        package fileprivate(set) var isNew = false

        /// Number of attempts with an outcome.
        package func count(_ outcome: Outcome) -> UInt64 { counts[outcome] ?? 0 }

        /// The reader had the value at least once.
        package var isRead: Bool { count(.granted) > 0 || count(.wouldDeny) > 0 }
    }

    /// Attempts that one entry stands for.
    package struct Attempt: Sendable, Equatable {
        package let first: String
        package let last: String
        package let count: UInt64
        package let outcome: Outcome
    }

    /// Uses of one secret.
    package struct Secret: Sendable, Equatable {
        package let name: String
        /// Sorted by the number of attempts, most first.
        package let uses: [Use]
        /// Every reader that was granted anything is a shell, which hands values on to what nobody sees.
        package let isReadByShellsOnly: Bool

        /// Number of attempts of all readers with an outcome.
        package func count(_ outcome: Outcome) -> UInt64 { uses.reduce(0) { $0 &+ $1.count(outcome) } }

        /// Somebody had the value.
        package var isRead: Bool { uses.contains(where: \.isRead) }
    }

    /// Secrets that somebody tried to read, by name.
    package let secrets: [Secret]
    /// Secrets of the store that nobody read.
    package let unread: [String]
    /// Timestamp from which on attempts count; nil for the whole log.
    package let since: String?
    /// Timestamp of the report before this one, which decides what is new.
    package let previous: String?
    /// Timestamps of the first and the last attempt of all.
    package let range: ClosedRange<String>?
    /// Lines of the log that are no entries.
    package let malformedCount: Int

    /// Names of the secrets that only shells read.
    package var readByShellsOnly: [String] { secrets.filter(\.isReadByShellsOnly).map(\.name) }
}

extension AccessReport {
    /// Collector of the entries of a report, oldest first.
    package struct Builder {
        private struct Key: Hashable {
            let secret: String
            let reader: Reader
        }

        /// Longest history of one reader, in entries; its later attempts are counted, but have no place in a timeline.
        private static let maximumAttemptCount = 10_000
        private static let maximumJobCount = 100
        private static let shells: Set<String> = [
            "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "busybox", "csh", "tcsh",
        ]

        private let since: String?
        private var uses: [Key: Use] = [:]
        private var firstSeen: [Key: String] = [:]
        private var jobs: [String: String] = [:]
        private var previous: String?
        private var malformedCount = 0

        /// Begins a report.
        ///
        /// - Parameter since: the timestamp before which attempts do not count.
        package init(since: String?) {
            self.since = since
        }

        /// Counts a line that is no entry.
        package mutating func addMalformed() {
            malformedCount += 1
        }

        /// Adds an entry.
        package mutating func add(_ entry: AuditEntry) {
            if entry.operation == "audit-report", entry.status == "success" { previous = entry.timestamp }
            if entry.operation == "job", let mount = entry.mount { jobs[mount] = Self.text(ofJob: entry.labels) }
            guard let outcome = Self.outcome(of: entry) else { return }
            let reader = Reader(
                executable: entry.operation == "open" ? entry.executable : entry.parent,
                unit: entry.unit,
                user: entry.user ?? entry.uid.map { "uid \($0)" } ?? "unknown",
                command: Self.command(of: entry)
            )
            let attempt = Attempt(
                first: entry.repeated?.first ?? entry.timestamp,
                last: entry.repeated?.last ?? entry.timestamp,
                count: entry.repeated?.count ?? 1,
                outcome: outcome
            )
            for name in entry.names {
                add(attempt, Key(secret: name, reader: reader), job: entry.mount.flatMap { jobs[$0] })
            }
        }

        private mutating func add(_ attempt: Attempt, _ key: Key, job: String?) {
            if firstSeen[key] == nil { firstSeen[key] = attempt.first }
            if let since, attempt.last < since { return }
            var use = uses[key] ?? Use(reader: key.reader, first: attempt.first, last: attempt.last)
            use.counts[attempt.outcome, default: 0] &+= attempt.count
            use.last = max(use.last, attempt.last)
            if use.attempts.count < Self.maximumAttemptCount { use.attempts.append(attempt) }
            if let job, use.jobs.last != job, use.jobs.count < Self.maximumJobCount, !use.jobs.contains(job) {
                use.jobs.append(job)
            }
            uses[key] = use
        }

        /// Ends the report.
        ///
        /// - Parameter names: the secrets that the store has.
        /// - Returns: the report.
        package func report(names: [String]) -> AccessReport {
            var bySecret: [String: [Use]] = [:]
            for (key, use) in uses {
                var use = use
                if let previous, let first = firstSeen[key] { use.isNew = first > previous }
                bySecret[key.secret, default: []].append(use)
            }
            let secrets = bySecret.sorted { $0.key < $1.key }.map { Self.secret($0.key, $0.value) }
            let all = secrets.flatMap(\.uses)
            let bounds = (all.map(\.first).min(), all.map(\.last).max())
            let read = Set(secrets.filter(\.isRead).map(\.name))
            return AccessReport(
                secrets: secrets,
                unread: names.filter { !read.contains($0) }.sorted(),
                since: since,
                previous: previous,
                range: bounds.0.flatMap { first in bounds.1.map { first...max(first, $0) } },
                malformedCount: malformedCount
            )
        }

        private static func secret(_ name: String, _ uses: [Use]) -> Secret {
            let readers = uses.filter(\.isRead).map(\.reader)
            return Secret(
                name: name,
                uses: uses.sorted {
                    let counts = ($0.counts.values.reduce(0, &+), $1.counts.values.reduce(0, &+))
                    return counts.0 == counts.1 ? $0.first < $1.first : counts.0 > counts.1
                },
                isReadByShellsOnly: !readers.isEmpty && readers.allSatisfy(isShell)
            )
        }

        private static func isShell(_ reader: Reader) -> Bool {
            guard reader.command == nil, let name = reader.executable?.split(separator: "/").last else { return false }
            return shells.contains(String(name))
        }

        /// The command that showed a secret, nil where a process opened its file.
        private static func command(of entry: AuditEntry) -> String? {
            if entry.operation == "open" { return nil }
            return entry.reason == AccessReport.masking ? AccessReport.masking : entry.operation
        }

        private static func outcome(of entry: AuditEntry) -> Outcome? {
            guard ["open", "show", "export"].contains(entry.operation) else { return nil }
            switch entry.status {
            case "success": return .granted
            case "denied": return .denied
            case "would-deny": return .wouldDeny
            case "failed": return .failed
            default: return nil
            }
        }

        /// The labels in the order in which a person looks for a step; then the others.
        private static func text(ofJob labels: [String: String]) -> String {
            let order = ["ci", "repository", "workflow", "pipeline", "job", "step", "run", "attempt", "ref"]
            let others = labels.keys.filter { !order.contains($0) && !["commit", "actor"].contains($0) }.sorted()
            let first = order.compactMap { key in
                labels[key].map { ["ci", "repository", "workflow"].contains(key) ? $0 : "\(key) \($0)" }
            }
            return (first + others.map { "\($0) \(labels[$0] ?? "")" }).joined(separator: ", ")
        }
    }
}
