// SPDX-License-Identifier: Apache-2.0

package import SecretStore
internal import Synchronization

/// Counters of the opens of a mount, in the text format of Prometheus (prometheus.io, "Exposition formats", version 0.0.4).
package final class OpenMetrics: Sendable {
    /// Result of an open, as a label.
    package enum Result: String, Sendable, CaseIterable {
        case granted
        case denied
        case wouldDeny = "would-deny"
        case failed
    }

    private struct State {
        var opens: [Result: UInt64] = [:]
        var secrets: [SecretName: [Result: UInt64]] = [:]
        var alerts: [AccessAlert.Kind: UInt64] = [:]
        /// Opens by the index of the first bound that their time does not exceed; the last one has none.
        var times = [UInt64](repeating: 0, count: OpenMetrics.bounds.count + 1)
        var seconds = 0.0
        var lost: UInt64 = 0
    }

    /// Upper bounds of the histogram in seconds: a read of a page cache to a deadline.
    private static let bounds = [0.0001, 0.00025, 0.001, 0.005, 0.025, 0.1, 1, 5]

    private let countsNames: Bool
    private let state = Mutex(State())

    /// Makes counters.
    ///
    /// - Parameter countsNames: whether opens are counted for each secret, too, which tells the names.
    package init(countsNames: Bool = false) {
        self.countsNames = countsNames
    }

    /// Counts an open that was answered after a time.
    package func count(_ secret: SecretName, _ result: Result, after time: Duration, alerts: [AccessAlert]) {
        let parts = time.components
        let seconds = Double(parts.seconds) + Double(parts.attoseconds) / 1e18
        let index = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
        state.withLock { state in
            state.opens[result, default: 0] &+= 1
            if countsNames { state.secrets[secret, default: [:]][result, default: 0] &+= 1 }
            for alert in alerts { state.alerts[alert.kind, default: 0] &+= 1 }
            state.times[index] &+= 1
            state.seconds += seconds
        }
    }

    /// Counts entries that the audit log did not take.
    package func countLost() {
        state.withLock { $0.lost &+= 1 }
    }

    /// The samples, each metric with its help and type.
    package var text: String {
        let state = state.withLock { $0 }
        var text = Self.head("credfs_opens_total", "counter", "Opens of secrets by result.")
        for result in Result.allCases {
            text += "credfs_opens_total{result=\"\(result.rawValue)\"} \(state.opens[result] ?? 0)\n"
        }
        if countsNames {
            text += Self.head("credfs_secret_opens_total", "counter", "Opens of each secret by result.")
            for (secret, results) in state.secrets.sorted(by: { $0.key < $1.key }) {
                for result in Result.allCases {
                    guard let count = results[result] else { continue }
                    let labels = "secret=\"\(Self.escape(secret.text))\",result=\"\(result.rawValue)\""
                    text += "credfs_secret_opens_total{\(labels)} \(count)\n"
                }
            }
        }
        text += Self.head(
            "credfs_open_duration_seconds",
            "histogram",
            "Time from the request of an open to its answer."
        )
        var sum: UInt64 = 0
        for (index, count) in state.times.enumerated() {
            sum &+= count
            let bound = index < Self.bounds.count ? "\(Self.bounds[index])" : "+Inf"
            text += "credfs_open_duration_seconds_bucket{le=\"\(bound)\"} \(sum)\n"
        }
        text += "credfs_open_duration_seconds_sum \(state.seconds)\n"
        text += "credfs_open_duration_seconds_count \(sum)\n"
        text += Self.head("credfs_alerts_total", "counter", "Alerts by kind.")
        for kind in AccessAlert.Kind.allCases {
            text += "credfs_alerts_total{kind=\"\(kind.rawValue)\"} \(state.alerts[kind] ?? 0)\n"
        }
        text += Self.head("credfs_audit_lost_total", "counter", "Entries that the audit log did not take.")
        text += "credfs_audit_lost_total \(state.lost)\n"
        return text
    }

    /// The two lines before the samples of a metric.
    package static func head(_ name: String, _ type: String, _ help: String) -> String {
        "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    /// A label value: backslash, quote and line feed are escaped.
    package static func escape(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
