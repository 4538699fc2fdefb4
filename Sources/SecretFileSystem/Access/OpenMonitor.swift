// SPDX-License-Identifier: Apache-2.0

internal import SecretStore

/// Observer of the opens of a mount: detects alerts, counts, and tells whoever listens.
///
/// Called by workers and by the writer of the log; nothing in it waits.
package struct OpenMonitor: Sendable {
    /// Detector of patterns.
    package var detector: AlertDetector
    /// Counters; nil where nobody reads them.
    package var metrics: OpenMetrics?
    /// Told of every alert, on any thread; must not wait.
    package var alarm: @Sendable (AccessAlert, ProcessIdentity) -> Void

    /// Makes an observer that tells of decoys alone, to nobody.
    package init(
        detector: AlertDetector = AlertDetector(),
        metrics: OpenMetrics? = nil,
        alarm: @escaping @Sendable (AccessAlert, ProcessIdentity) -> Void = { _, _ in }
    ) {
        self.detector = detector
        self.metrics = metrics
        self.alarm = alarm
    }

    /// Takes the outcome of an open.
    ///
    /// - Returns: its alerts, for the log.
    func note(
        _ secret: SecretName,
        _ identity: () -> ProcessIdentity,
        _ outcome: OpenAudit.Outcome,
        isDecoy: Bool,
        after time: Duration
    ) -> [AccessAlert] {
        let result = Self.result(outcome)
        // Looking a caller up costs several system calls.
        let tree = detector.followsTrees ? identity().tree : 0
        let alerts = detector.note(secret, tree: tree, isDenied: result == .denied, isDecoy: isDecoy)
        metrics?.count(secret, result, after: time, alerts: alerts)
        for alert in alerts { alarm(alert, identity()) }
        return alerts
    }

    private static func result(_ outcome: OpenAudit.Outcome) -> OpenMetrics.Result {
        switch outcome {
        case .opened: .granted
        case .denied, .failed(.noSuchName): .denied
        case .wouldDeny: .wouldDeny
        case .failed: .failed
        }
    }
}
