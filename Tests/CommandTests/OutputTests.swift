// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// One line of `credfs: event: ` with what spec A3 lists and exists so far.
struct Event: Decodable {
    let timestamp: String
    let operation: String
    let secret: String?
    let service: String?
    let status: String
    let reason: String?
    let uid: UInt32
    let pid: Int32
    let executable: String
    let parent: String
    let store: String?
}

extension ChildProcess.Outcome {
    /// The events that `--verbose` shows.
    var events: [Event] {
        lines("event").compactMap { try? JSONDecoder().decode(Event.self, from: Data($0.utf8)) }
    }

    /// The object that standard output holds.
    func json() throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(standardOutput)) as? [String: Any])
    }
}

@Suite struct OutputTests {
    @Test func aListInJSONHasExactlyItsKeys() async throws {
        let sandbox = try await Sandbox(["service/KEY": "value"])
        let attributes = ["--description", "for people", "--required", "--format", "text"]
        let time = "2999-01-01T00:00:00Z"
        _ = try await sandbox.run(["set", "FULL", "--expires", time] + attributes, input: [65])
        try await sandbox.succeed("set", "EMPTY", "--allow-empty")
        let list = try await sandbox.succeed("list", "--json").json()
        #expect(Set(list.keys) == ["schemaVersion", "secrets"])
        #expect(list["schemaVersion"] as? Int == 1)
        let secrets = try #require(list["secrets"] as? [[String: Any]])
        #expect(secrets.map { $0["name"] as? String } == ["EMPTY", "FULL", "service.KEY"])
        #expect(secrets[0]["filled"] as? Bool == false)
        let all: Set = [
            "name", "template", "service", "required", "filled", "format", "newline", "mode", "expires", "updated",
            "description",
        ]
        #expect(secrets.allSatisfy { Set($0.keys) == all })
        #expect(secrets[1]["service"] is NSNull)
        #expect(secrets[1]["expires"] as? String == time)
        #expect(secrets[1]["required"] as? Bool == true)
        #expect(secrets[1]["format"] as? String == "text")
        #expect(secrets[1]["newline"] as? String == "exact")
        #expect(secrets[1]["mode"] as? String == "0400")
        #expect(secrets[1]["description"] as? String == "for people")
        #expect(secrets[2]["service"] as? String == "service")
        #expect(secrets[2]["expires"] is NSNull)
        let one = try await sandbox.succeed("get", "FULL", "--json").json()
        #expect(one["schemaVersion"] as? Int == 1)
        #expect((one["secrets"] as? [NSDictionary]) == [secrets[1] as NSDictionary])
        let text = try await sandbox.succeed("get", "FULL").outputText
        for line in ["name: FULL", "value: ********", "description: for people", "required: yes", "expires: \(time)"] {
            #expect(text.contains(line + "\n"))
        }
    }

    @Test func aVerificationPrintsALineForEachCheck() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let names = [
            "store", "permissions", "schema", "sealed", "key", "signature", "required", "expiry", "format",
        ]
        let text = try await sandbox.succeed("verify").outputText
        #expect(text.split(separator: "\n").map { $0.split(separator: " ")[1] } == names.map { Substring($0) })
        #expect(text.split(separator: "\n").allSatisfy { $0.hasPrefix("ok ") })
        let good = try await sandbox.succeed("verify", "--json").json()
        #expect(Set(good.keys) == ["schemaVersion", "accepted", "authMode", "reason", "checks"])
        #expect(good["reason"] is NSNull)
        #expect(good["accepted"] as? Bool == true)
        #expect(good["authMode"] as? String == "authenticated")
        let checks = try #require(good["checks"] as? [[String: Any]])
        #expect(checks.map { $0["check"] as? String } == names)
        #expect(checks.allSatisfy { Set($0.keys) == ["check", "status", "code", "message"] })
        #expect(checks.allSatisfy { $0["status"] as? String == "ok" && $0["code"] as? Int == 0 })

