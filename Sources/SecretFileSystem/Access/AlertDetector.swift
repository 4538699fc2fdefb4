// SPDX-License-Identifier: Apache-2.0

package import SecretStore
internal import Synchronization

/// Alert on opens of secrets: a pattern that somebody asked to hear of.
package struct AccessAlert: Sendable, Equatable {
    /// Kind of pattern.
    package enum Kind: String, Sendable, CaseIterable {
        /// A decoy was opened.
        case decoy
        /// Many opens were denied.
        case denials
        /// One process tree read many secrets.
        case secrets
    }

    package let kind: Kind
    /// Secret of the open that completed the pattern.
    package let secret: SecretName
    /// Number of denials or of distinct secrets; 1 for a decoy.
    package let count: Int

    /// Makes an alert.
    package init(kind: Kind, secret: SecretName, count: Int) {
        self.kind = kind
        self.secret = secret
        self.count = count
    }

    /// Text for people and for the log.
    package var text: String {
        switch kind {
        case .decoy: "the decoy '\(secret.text)' was opened"
        case .denials: "\(count) opens were denied, the last one of '\(secret.text)'"
        case .secrets: "one process tree read \(count) secrets, the last one '\(secret.text)'"
        }
    }
}

/// Detector of alerts on the opens of a mount, from any thread; it never waits for anything slow.
package final class AlertDetector: Sendable {
    /// Number of events within a time.
    package struct Threshold: Sendable, Equatable {
        package let count: Int
        package let time: Duration

        /// Makes a threshold.
        package init(count: Int, time: Duration) {
            self.count = count
            self.time = time
        }
    }

    /// Thresholds; nil for patterns that nobody asked for.
    package struct Settings: Sendable, Equatable {
        package var denials: Threshold?
        package var secrets: Threshold?

        /// Makes settings without thresholds: decoys alone are told of.
        package init() {}
    }

    private struct State {
        /// Times of the last denials, oldest first.
        var denials: [ContinuousClock.Instant] = []
        /// Time of the last read of each secret by each process tree.
        var reads: [Int32: [SecretName: ContinuousClock.Instant]] = [:]
        /// Ends of the times for which a pattern is not told of again.
        var quiet: [Key: ContinuousClock.Instant] = [:]
    }

    private struct Key: Hashable {
        let kind: AccessAlert.Kind
        let tree: Int32
    }

    /// Process trees that are followed at once.
    private static let maximumTreeCount = 1024

    private let settings: Settings
    private let state = Mutex(State())

    /// Makes a detector.
    package init(_ settings: Settings = Settings()) {
        self.settings = settings
    }

    /// The process tree of a caller is wanted.
    var followsTrees: Bool { settings.secrets != nil }

    /// Takes an open that was decided.
    ///
    /// - Parameters:
    ///   - secret: its name.
    ///   - tree: the root of the process tree of the caller.
    ///   - isDenied: it was refused; else it was granted.
    ///   - isDecoy: any open of the secret is an alert.
    ///   - now: the time.
    /// - Returns: the alerts, each pattern at most once within its time.
    package func note(
        _ secret: SecretName,
        tree: Int32,
        isDenied: Bool,
        isDecoy: Bool,
        at now: ContinuousClock.Instant = .now
    ) -> [AccessAlert] {
        var alerts = isDecoy ? [AccessAlert(kind: .decoy, secret: secret, count: 1)] : []
        if let threshold = settings.denials, isDenied {
            alerts += state.withLock { state in
                state.denials.append(now)
                if state.denials.count > threshold.count { state.denials.removeFirst() }
                guard state.denials.count == threshold.count, let first = state.denials.first,
                    now - first <= threshold.time,
                    Self.isDue(Key(kind: .denials, tree: 0), for: threshold.time, now, &state)
                else { return [] }
                return [AccessAlert(kind: .denials, secret: secret, count: threshold.count)]
            }
        }
        if let threshold = settings.secrets, !isDenied {
            alerts += state.withLock { state in
                if state.reads[tree] == nil, state.reads.count >= Self.maximumTreeCount { state.reads.removeAll() }
                var reads = (state.reads[tree] ?? [:]).filter { now - $0.value <= threshold.time }
                reads[secret] = now
                state.reads[tree] = reads
                guard reads.count >= threshold.count,
                    Self.isDue(Key(kind: .secrets, tree: tree), for: threshold.time, now, &state)
                else { return [] }
                return [AccessAlert(kind: .secrets, secret: secret, count: reads.count)]
            }
        }
        return alerts
    }

    private static func isDue(
        _ key: Key,
        for time: Duration,
        _ now: ContinuousClock.Instant,
        _ state: inout State
    ) -> Bool {
        if let end = state.quiet[key], now < end { return false }
        if state.quiet.count >= maximumTreeCount { state.quiet.removeAll() }
        state.quiet[key] = now + time
        return true
    }
}
