// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

@Suite struct PermissionTests {
    struct Insecurity: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let text: String
        /// Made with a shell in the store directory.
        let script: String
        /// Whether the reduced mode accepts it.
        var isLenient = true
        /// Whether the hint is the command that mends it.
        var isMended = false
    }

    static let insecurities = [
        Insecurity(
            testDescription: "open directory",
            text: "mode 0755, expected 0700",
            script: "chmod 755 .",
            isMended: true
        ),
        Insecurity(
            testDescription: "group-readable key",
            text: "mode 0640, expected 0600",
            script: "chmod 640 secrets.key",
            isMended: true
        ),
        Insecurity(
            testDescription: "key for others",
            text: "mode 0604, expected 0600",
            script: "chmod 604 secrets.key",
            isMended: true
        ),
        Insecurity(
            testDescription: "readable manifest",
            text: "mode 0644, expected 0600",
            script: "chmod 644 secrets.yaml",
            isMended: true
        ),
        Insecurity(
            testDescription: "open state",
            text: "mode 0750, expected 0700",
            script: "chmod 750 state",
            isMended: true
        ),
        Insecurity(
            testDescription: "hard-linked key",
            text: "secrets.key has 2 hard links",
            script: "ln secrets.key ../other"
        ),
        Insecurity(
            testDescription: "hard-linked manifest",
            text: "secrets.yaml has 2 hard links",
            script: "ln secrets.yaml ../other"
        ),
        Insecurity(
            testDescription: "linked key",
            text: "secrets.key is a symbolic link",
            script: "mv secrets.key ..; ln -s ../secrets.key",
            isLenient: false
        ),
        Insecurity(
            testDescription: "linked manifest",
            text: "secrets.yaml is a symbolic link",
            script: "mv secrets.yaml ..; ln -s ../secrets.yaml",
            isLenient: false
        ),
        Insecurity(
            testDescription: "linked state",
            text: "state is ",
            script: "mv state ..; ln -s ../state",
            isLenient: false
        ),
        Insecurity(
            testDescription: "linked store",
            text: "store is a symbolic link",
            script: "cd ..; mv store real; ln -s real store",
            isLenient: false
        ),
        Insecurity(
            testDescription: "FIFO for a key",
            text: "secrets.key is not a regular file",
            script: "rm secrets.key; mkfifo -m 600 secrets.key",
            isLenient: false
        ),
        Insecurity(
            testDescription: "FIFO for a manifest",
            text: "secrets.yaml is not a regular file",
            script: "rm secrets.yaml; mkfifo -m 600 secrets.yaml",
            isLenient: false
        ),
        Insecurity(
            testDescription: "directory for a key",
            text: "secrets.key is not a regular file",
            script: "rm secrets.key; mkdir -m 700 secrets.key",
            isLenient: false
        ),
        Insecurity(
            testDescription: "directory for a manifest",
            text: "secrets.yaml is not a regular file",
            script: "rm secrets.yaml; mkdir -m 700 secrets.yaml",
            isLenient: false
        ),
        Insecurity(
            testDescription: "socket for a key",
            text: "secrets.key is not a regular file",
            script:
                "rm secrets.key; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"secrets.key\")'; chmod 600 secrets.key",
            isLenient: false
        ),
        Insecurity(
            testDescription: "file for state",
            text: "state is not a directory",
            script: "rm -r state; echo >state; chmod 600 state",
            isLenient: false
        ),
    ]

    @Test(arguments: insecurities)
    func isRefusedBeforeAnythingIsDecrypted(insecurity: Insecurity) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let made = try await ChildProcess.run("/bin/sh", ["-c", "cd '\(sandbox.store)' && \(insecurity.script)"])
        try #require(made.status == .exited(0), "\(made.errorText)")
        let before = try sandbox.snapshot()
        let hint = insecurity.isMended ? "chmod 0" : nil
        for arguments in [["verify"], ["show", "ONE"], ["set", "ONE"], ["encrypt"]] {
            let outcome = try await sandbox.run(arguments, input: [1])
            outcome.expectRefusal(14, insecurity.text, hint: hint)
            #expect(!outcome.outputText.contains("value"))
        }
        #expect(try sandbox.snapshot() == before)
        for variable in ["CREDFS_PERMISSIONS_STRICT", "CLAMP_PERMISSIONS_STRICT"] {
            let verification = try await sandbox.run("verify", adding: [variable: "0"])
            let shown = try await sandbox.run("show", "ONE", "-v", adding: [variable: "0"])
            if insecurity.isLenient {
                #expect(verification.status == .exited(0), "\(verification.errorText)")
                #expect(verification.outputText.contains("warning  permissions"))
                #expect(shown.standardOutput == Array("value".utf8))
                let warnings = shown.lines("warning").filter { $0.contains(insecurity.text) }
                #expect(warnings.count == 1, "\(shown.errorText)")
                #expect(
                    shown.events.contains {
                        $0.operation == "permissions" && $0.reason?.contains(insecurity.text) == true
                    }
                )
            } else {
                verification.expectRefusal(14, insecurity.text)
                shown.expectRefusal(14, insecurity.text)
            }
        }
        for word in ["false", "No"] where insecurity.isLenient {
            let lenient = try await sandbox.run("show", "ONE", adding: ["CREDFS_PERMISSIONS_STRICT": word])
            #expect(lenient.standardOutput == Array("value".utf8), "\(lenient.errorText)")
        }
        let both = ["CREDFS_PERMISSIONS_STRICT": "1", "CLAMP_PERMISSIONS_STRICT": "0"]
        (try await sandbox.run("show", "ONE", adding: both)).expectRefusal(14, insecurity.text)
        #expect(try sandbox.snapshot() == before)
        if insecurity.isMended {
            let command = try #require(try await sandbox.run("verify").lines("hint").first)
            #expect(try await ChildProcess.run("/bin/sh", ["-c", command]).status == .exited(0))
            #expect(try await sandbox.value("ONE") == Array("value".utf8))
        }
    }

    @Test(
        .enabled(if: isRoot, "only root can give files away"),
        arguments: ["", "secrets.key", "secrets.yaml", "state"]
    )
    func whatSomebodyElseOwnsIsRefused(name: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let path = name.isEmpty ? sandbox.store : sandbox.path(name)
        let identity = try #require(UInt32(stranger))
        try #require(unsafe chown(path, identity, identity) == 0)
        let before = try sandbox.snapshot()
        for arguments in [["verify"], ["show", "ONE"], ["set", "ONE"]] {
            let outcome = try await sandbox.run(arguments, input: [1])
            outcome.expectRefusal(14, "owned by uid \(stranger), expected 0", hint: "chown 0 \(path)")
        }
        #expect(try sandbox.snapshot() == before)
        let lenient = try await sandbox.run("show", "ONE", adding: ["CREDFS_PERMISSIONS_STRICT": "0"])
        #expect(lenient.standardOutput == Array("value".utf8))
    }

    @Test(
        .enabled(if: isRoot, "only root can give files away"),
        arguments: ["", "secrets.key", "secrets.yaml", "state"]
    )
    func aStrangerIsRefusedWhatAThirdOwns(name: String) async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let prefix = try sandbox.giveToStranger()
        let path = name.isEmpty ? sandbox.store : sandbox.path(name)
        try #require(unsafe chown(path, 1, 1) == 0)
        for arguments in [["verify"], ["show", "ONE"], ["set", "ONE"]] {
            let outcome = try await sandbox.shell("exec \(prefix) \"$@\"", arguments, input: [1])
            outcome.expectRefusal(14)
        }
        // With the mode of a careless owner it can be opened, and is refused by its owner.
        try Files.setMode(0o777, path)
        let outcome = try await sandbox.shell("exec \(prefix) \"$@\"", ["show", "ONE"])
        outcome.expectRefusal(14, "owned by uid 1, expected \(stranger)")
    }

    @Test func aManifestInAWorkTreeNeedOnlyBeUnwritableForOthers() async throws {
        let sandbox = try await Sandbox(["ONE": "value"])
        let tree = sandbox.directory.path("tree")
        try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: false)
        let path = tree + "/secrets.yaml"
        try FileManager.default.moveItem(atPath: sandbox.path("secrets.yaml"), toPath: path)
        try Files.setMode(0o755, tree)
        try Files.setMode(0o644, path)
        let named = ["--manifest", path]
        #expect(try await sandbox.run(["show", "ONE"] + named).standardOutput == Array("value".utf8))
        #expect(try await sandbox.run(["set", "ONE"] + named, input: [66]).status == .exited(0))
        #expect(try Files.mode(path) == 0o644)
        #expect(try await sandbox.run("show", "ONE", adding: ["CREDFS_MANIFEST": path]).standardOutput == [66])
        try Files.setMode(0o664, path)
        (try await sandbox.run(["show", "ONE"] + named)).expectRefusal(
            14,
            "mode 0664, expected 0644",
            hint: "chmod 0644"
        )
    }

    @Test func aDirectorySwappedMeanwhileGivesOneStoreOrTheOther() async throws {
        let first = try await Sandbox(["ONE": "first"])
        let second = try await Sandbox(["ONE": "second"])
        let (here, there) = (first.store, second.store)
        let swapping = Task.detached {
            var swaps = 0
            while !Task.isCancelled {
                if DirectoryChange.exchange(here, there) { swaps += 1 }
                await Task.yield()
            }
            return swaps
        }
        for round in 0..<60 {
            let arguments = round % 3 == 0 ? ["verify"] : ["show", "ONE"]
            let outcome = try await first.run(arguments)
            #expect(outcome.status == .exited(0), "\(outcome.outputText)\(outcome.errorText)")
            if arguments == ["verify"] { continue }
            #expect(["first", "second"].contains(outcome.outputText))
        }
        swapping.cancel()
        #expect(await swapping.value > 100)
    }

    @Test func aDirectorySwappedForAnOpenOneIsSeenOrNotUsed() async throws {
        let good = try await Sandbox(["ONE": "good"])
        let bad = try await Sandbox(["ONE": "bad"])
        try Files.setMode(0o755, bad.store)
        let (here, there) = (good.store, bad.store)
        let swapping = Task.detached {
            while !Task.isCancelled {
                _ = DirectoryChange.exchange(here, there)
                await Task.yield()
            }
        }
        for _ in 0..<60 {
            let outcome = try await good.run("show", "ONE")
            if outcome.status == .exited(0) {
                #expect(outcome.outputText == "good")
            } else {
                outcome.expectRefusal(14, "mode 0755")
            }
        }
        swapping.cancel()
        await swapping.value
    }
}
