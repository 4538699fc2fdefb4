// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Reports of who read which secret, from jobs on real mounts.
@Suite(.serialized, .timeLimit(.minutes(20)))
struct AuditReportTests {
    private let pipeline = [
        "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_JOB": "build", "GITHUB_ACTION": "push",
        "GITHUB_RUN_ID": "1234",
    ]

    @Test func readersJobsAndRefusalsAreReported() async throws {
        let box = try await JobBox(["A": "a", "B": "b", "C": "c", "D": "d"])
        try await box.sandbox.succeed("policy", "set", "B", "--allow-exe", "/usr/bin/head")
        let script = "cat $A_FILE; head -c1 $B_FILE; cat $B_FILE 2>/dev/null; read -r value < $D_FILE"
        let outcome = try await box.run(["--label", "team=infra"], shell: script, adding: pipeline)
        #expect(outcome.outputText == "ab", "\(outcome.errorText)")
        let report = try await box.sandbox.succeed("audit", "report").outputText
        #expect(report.contains("\nB: 1 read, 1 denied\n"), "\(report)")
        #expect(report.contains("/cat (root): 1 denied, ") || geteuid() != 0)
        #expect(report.contains("\n    in github, acme/shop, job build, step push, run 1234, team infra\n"))
        #expect(report.contains("\nnot read: C\n"))
        #expect(report.contains("\nread by shells only: D\n"))
        #expect(!report.contains("new: "))
        // The next report says what came since.
        _ = try await box.run([], shell: "cat $A_FILE; tail -c1 $A_FILE")
        let json = try await box.sandbox.succeed("audit", "report", "--json").outputText
        struct Document: Decodable {
            struct Secret: Decodable {
                struct Reader: Decodable {
                    let executable: String?
                    let granted: Int
                    let new: Bool
                }
                let name: String
                let readers: [Reader]
            }
            let schemaVersion: Int
            let unread: [String]
            let secrets: [Secret]
        }
        let document = try JSONDecoder().decode(Document.self, from: Data(json.utf8))
        #expect(document.schemaVersion == 1 && document.unread == ["C"])
        let readers = try #require(document.secrets.first { $0.name == "A" }?.readers)
        #expect(readers.map { $0.executable?.split(separator: "/").last.map(String.init) } == ["cat", "tail"])
        #expect(readers.map(\.granted) == [2, 1] && readers.map(\.new) == [false, true])
        #expect(
            try await box.sandbox.succeed("audit", "report", "--since", "2099-01-01T00:00:00Z").outputText
                .hasPrefix("nobody opened a secret\n")
        )
        try await box.sandbox.succeed("audit", "verify")
    }

    @Test func aPageHoldsWhatAProcessCallsItselfAsText() async throws {
        let box = try await JobBox(["A": "a"])
        let hostile = box.sandbox.directory.path("<script>alert('x')<&\"\u{1b}[31m\u{202e}\u{200b}")
        _ = try await box.run([], shell: "cp /bin/cat \"$P\"; \"$P\" $A_FILE", adding: ["P": hostile])
        let page = box.sandbox.directory.path("report.html")
        let outcome = try await box.sandbox.succeed("audit", "report", "--html", page)
        #expect(outcome.errorText == "credfs: wrote \(page)\n" && outcome.outputText.isEmpty)
        let text = String(decoding: try Files.read(page), as: UTF8.self)
        #expect(text.hasPrefix("<!DOCTYPE html>") && text.hasSuffix("</html>\n"))
        #expect(text.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;&amp;&quot;\\u{1b}[31m\\u{202e}\\u{200b}"))
        let lines = try await box.sandbox.succeed("audit", "report").outputText
        #expect(lines.contains("\\u{202e}") && !lines.contains("\u{202e}"), "\(lines)")
        #expect(!text.contains("<script") && !text.contains("http://") && !text.contains("https://"))
        #expect(try Files.mode(page) == 0o600)
        // Nothing of a value.
        #expect(try await box.sandbox.succeed("audit", "report", "--html", "-").outputText.contains("<h2>A "))
        try await box.sandbox.run("audit", "report", "--html", "/nonexistent/x.html").expectRefusal(1)
        try await box.sandbox.run("audit", "report", "--html", "X=y").expectRefusal(64)
        try await box.sandbox.run("audit", "report", "--html", "-", "--json").expectRefusal(64)
    }

    @Test func labelsAreClaimsOfTheJob() async throws {
        let box = try await JobBox(["A": "a"])
        let token = "CI_JOB_TOKEN"
        let gitlab = [
            "GITLAB_CI": "true", "CI_JOB_NAME": String(repeating: "n", count: 300), "CI_JOB_ID": "7",
            token: "marker-of-a-token",
        ]
        _ = try await box.run(["--label", "job=mine"], shell: "true", adding: gitlab)
        let shown = try await box.sandbox.succeed("audit", "show", "--json").outputText
        let job = try #require(shown.split(separator: "\n").first { $0.contains("\"operation\":\"job\"") })
        #expect(job.contains("\"labels\":{\"ci\":\"gitlab\",\"job\":\"mine\",\"run\":\"7\"}"), "\(job)")
        #expect(!shown.contains("marker-of-a-token"))
        _ = try await box.run([], shell: "true", adding: gitlab)
        #expect(
            try await box.sandbox.succeed("audit", "show").outputText.contains(
                " job=\(String(repeating: "n", count: 256)) "
            )
        )
        for label in ["novalue", "=x", "UPPER=x", "key=", "a b=c"] {
            try await box.credfs("run", "--label", label, "--", "true").expectRefusal(64)
        }
        let many = (0..<33).flatMap { ["--label", "l\($0)=x"] }
        #expect(try await box.run(many, shell: "true").status == .exited(64))
        // Outside of a CI system there is nothing to record.
        let quiet = try await JobBox(["A": "a"])
        _ = try await quiet.run([], shell: "true")
        #expect(!(try await quiet.sandbox.succeed("audit", "show").outputText.contains(" job ")))
    }

    @Test func aMaskIsNoPersonThatLooks() async throws {
        let box = try await JobBox(["A": "a"])
        _ = try await box.mount()
        #expect(try await box.credfs("env", "--mask", "github").status == .exited(0))
        try await box.unmountAll()
        try await box.sandbox.succeed("show", "A")
        let report = try await box.sandbox.succeed("audit", "report").outputText
        #expect(report.contains("credfs env --mask, run by") && report.contains("credfs show, run by"), "\(report)")
    }

    @Test func aMountIsOfItsJobToo() async throws {
        let box = try await JobBox(["A": "a"])
        let outcome = try await box.credfs(
            "mount",
            "--label",
            "job=deploy",
            adding: ["GITHUB_ACTIONS": "true", "GITHUB_JOB": "build", "GITHUB_REPOSITORY": "acme/shop"]
        )
        try #require(outcome.status == .exited(0), "\(outcome.errorText)")
        #expect(try Files.read("\(outcome.outputText.dropLast())/A") == Array("a".utf8))
        try await box.unmountAll()
        let entries = try await box.sandbox.succeed("audit", "show", "--json").outputText.split(separator: "\n")
        let job = try #require(entries.firstIndex { $0.contains("\"operation\":\"job\"") })
        let open = try #require(entries.firstIndex { $0.contains("\"operation\":\"open\"") })
        #expect(job < open && entries[job].contains("\"labels\":{\"ci\":\"github\",\"job\":\"deploy\""))
        let report = try await box.sandbox.succeed("audit", "report").outputText
        #expect(report.contains("deploy") && report.contains("acme/shop"), "\(report)")
        try await box.credfs("mount", "--label", "job=").expectRefusal(64, "a value that is not empty")
    }
}
