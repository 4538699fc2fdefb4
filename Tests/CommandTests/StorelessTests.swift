// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Jobs, mounts and questions with sources alone (`--no-store`).
extension RunTests {
    @Suite(.timeLimit(.minutes(20))) struct Storeless {
        private func box(_ files: [String: String]) throws -> JobBox {
            let box = try JobBox()
            for (name, text) in files { try box.sandbox.directory.write(Array(text.utf8), to: name) }
            return box
        }

        @Test func aJobHasTheSecretsOfSourcesWithoutAStore() async throws {
            let box = try box(["A": "a", "b.env": "B=b\nREQUIRED='r'\n"])
            let sources = [
                "--no-store", "--source", "file:\(box.sandbox.directory.path("A"))",
                "--source", "dotenv:\(box.sandbox.directory.path("b.env"))",
            ]
            let outcome = try await box.run(sources, shell: "cat $A_FILE $B_FILE; echo \" $CREDFS_AUTH_MODE\"; ls -A ~")
            #expect(outcome.outputText == "ab authenticated\n", "\(outcome.errorText)")
            #expect(outcome.errorText.isEmpty)
            let only = try await box.run(sources + ["--only", "B"], shell: "ls $CREDENTIALS_DIRECTORY")
            #expect(only.outputText == "B\n", "\(only.errorText)")
            let missing = try await box.run(sources + ["--only", "C"], shell: "true")
            #expect(missing.status == .exited(125) && missing.errorText.contains("'C'"), "\(missing.errorText)")
            let inVariable = try await box.run(sources + ["--env", "A"], shell: "echo $A")
            #expect(inVariable.outputText == "a\n", "\(inVariable.errorText)")
            // Nothing was made anywhere.
            #expect(!Files.exists(box.sandbox.store))
            try box.expectNothingLeft()
        }

        @Test func aSourceThatListsNothingIsAskedForWhatIsNamed() async throws {
            let box = try box([:])
            let provider = try await box.sandbox.directory.writeProgram(
                "#!/bin/sh\ncase $1 in A) echo asked;; DOWN) exit 3;; *) exit 11;; esac\n",
                to: "provider"
            )
            let sources = ["--no-store", "--source", "exec:\(provider)"]
            let outcome = try await box.run(sources + ["--only", "A"], shell: "cat $A_FILE")
            #expect(outcome.outputText == "asked", "\(outcome.errorText)")
            for (name, text) in [("DOWN", "status 3"), ("NONE", "knows no such secret")] {
                let refused = try await box.run(sources + ["--only", name], shell: "true")
                #expect(refused.status == .exited(125) && refused.errorText.contains(text), "\(refused.errorText)")
            }
        }

        @Test func aVariableMayHoldAnyBytesAndIsTaken() async throws {
            let box = try box([:])
            let script =
                "export BYTES=$(printf 'a\\377b'); exec \"$1\" run --no-store --source env:BYTES -- "
                + "sh -c 'od -An -tx1 $BYTES_FILE; env | grep -ac ^BYTES='"
            let outcome = try await box.sandbox.shell(script, [], adding: ["XDG_RUNTIME_DIR": box.runtime])
            #expect(outcome.outputText == " 61 ff 62\n0\n", "\(outcome.errorText)")
        }

        @Test func theKeyOfASourceIsOutOfSight() async throws {
            let box = try box(["key": "not a key", "A": "a"])
            let outcome = try await box.run(
                ["--no-store", "--source", "file:\(box.sandbox.directory.path("A"))"],
                shell: "env | grep -c FERNET; wc -c <\(box.sandbox.directory.path("key"))",
                adding: ["CREDFS_FERNET_KEY_FILE": box.sandbox.directory.path("key")]
            )
            #expect(outcome.outputText == "0\n0\n", "\(outcome.errorText)")
        }

        @Test func whatOnlyAStoreCanDoIsRefusedOrLeftOut() async throws {
            let box = try box(["A": "a"])
            let file = "file:\(box.sandbox.directory.path("A"))"
            let nothing = try await box.sandbox.run("show", "A", "--no-store")
            nothing.expectRefusal(64, "there is no source")
            let both = try await box.sandbox.run("show", "A", "--no-store", "--store", "s", "--source", file)
            both.expectRefusal(64, "exclude each other")
            let recorded = try await box.run(
                ["--no-store", "--source", file, "--audit", "required"],
                shell: "true"
            )
            #expect(recorded.status == .exited(64), "\(recorded.errorText)")
            let disclosed = try await box.sandbox.run(
                "show",
                "A",
                "--no-store",
                "--source",
                file,
                adding: ["CREDFS_AUDIT": "required"]
            )
            disclosed.expectRefusal(1, "must be recorded")
            let hinted = try await box.run(["--source", file], shell: "true")
            #expect(hinted.errorText.contains("--no-store"), "\(hinted.errorText)")
        }

        @Test func aStoreThatIsThereIsNeitherReadNorWritten() async throws {
            let box = try await JobBox(["A": "store a", "STORE": "s"])
            let before = try Snapshot(box.sandbox.store)
            let path = try box.sandbox.directory.write(Array("file a".utf8), to: "A")
            let outcome = try await box.run(
                ["--no-store", "--source", "file:\(path)"],
                shell: "cat $A_FILE; ls $CREDENTIALS_DIRECTORY"
            )
            #expect(outcome.outputText == "file aA\n", "\(outcome.errorText)")
            let shown = try await box.credfs("show", "A", "--no-store", "--source", "file:\(path)")
            #expect(shown.outputText == "file a", "\(shown.errorText)")
            (try await box.credfs("get", "STORE", "--no-store", "--source", "file:\(path)")).expectRefusal(11)
            #expect(try Snapshot(box.sandbox.store) == before)
        }

        @Test func explainAndHealthKnowNoStore() async throws {
            let box = try box(["A": "a"])
            let file = "file:\(box.sandbox.directory.path("A"))"
            let explained = try await box.credfs("explain", "A", "--no-store", "--source", file)
            #expect(explained.outputText == "\(file)  has the value that counts\n", "\(explained.errorText)")
            let health = try await box.credfs("health", "--no-store", "--source", file)
            #expect(health.status == .exited(0) && !health.outputText.contains("store"), "\(health.outputText)")
            let got = try await box.credfs("get", "A", "--no-store", "--source", file, "--json")
            #expect(got.outputText.contains("\"name\" : \"A\""), "\(got.errorText)")
        }

        @Test func aMountIsReadAgainAndItsLockIsForEver() async throws {
            let box = try box(["A": "first"])
            let file = "file:\(box.sandbox.directory.path("A"))"
            let outcome = try await box.credfs("mount", "--no-store", "--source", file)
            try #require(outcome.status == .exited(0), "\(outcome.errorText)")
            let path = String(outcome.outputText.dropLast())
            func read() -> String? { (try? Files.read("\(path)/A")).map { String(decoding: $0, as: UTF8.self) } }
            #expect(read() == "first")
            let status = try await box.credfs("status", "--json")
            #expect(status.outputText.contains("\"store\" : null"))
            try box.sandbox.directory.write(Array("second".utf8), to: "A")
            #expect(try await box.credfs("reload").status == .exited(0))
            #expect(read() == "second")
            let environment = try await box.credfs("env", path)
            #expect(environment.outputText.contains("A_FILE="), "\(environment.errorText)")
            let locked = try await box.credfs("lock")
            #expect(locked.status == .exited(0))
            #expect(locked.errorText.contains("nothing can unlock"), "\(locked.errorText)")
            #expect(read() == nil)
            try await box.credfs("unlock").expectRefusal(15, "nothing brings the keys", hint: "mount anew")
            try await box.sandbox.succeed("init", "--empty")
            try await box.credfs("unlock").expectRefusal(15, "nothing brings the keys", hint: "mount anew")
            #expect(read() == nil)
            #expect(try await box.credfs("unmount", path).status == .exited(0))
            try box.expectNothingLeft()
        }
    }
}
