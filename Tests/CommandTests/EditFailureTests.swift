// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension EditTests {
    /// What happens to an edit from outside.
    @Suite struct Failures {
        /// An editor that tells its process and that of the helper, and waits.
        private static let waiting = "echo $$ $PPID > \"$NEWS\"; read -r line < \"$ORDERS\"; sed -i s/old/new/ \"$1\""

        @Test(arguments: [SIGTERM, SIGHUP, SIGINT, SIGQUIT]) func aSignalEndsItWithItsEditor(_ signal: Int32)
            async throws
        {
            let box = try await EditBox(["ONE": "old"])
            let before = try box.sandbox.manifest()
            let run = try box.start(try box.script(Self.waiting))
            let processes = try await box.nextLine().split(separator: " ").compactMap { Int32($0) }
            kill(run.id, signal)
            let outcome = try await run.end()
            outcome.expectRefusal(128 + signal, "ended by signal \(signal)")
            for process in processes { #expect(!ProcessState.isAlive(process)) }
            #expect(try box.sandbox.manifest() == before)
            try box.expectNothingLeft()
        }

        @Test(arguments: ["credfs", "helper", "editor"]) func killedAnywhereItLeavesTheStoreAndNoProcess(
            _ victim: String
        )
            async throws
        {
            let box = try await EditBox(["ONE": "old"])
            let before = try box.sandbox.manifest()
            let run = try box.start(try box.script(Self.waiting))
            let processes = try await box.nextLine().split(separator: " ").compactMap { Int32($0) }
            let (editor, helper) = (try #require(processes.first), try #require(processes.last))
            kill(victim == "credfs" ? run.id : victim == "helper" ? helper : editor, SIGKILL)
            let outcome = try await run.end()
            if victim == "credfs" {
                #expect(outcome.status == .signal(SIGKILL))
            } else {
                outcome.expectRefusal(1, victim == "helper" ? "ended early" : "signal 9")
            }
            try await Eventually.holds("the end of both") {
                !ProcessState.isAlive(editor) && !ProcessState.isAlive(helper)
            }
            #expect(try box.sandbox.manifest() == before)
            // The next one cleans up, and works.
            box.order()
            let again = try await box.edit("sed -i s/old/again/")
            #expect(again.status == .exited(0), "\(again.errorText)")
            #expect(try await box.sandbox.value("ONE") == Array("again".utf8))
            try box.expectNothingLeft()
        }

        @Test func aDirectoryThatIsLeftGoesWithTheNextCommandThatLooks() async throws {
            let box = try await EditBox(["ONE": "old"])
            let left = box.box.runtime + "/credfs/edit-0011223344556677"
            try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: true)
            for path in [box.box.runtime + "/credfs", left] { try Files.setMode(0o700, path) }
            let status = try await box.box.credfs("status")
            #expect(!Files.exists(left), "\(status.errorText)")
        }

        @Test func anotherSecretThatChangesMeanwhileIsKept() async throws {
            let box = try await EditBox(["ONE": "old", "TWO": "2"])
            let run = try box.start(try box.script(Self.waiting))
            _ = try await box.nextLine()
            try await box.sandbox.succeed("set", "TWO", input: Array("changed".utf8))
            try await box.sandbox.succeed("set", "THREE", input: Array("3".utf8))
            box.order()
            let outcome = try await run.end()
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(outcome.errorText.contains("both changes are kept"))
            for (name, value) in [("ONE", "new"), ("TWO", "changed"), ("THREE", "3")] {
                #expect(try await box.sandbox.value(name) == Array(value.utf8))
            }
            #expect(try await box.sandbox.run("verify").status == .exited(0))
        }

        @Test func theSameSecretThatChangesMeanwhileIsNotOverwrittenUnseen() async throws {
            let box = try await EditBox(["ONE": "old", "TWO": "2"])
            let run = try box.start(try box.script(Self.waiting))
            _ = try await box.nextLine()
            try await box.sandbox.succeed("set", "ONE", input: Array("theirs".utf8))
            box.order()
            (try await run.end()).expectRefusal(1, "changed by another command meanwhile: ONE", hint: "edit again")
            #expect(try await box.sandbox.value("ONE") == Array("theirs".utf8))
            try box.expectNothingLeft()
        }

        @Test func aDataKeyThatIsReplacedMeanwhileIsSaid() async throws {
            let box = try await EditBox(["ONE": "old"])
            let run = try box.start(try box.script(Self.waiting))
            _ = try await box.nextLine()
            try await box.sandbox.succeed("rotate")
            box.order()
            (try await run.end()).expectRefusal(15, "data key was replaced", hint: "run credfs edit again")
            #expect(try await box.sandbox.value("ONE") == Array("old".utf8))
        }

        @Test func onATerminalItIsOfferedAgainWithWhatOthersChanged() async throws {
            let box = try await EditBox(["ONE": "old", "TWO": "2"])
            let script = """
                if grep -q old "$1"; then \(Self.waiting); else grep -q theirs-too "$1" && echo second; fi
                """
            let terminal = try box.startOnTerminal(try box.script(script))
            _ = try await box.nextLine()
            try await box.sandbox.succeed("set", "ONE", input: Array("theirs".utf8))
            try await box.sandbox.succeed("set", "TWO", input: Array("theirs-too".utf8))
            box.order()
            try await terminal.expect("changed by another command meanwhile: ONE")
            try await terminal.expect("edit again? [Y/n] ")
            terminal.type("y\n")
            try await terminal.expect("second")
            try await terminal.expect("changed: ONE: value changed")
            #expect(try await terminal.end() == .exited(0))
            #expect(try await box.sandbox.value("ONE") == Array("new".utf8))
            #expect(try await box.sandbox.value("TWO") == Array("theirs-too".utf8))
            try box.expectNothingLeft()
        }

        @Test func refusalsComeBeforeTheEditor() async throws {
            let box = try await EditBox(["ONE": "old"])
            let editor = "touch $NEWS; false"
            (try await box.edit(editor, adding: ["CREDFS_IGNORE_SECRETS": "1"])).expectRefusal(21, hint: "unset")
            (try await box.edit(editor, "--key-fd", "0")).expectRefusal(64)
            (try await box.edit(editor, adding: ["XDG_RUNTIME_DIR": "/nowhere"])).expectRefusal(19, hint: "credfs set")
            (try await box.edit(editor, adding: ["CREDFS_KEY": "x"])).expectRefusal(15)
            let manifest = try box.sandbox.manifest()
            try box.sandbox.replaceManifest(manifest.replacing("generation: ", with: "generation: 1").utf8)
            (try await box.edit(editor)).expectRefusal(15, "signature")
            try box.sandbox.replaceManifest(
                manifest.replacing(/ONE:\n    value: .*/, with: "ONE:\n    value: x").utf8
            )
            (try await box.edit(editor)).expectRefusal(22)
        }
    }

    /// What a user without any right gets.
    @Suite struct OrdinaryUser {
        @Test func editsInANamespaceOfTheirOwn() async throws {
            let user = try await UserBox(["ONE": "old"])
            let script = """
                set -eu; stat -f -c %T "$PWD" >&2; grep CapEff /proc/self/status >&2; id -u >&2
                for place in "$HOME" /tmp "$CREDFS_STORE"; do if touch "$place/x"; then echo "wrote $place" >&2; fi; done
                sed -i.backup s/old/new/ "$1"
                """
            try user.sandbox.directory.write(Array(script.utf8), to: "home/editor", permissions: 0o644)
            let outcome = try await user.run([], ["edit"], adding: ["EDITOR": "sh \(user.home)/editor 2>&1"])
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            #expect(outcome.outputText.contains("ramfs\nCapEff:\t0000000000000000\n\(stranger)\n"))
            #expect(!outcome.outputText.contains("wrote"))
            #expect(try await user.run([], ["show", "ONE"]).outputText == "new")
            try user.expectNothingLeft()
        }

        @Test func withoutNamespacesItIsRefusedAndTheOtherWayIsNamed() async throws {
            let user = try await UserBox(["ONE": "old"])
            // Behind chroot(2) the kernel makes no user namespaces.
            let root = user.home + "/root"
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
            let outcome = try await ChildProcess.run(
                "/usr/bin/unshare",
                ["--mount", "/bin/sh", "-c", "mount --rbind / \"$0\" && exec chroot \"$0\" \"$@\"", root]
                    + user.wrapper([]) + ["edit"],
                environment: user.environment.merging(["EDITOR": "sed -i s/old/new/"]) { $1 }
            )
            outcome.expectRefusal(19, "cannot make a private namespace", hint: "credfs set NAME")
            #expect(try await user.run([], ["show", "ONE"]).outputText == "old")
            try user.expectNothingLeft()
        }

        @Test func littleLockedMemoryIsEnough() async throws {
            let user = try await UserBox(["ONE": "old"])
            let outcome = try await ChildProcess.run(
                "/usr/bin/prlimit",
                ["--memlock=65536"] + user.wrapper([]) + ["edit"],
                environment: user.environment.merging(["EDITOR": "sed -i s/old/new/"]) { $1 }
            )
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        }
    }
}
