// SPDX-License-Identifier: Apache-2.0

import SecretFileSystem
import SecretStore
import Testing

@Suite struct AlertTests {
    private let start = ContinuousClock.now

    private func name(_ text: String) throws -> SecretName { try #require(SecretName(text)) }

    private func detector(denials: Int? = nil, secrets: Int? = nil) -> AlertDetector {
        var settings = AlertDetector.Settings()
        settings.denials = denials.map { AlertDetector.Threshold(count: $0, time: .seconds(10)) }
        settings.secrets = secrets.map { AlertDetector.Threshold(count: $0, time: .seconds(10)) }
        return AlertDetector(settings)
    }

    private func kinds(
        _ detector: AlertDetector,
        _ secret: String = "A",
        tree: Int32 = 7,
        denied: Bool = false,
        decoy: Bool = false,
        at second: Double
    ) throws -> [AccessAlert.Kind] {
        let time = start + .seconds(second)
        return detector.note(try name(secret), tree: tree, isDenied: denied, isDecoy: decoy, at: time).map(\.kind)
    }

    @Test func everyOpenOfADecoyIsAnAlert() throws {
        let detector = detector()
        for denied in [true, false] { #expect(try kinds(detector, denied: denied, decoy: true, at: 0) == [.decoy]) }
        #expect(try kinds(detector, denied: true, at: 0) == [])
    }

    @Test func denialsWithinTheTimeAreAnAlertOnce() throws {
        let detector = detector(denials: 3)
        for second in [0.0, 6, 12] { #expect(try kinds(detector, denied: true, at: second) == []) }
        // 6, 12 and 15; what is granted does not count.
        #expect(try kinds(detector, at: 14) == [])
        #expect(try kinds(detector, denied: true, at: 15) == [.denials])
        #expect(try kinds(detector, denied: true, at: 16) == [])
        #expect(try kinds(detector, denied: true, at: 24) == [])
        #expect(try kinds(detector, denied: true, at: 25) == [.denials])
    }

    @Test func distinctSecretsOfOneTreeAreAnAlert() throws {
        let detector = detector(secrets: 3)
        #expect(try kinds(detector, "A", at: 0) == [] && kinds(detector, "A", at: 1) == [])
        #expect(try kinds(detector, "B", at: 2) == [] && kinds(detector, "C", tree: 8, at: 2) == [])
        #expect(try kinds(detector, "C", denied: true, at: 3) == [])
        #expect(try kinds(detector, "C", at: 4) == [.secrets])
        #expect(try kinds(detector, "D", at: 5) == [])
        // A has gone out of the time by then.
        #expect(try kinds(detector, "E", at: 30) == [] && kinds(detector, "F", at: 31) == [])
        #expect(try kinds(detector, "G", at: 32) == [.secrets])
        let alert = try #require(
            self.detector(secrets: 1).note(name("A"), tree: 1, isDenied: false, isDecoy: false).first
        )
        #expect(alert.text == "one process tree read 1 secrets, the last one 'A'")
    }

    @Test func manyTreesAreForgottenAndNoneIsAmplified() throws {
        let detector = detector(secrets: 2)
        for tree in 0..<5000 { #expect(try kinds(detector, "A", tree: Int32(tree), at: 0) == []) }
        #expect(try kinds(detector, "B", tree: 4999, at: 1) == [.secrets])
    }

    @Test func countersAreTheTextOfPrometheus() throws {
        let metrics = OpenMetrics(countsNames: true)
        let secret = try name("A\"B\\C")
        metrics.count(secret, .granted, after: .microseconds(90), alerts: [])
        metrics.count(
            secret,
            .denied,
            after: .milliseconds(2),
            alerts: [
                AccessAlert(kind: .decoy, secret: secret, count: 1)
            ]
        )
        metrics.countLost()
        let lines = metrics.text.split(separator: "\n").map(String.init)
        for line in [
            "credfs_opens_total{result=\"granted\"} 1", "credfs_opens_total{result=\"would-deny\"} 0",
            "credfs_secret_opens_total{secret=\"A\\\"B\\\\C\",result=\"denied\"} 1",
            "credfs_open_duration_seconds_bucket{le=\"0.0001\"} 1",
            "credfs_open_duration_seconds_bucket{le=\"0.005\"} 2",
            "credfs_open_duration_seconds_bucket{le=\"+Inf\"} 2", "credfs_open_duration_seconds_count 2",
            "credfs_alerts_total{kind=\"decoy\"} 1", "credfs_audit_lost_total 1",
        ] { #expect(lines.contains(line), "\(line)") }
        #expect(!OpenMetrics().text.contains("secret_opens"))
    }
}
