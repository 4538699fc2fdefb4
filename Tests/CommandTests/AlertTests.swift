// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Alerts and metrics of mounts, with real readers.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct AlertTests {
    private struct Alert: Decodable {
        let schemaVersion: Int
        let kind: String
        let secret: String
        let count: Int
        let executable: String?
    }

    private func alerts(_ path: String, count: Int) async throws -> [Alert] {
        var lines: [Substring] = []
        for _ in 0..<1000 where lines.count < count {
            let text = (try? Files.read(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
            lines = text.split(separator: "\n")
            if lines.count < count { try await Task.sleep(for: .milliseconds(20)) }
        }
        return try lines.map { try JSONDecoder().decode(Alert.self, from: Data($0.utf8)) }
    }

    private func box() async throws -> JobBox {
        let box = try await JobBox(["A": "a", "B": "b", "C": "c", "TRAP": "t"])
        try await box.sandbox.succeed("policy", "set", "B", "--allow-exe", "/usr/bin/head")
        try await box.sandbox.succeed("policy", "set", "TRAP", "--decoy")
        return box
    }

    @Test func aCommandHearsOfEachAlert() async throws {
        let box = try await box()
        let heard = box.sandbox.directory.path("heard")
        let outcome = try await box.run(
            ["--alert", "denials=2/1m", "--alert", "secrets=2/1m", "--on-alert", "cat >> '\(heard)'"],
            shell: "cat $TRAP_FILE $B_FILE $B_FILE $A_FILE 2>/dev/null; true"
        )
        #expect(outcome.outputText == "ta", "\(outcome.errorText)")
        let alerts = try await alerts(heard, count: 3)
        #expect(alerts.map(\.kind) == ["decoy", "denials", "secrets"])
        #expect(alerts.map(\.secret) == ["TRAP", "B", "A"] && alerts.map(\.count) == [1, 2, 2])
        #expect(alerts.allSatisfy { $0.schemaVersion == 1 && $0.executable?.hasSuffix("/cat") == true })
        #expect(outcome.errorText.contains("credfs: warning: alert: 2 opens were denied, the last one of 'B'\n"))
        let log = try await box.sandbox.succeed("audit", "show").outputText
        #expect(log.split(separator: "\n").count { $0.contains(" alert ") } == 3)
    }

    @Test func aCommandThatHangsOrFailsDelaysNoReader() async throws {
        let box = try await box()
        let start = ContinuousClock.now
        for command in ["sleep 61 & sleep 61", "exit 3", "/nonexistent"] {
            let outcome = try await box.run(
                ["--on-alert", command],
                shell: "for n in $(seq 300); do read -r x < $TRAP_FILE; done; echo done"
            )
            #expect(outcome.outputText == "done\n" && outcome.status == .exited(0))
        }
        #expect(ContinuousClock.now - start < .seconds(55))
        // What a command started ends with it.
        try await Eventually.holds("the end of sleep") {
            try await ChildProcess.run("/bin/sh", ["-c", "grep -laE '^sleep.61' /proc/[0-9]*/cmdline 2>/dev/null"])
                .outputText.isEmpty
        }
        try box.expectNothingLeft()
    }

    /// One that left its process group is killed with the command that hangs.
    @Test func nothingOfACommandThatHangsOutlivesIt() async throws {
        let box = try await box()
        let out = box.sandbox.directory.path("child")
        let command = "setsid sh -c 'echo $$ >\(out); exec sleep 1000' & sleep 1000"
        let job = "cat $TRAP_FILE; while ! [ -s \(out) ]; do sleep 0.05; done"
        _ = try await box.run(["--on-alert", command], shell: job)
        let process = try #require(Int32(try await Eventually.text(of: out)))
        try await Eventually.holds("the end of \(process)", within: .seconds(60)) { !ProcessState.isAlive(process) }
    }

    /// Another file is not taken for one of ours.
    @Test func aFileThatIsNoneOfMetricsIsNotReplaced() async throws {
        let box = try await box()
        let manifest = try box.sandbox.manifest()
        let path = box.sandbox.path("secrets.yaml")
        try await box.run(["--metrics", path], shell: "true").expectRefusal(125, "is not a file of metrics")
        try await box.sandbox.run("audit", "report", "--html", path).expectRefusal(1, "is not a report")
        #expect(try box.sandbox.manifest() == manifest)
        let file = box.sandbox.directory.path("metrics.prom")
        for _ in 0..<2 { #expect(try await box.run(["--metrics", file], shell: "true").status == .exited(0)) }
        let page = box.sandbox.directory.path("report.html")
        for _ in 0..<2 { try await box.sandbox.succeed("audit", "report", "--html", page) }
        let full = try await box.run(["--metrics", "/proc/metrics"], shell: "true")
        #expect(full.status == .exited(125) && !full.errorText.contains("StoreError"), "\(full.errorText)")
    }

    @Test func theCommandHasNoKey() async throws {
        let box = try await box()
        let heard = box.sandbox.directory.path("heard")
        let key = String(decoding: try Files.read(box.sandbox.path("secrets.key")), as: UTF8.self)
        let outcome = try await box.run(
            ["--on-alert", "env > '\(heard)'; ls -l /proc/self/fd >> '\(heard)'"],
            shell: "cat $TRAP_FILE",
            adding: ["CREDFS_KEY": key.trimmingCharacters(in: .newlines), "VISIBLE": "yes"]
        )
        #expect(outcome.outputText == "t", "\(outcome.errorText)")
        let text = try await Eventually.text(of: heard)
        #expect(text.contains("VISIBLE=yes") && !text.contains("CREDFS_KEY") && !text.contains("/dev/fuse"))
    }

    @Test func countersAreInTheFileAndNoNamesUnlessAskedFor() async throws {
        let box = try await box()
        let file = box.sandbox.directory.path("credfs.prom")
        let script = "cat $A_FILE; cat $B_FILE 2>/dev/null; cat $TRAP_FILE"
        _ = try await box.run(["--metrics", file], shell: script)
        let text = String(decoding: try Files.read(file), as: UTF8.self)
        for line in [
            "credfs_opens_total{result=\"granted\"} 2", "credfs_opens_total{result=\"denied\"} 1",
            "credfs_alerts_total{kind=\"decoy\"} 1", "credfs_auth_mode{mode=\"authenticated\"} 1",
        ] { #expect(text.contains("\(line)\n"), "\(text)") }
        #expect(!text.contains("TRAP") && !text.contains("secret="))
        #expect(try Files.mode(file) == 0o644)
        // The collector's own judge, where it is installed.
        let judge = try await ChildProcess.run(
            "/bin/sh",
            ["-c", "command -v promtool >/dev/null || exit 0; promtool check metrics < \"$0\"", file]
        )
        #expect(judge.status == .exited(0), "\(judge.errorText)\(judge.outputText)")
        _ = try await box.run(["--metrics", file, "--metrics-names"], shell: script)
        let named = String(decoding: try Files.read(file), as: UTF8.self)
        #expect(named.contains("credfs_secret_opens_total{secret=\"B\",result=\"denied\"} 1\n"))
        for options in [
            ["--metrics-names"], ["--alert", "denials=0/1m"], ["--alert", "opens=1/1m"], ["--alert", "denials=1"],
            ["--alert", "denials=1/1m", "--alert", "denials=2/1m"], ["--metrics", "X=y"],
        ] { #expect(try await box.run(options, shell: "true").status == .exited(64), "\(options)") }
        #expect(try await box.run(["--metrics", "/nonexistent/x"], shell: "true").status == .exited(125))
    }
}