        let keyless = try await sandbox.succeed("verify", "--no-key", "--json").json()
        #expect(keyless["accepted"] as? Bool == true)
        #expect(keyless["authMode"] as? String == "unauthenticated")
        #expect(keyless["reason"] as? String == "key")
        let skipped = try #require(keyless["checks"] as? [[String: Any]]).filter {
            $0["status"] as? String == "skipped"
        }
        #expect(skipped.map { $0["check"] as? String } == ["key", "signature", "format"])
        let said = try await sandbox.succeed("verify", "--no-key")
        #expect(said.errorText.contains("without a key"))
        #expect(said.outputText.contains("skipped  key"))
    }

    @Test(arguments: [
        ("no-store", 18, "store"), ("permissions", 14, "permissions"), ("schema", 17, "schema"),
        ("unsealed", 22, "sealed"), ("key", 15, "key"), ("signature", 15, "signature"), ("required", 17, "required"),
        ("expired", 16, "expiry"),
    ])
    func aFailedCheckNamesItsReasonAndWhatDependsOnItIsSkipped(reason: String, code: Int, check: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        switch reason {
        case "no-store": try FileManager.default.removeItem(atPath: sandbox.store)
        case "permissions": try Files.setMode(0o640, sandbox.path("secrets.key"))
        case "schema": try sandbox.replaceManifest("a: 1\n".utf8)
        case "unsealed":
            try sandbox.replaceManifest(try sandbox.manifest().replacing("value: ENC[", with: "value: ABC[").utf8)
        case "key": try sandbox.directory.write(Array("x".utf8), to: "store/secrets.key")
        case "signature":
            try sandbox.replaceManifest(try sandbox.manifest().replacing("generation: ", with: "generation: 1").utf8)
        case "required": try await sandbox.succeed("set", "TWO", "--required", "--allow-empty")
        default:
            try await sandbox.makeExpired("TWO", "x", at: "2020-01-01T00:00:00Z", required: true)
        }
        let outcome = try await sandbox.run("verify", "--json")
        outcome.expectRefusal(Int32(code))
        let json = try outcome.json()
        #expect(json["accepted"] as? Bool == false)
        #expect(json["authMode"] as? String == "unauthenticated")
        #expect(json["reason"] as? String == reason)
        let checks = try #require(json["checks"] as? [[String: Any]])
        #expect(checks.count == 9)
        let failed = checks.filter { $0["status"] as? String == "failed" }
        #expect(failed.first?["check"] as? String == check)
        #expect(failed.first?["code"] as? Int == code)
    }

    @Test func everyCommandRecordsAnEventWithItsFields() async throws {
        let sandbox = try Sandbox()
        let template = try sandbox.directory.write(Array("secrets: {}\n".utf8), to: "template")
        let commands: [(arguments: [String], operation: String, status: String, secret: String?)] = [
            (["init", "--empty"], "init", "success", nil), (["set", "A/B"], "set", "success", "A.B"),
            (["show", "A/B"], "show", "success", "A.B"), (["get", "A/B"], "get", "success", "A.B"),
            (["list"], "list", "success", nil), (["verify"], "verify", "success", nil),
            (["encrypt"], "encrypt", "success", nil), (["encrypt", template], "encrypt", "success", nil),
            (["show", "NONE"], "show", "failed", "NONE"), (["delete", "A/B", "-y"], "delete", "success", "A.B"),
            (["delete", "a:b", "-y"], "delete", "failed", nil),
            (["list", "--key-file", template], "list", "failed", nil),
        ]
        var stores: Set<String> = []
        for command in commands {
            let outcome = try await sandbox.run(command.arguments + ["-v"], input: [65])
            let event = try #require(outcome.events.last, "\(command.arguments): \(outcome.errorText)")
            #expect(event.operation == command.operation)
            #expect(event.status == command.status, "\(command.arguments) \(outcome.errorText)")
            #expect(event.secret == command.secret)
            #expect(event.service == (command.secret == "A.B" ? "A" : nil))
            #expect((event.reason != nil) == (command.status != "success"))
            #expect(event.uid == geteuid())
            #expect(event.pid > 1)
            #expect(event.executable.hasSuffix("/credfs"))
            #expect(!event.parent.isEmpty && event.parent != event.executable)
            #expect(
                event.timestamp.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil,
                "\(event.timestamp)"
            )
            if let store = event.store { stores.insert(store) }
            // Nothing of the kind without being asked.
            #expect(try await sandbox.run(["list", "-q"]).errorText == "")
        }
        #expect(stores.count == 1)
        try Files.setMode(0o644, sandbox.path("secrets.key"))
        #expect(try await sandbox.run("show", "A/B", "-v").events.last?.status == "denied")
        let repaired = try await sandbox.run("init", "-v")
        #expect(repaired.events.filter { $0.operation == "permissions" }.count >= 4)
    }

    @Test func quietSaysOnlyWhatIsWrong() async throws {
        let sandbox = try Sandbox()
        for arguments in [
            ["init", "--empty"], ["set", "ONE"], ["verify", "--no-key"], ["list"], ["delete", "ONE", "-y"],
        ] {
            let outcome = try await sandbox.run(arguments + ["-q"], input: [65])
            #expect(outcome.status == .exited(0))
            #expect(outcome.errorText == "")
        }
        (try await sandbox.run("show", "ONE", "-q")).expectRefusal(11)
    }

    @Test(arguments: ["1", "true", "yes", "TRUE"])
    func ignoredSecretsAreRefusedByName(value: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        for variable in ["CREDFS_IGNORE_SECRETS", "CLAMP_IGNORE_SECRETS"] {
            for arguments in [["show", "ONE"], ["get", "--show", "ONE"]] {
                let outcome = try await sandbox.run(arguments, adding: [variable: value])
                outcome.expectRefusal(21, variable, hint: "unset \(variable)")
                #expect(outcome.standardOutput.isEmpty)
            }
            #expect(try await sandbox.run("get", "ONE", adding: [variable: value]).status == .exited(0))
            #expect(try await sandbox.run("show", "ONE", adding: [variable: "0"]).status == .exited(0))
        }
        let newer = ["CREDFS_IGNORE_SECRETS": "0", "CLAMP_IGNORE_SECRETS": value]
        #expect(try await sandbox.run("show", "ONE", adding: newer).outputText == "value")
    }

    @Test(arguments: [
        ("CREDFS_IGNORE_SECRETS", "yess"), ("CREDFS_IGNORE_SECRETS", "enabled"), ("CLAMP_IGNORE_SECRETS", "2"),
        ("CREDFS_ON_REJECT", "bogus"), ("CREDFS_PERMISSIONS_STRICT", "off"), ("CLAMP_PERMISSIONS_STRICT", "none"),
    ])
    func aVariableThatSaysNeitherYesNorNoIsRefusedByEveryCommand(name: String, value: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        for arguments in [["show", "ONE"], ["export"], ["verify"], ["run", "--", "true"], ["mount"]] {
            let outcome = try await sandbox.run(arguments, adding: [name: value])
            outcome.expectRefusal(64, "\(name) takes ")
            #expect(outcome.standardOutput.isEmpty && !outcome.errorText.contains(value))
        }
        let newer = ["CREDFS_IGNORE_SECRETS": "no", "CLAMP_IGNORE_SECRETS": "bogus", "CREDFS_ON_REJECT": "fail"]
        #expect(try await sandbox.run("show", "ONE", adding: newer).outputText == "value")
    }
}
