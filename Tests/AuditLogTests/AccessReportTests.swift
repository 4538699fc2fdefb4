// SPDX-License-Identifier: Apache-2.0

import AuditLog
import Testing

@Suite struct AccessReportTests {
    private func entry(
        _ secret: String,
        by program: String? = "/usr/bin/cat",
        at second: Int = 0,
        _ status: String = "success",
        operation: String = "open",
        mount: String = "m1"
    ) -> AuditEntry {
        let seconds = second < 10 ? "0\(second)" : "\(second)"
        var entry = AuditEntry(timestamp: "2026-11-26T10:00:\(seconds).000Z", operation: operation, status: status)
        if !secret.isEmpty { entry.secret = secret }
        entry.executable = program
        entry.user = "ci"
        entry.mount = mount
        return entry
    }

    private func report(_ entries: [AuditEntry], since: String? = nil, names: [String] = []) -> AccessReport {
        var builder = AccessReport.Builder(since: since)
        for entry in entries { builder.add(entry) }
        return builder.report(names: names)
    }

    @Test func attemptsAreCountedByReaderAndOutcome() throws {
        var many = entry("A", at: 9)
        many.repeated = AuditEntry.Repeat(count: 5, first: "2026-11-26T10:00:02.000Z", last: many.timestamp)
        let report = report([
            entry("A", at: 1), many, entry("A", by: "/bin/sh", at: 3, "denied"), entry("A", at: 4, "would-deny"),
            entry("A", at: 5, "failed"), entry("B", by: nil, at: 6),
        ])
        #expect(report.secrets.map(\.name) == ["A", "B"])
        let first = try #require(report.secrets.first?.uses.first)
        #expect(first.reader.executable == "/usr/bin/cat")
        #expect(first.count(.granted) == 6 && first.count(.wouldDeny) == 1 && first.count(.failed) == 1)
        #expect(first.first.hasSuffix("10:00:01.000Z") && first.last.hasSuffix("10:00:09.000Z"))
        #expect(report.secrets[0].count(.denied) == 1)
        #expect(report.range?.upperBound.hasSuffix("10:00:09.000Z") == true)
        #expect(report.secrets[1].uses.map(\.reader.executable) == [nil])
    }

    @Test func readersOfTheSameProgramAreKeptApartByUserAndUnit() {
        var (root, unit) = (entry("A"), entry("A"))
        root.user = "root"
        unit.unit = "web.service"
        #expect(report([entry("A"), root, unit, entry("A")]).secrets.first?.uses.count == 3)
    }

    @Test func whatASecretWasShownWithIsAReaderToo() throws {
        var shown = entry("A", by: "/usr/bin/credfs", operation: "show")
        shown.parent = "/usr/bin/make"
        var exported = entry("", by: "/usr/bin/credfs", operation: "export")
        exported.parent = "/usr/bin/make"
        exported.secrets = ["A", "B"]
        let report = report([shown, exported, entry("A", operation: "set"), entry("C", operation: "list")])
        #expect(report.secrets.map(\.name) == ["A", "B"])
        #expect(report.secrets[0].uses.map(\.reader.command).sorted { $0 ?? "" < $1 ?? "" } == ["export", "show"])
        #expect(report.secrets[0].uses.allSatisfy { $0.reader.executable == "/usr/bin/make" })
    }

    @Test func aJobLeadsFromAnOpenToItsStep() {
        var job = entry("", operation: "job", mount: "m1")
        job.labels = ["step": "push", "ci": "github", "job": "build", "commit": "0123", "team": "infra"]
        let report = report([job, entry("A"), entry("A", at: 1), entry("A", at: 2, mount: "m2")])
        #expect(report.secrets.first?.uses.first?.jobs == ["github, job build, step push, team infra"])
    }

    @Test func newIsWhatWasNotThereBeforeTheLastReport() {
        let done = entry("", at: 5, operation: "audit-report")
        let before = report([entry("A", at: 1), entry("A", by: "/bin/dd", at: 2)])
        #expect(before.previous == nil && before.secrets[0].uses.allSatisfy { !$0.isNew })
        let after = report([
            entry("A", at: 1), done, entry("A", at: 6), entry("A", by: "/bin/dd", at: 7), entry("B", at: 8),
        ])
        #expect(after.previous == done.timestamp)
        #expect(
            after.secrets.map { $0.uses.filter(\.isNew).map(\.reader.executable) } == [["/bin/dd"], ["/usr/bin/cat"]]
        )
        // A report that failed was seen by nobody.
        let failed = entry("", at: 5, "failed", operation: "audit-report")
        #expect(report([entry("A"), failed, entry("B", at: 6)]).previous == nil)
        // What came before the time of the report is no reader of it, but makes nobody new either.
        let late = report([entry("A", at: 1), done, entry("A", at: 7)], since: "2026-11-26T10:00:06.000Z")
        #expect(late.secrets[0].uses.map(\.isNew) == [false] && late.secrets[0].count(.granted) == 1)
    }

    @Test func whatNobodyReadAndWhatOnlyShellsReadIsSaid() {
        let report = report(
            [
                entry("A", by: "/bin/bash"), entry("A", by: "/usr/bin/zsh"), entry("B", by: "/bin/sh"), entry("B"),
                entry("C", "denied"), entry("D", by: "/bin/sh", "denied"),
            ],
            names: ["D", "C", "B", "A", "E"]
        )
        #expect(report.unread == ["C", "D", "E"])
        #expect(report.secrets.filter(\.isReadByShellsOnly).map(\.name) == ["A"])
    }

    @Test func aLongHistoryIsCountedAndItsTimelineIsBounded() {
        let report = report((0..<12_000).map { entry("A", at: $0 % 60) })
        #expect(report.secrets[0].count(.granted) == 12_000)
        #expect(report.secrets[0].uses[0].attempts.count == 10_000)
        #expect(self.report([]).range == nil)
    }
}
