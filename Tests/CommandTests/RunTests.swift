// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Jobs with real mounts, one after the other: some look at what is left on the machine.
@Suite(.serialized, .enabled(if: isRoot && Files.exists("/dev/fuse"), "needs root and /dev/fuse"))
struct RunTests {
    @Suite(.timeLimit(.minutes(20))) struct Basics {
        @Test func theJobReadsEverySecretByteForByte() async throws {
            let box = try await JobBox(["GHCR_TOKEN": "t", "db.password": "p\u{0}q\n"])
            let outcome = try await box.run(
                [],
                shell: "cat $GHCR_TOKEN_FILE $DB_PASSWORD_FILE $CREDENTIALS_DIRECTORY/GHCR_TOKEN"
            )
            #expect(outcome.standardOutput == Array("tp\u{0}q\nt".utf8), "\(outcome.errorText)")
            #expect(outcome.errorText.isEmpty)
            #expect(outcome.status == .exited(0))
        }

        @Test(arguments: [
            ("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143),
        ])
        func theStatusIsThatOfTheProgram(_ script: String, _ status: Int32) async throws {
            let box = try await JobBox(["T": "t"])
            #expect(try await box.run([], shell: script).status == .exited(status))
        }

        @Test func aProgramThatCannotBeRunIsToldApart() async throws {
            let box = try await JobBox(["T": "t"])
            let missing = try await box.credfs("run", "--", "no-such-program")
            #expect(missing.status == .exited(127))
            #expect(missing.lines("error") == ["cannot run no-such-program: no such file or directory"])
            #expect(try await box.credfs("run", "--", "/nowhere/x").status == .exited(127))
            let denied = try await box.credfs("run", "--", "/etc/passwd")
            #expect(denied.status == .exited(126))
            try box.expectNothingLeft()
        }

        @Test func withoutTheMarkNothingIsRun() async throws {
            let box = try await JobBox(["T": "t"])
            try await box.credfs("run", "true").expectRefusal(64)
            try await box.credfs("run", "--").expectRefusal(64)
            try await box.credfs("run", "--backend", "none", "--", "true").expectRefusal(64, "--backend")
        }

        @Test func aRejectedStoreStartsNothing() async throws {
            let box = try JobBox()
            let outcome = try await box.run([], shell: "echo started")
            outcome.expectRefusal(125, "no store")
            #expect(outcome.standardOutput.isEmpty)
            try box.expectNothingLeft()
        }

        @Test func nothingOfAJobIsADiskToDf() async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await box.run([], shell: "df -P; df -P -a | grep -c ^credfs")
            #expect(outcome.status == .exited(0), "\(outcome.errorText)")
            let lines = outcome.outputText.split(separator: "\n")
            #expect(!lines.contains { $0.hasPrefix("credfs") }, "\(outcome.outputText)")
            #expect(lines.last == "3", "the mount and what covers the others and the store")
        }

        @Test func aRejectedStoreCanMeanNoSecrets() async throws {
            let box = try JobBox()
            let script =
                "echo $CREDFS_AUTH_MODE $CREDFS_AUTH_REASON; ls -A $CREDENTIALS_DIRECTORY; env | grep -c _FILE="
            let outcome = try await box.run(["--on-reject", "unauthenticated"], shell: script)
            #expect(outcome.outputText == "unauthenticated no-store\n0\n", "\(outcome.errorText)")
            #expect(outcome.lines("warning") == ["going on without secrets"])
            let asked = try await box.run([], shell: script, adding: ["CREDFS_ON_REJECT": "unauthenticated"])
            #expect(asked.outputText == "unauthenticated no-store\n0\n")
            try box.expectNothingLeft()
        }

        @Test(arguments: ["CREDFS_IGNORE_SECRETS", "CLAMP_IGNORE_SECRETS"])
        func ignoredSecretsAreNotThere(_ variable: String) async throws {
            let box = try await JobBox(["T": "t"])
            let script =
                "echo $CREDFS_AUTH_MODE $CREDFS_AUTH_REASON; ls -A $CREDENTIALS_DIRECTORY; echo ${T_FILE-unset}"
            let outcome = try await box.run([], shell: script, adding: [variable: "1"])
            #expect(outcome.outputText == "unauthenticated \(variable)\nunset\n")
            #expect(outcome.lines("warning") == ["secrets are ignored because \(variable) is set"])
            // Who gets no secrets does not get the key either.
            let store = try await box.run([], shell: "ls -A \(box.sandbox.store)", adding: [variable: "1"])
            #expect(store.outputText.isEmpty)
        }

        @Test func anUnfilledRequiredEntryIsNamedOrWaived() async throws {
            let box = try JobBox()
            try await box.sandbox.succeed("init", "--require", "NEEDED", "T")
            try await box.sandbox.succeed("set", "T", input: Array("t".utf8))
            let refused = try await box.run([], shell: "true")
            refused.expectRefusal(125, "required secrets without a value: NEEDED", hint: "credfs set NEEDED")
            let warned = try await box.run(["--if-missing=warn"], shell: "cat $T_FILE; ls $CREDENTIALS_DIRECTORY")
            #expect(warned.outputText == "tT\n", "\(warned.errorText)")
            #expect(warned.lines("warning") == ["required secret 'NEEDED' has no value"])
            #expect(try await box.run(["--if-missing=ignore"], shell: "true").errorText.isEmpty)
        }
    }

    @Suite(.timeLimit(.minutes(20))) struct Inheritance {
        @Test func theEnvironmentIsOursPlusWhatIsDocumented() async throws {
            let box = try await JobBox(["T": "t"])
            let before = try await ChildProcess.run("/usr/bin/env", ["-0"], environment: box.environment)
            let after = try await box.credfs("run", "--", "/usr/bin/env", "-0")
            func entries(_ outcome: ChildProcess.Outcome) -> Set<String> {
                Set(outcome.outputText.split(separator: "\u{0}").map(String.init))
            }
            let added = entries(after).subtracting(entries(before)).map { $0.prefix { $0 != "=" } }.sorted()
            #expect(added == ["CREDENTIALS_DIRECTORY", "CREDFS_AUTH_MODE", "T_FILE"])
            #expect(entries(before).isSubset(of: entries(after)))
        }

        @Test func whatOpensStoresIsNotInherited() async throws {
            let box = try await JobBox(["T": "t"])
            let key = String(decoding: try Files.read(box.sandbox.path("secrets.key")), as: UTF8.self)
            let outcome = try await box.run(
                [],
                shell: "cat $T_FILE; env | grep -E '^(CREDFS_(KEY|PASSWORD|AGE_KEY)|SOPS_AGE_KEY)' || true",
                adding: [
                    "CREDFS_KEY": key.trimmingCharacters(in: .newlines), "CREDFS_PASSWORD_X": "1", "SOPS_AGE_KEY": "2",
                ]
            )
            #expect(outcome.outputText == "t", "\(outcome.errorText)")
        }

        @Test func theJobHoldsNoDescriptorOfOurs() async throws {
            let box = try await JobBox(["T": "t"])
            // Those of the caller stay, as with any program that starts another.
            let outcome = try await ChildProcess.run(
                "/bin/bash",
                ["-c", "exec 9</etc/hostname; exec \"$0\" run -- ls /proc/self/fd", credfs],
                environment: box.environment
            )
            let direct = try await ChildProcess.run("/bin/bash", ["-c", "exec 9</etc/hostname; exec ls /proc/self/fd"])
            #expect(outcome.outputText == direct.outputText, "\(outcome.errorText)")
            #expect(outcome.outputText.split(separator: "\n").contains("9"))
        }

        @Test func theServerHoldsNothingThatWasOpenedForTheJob() async throws {
            let box = try await JobBox(["T": "t"])
            let script = "readlink /proc/self/fd/9; readlink /proc/$PPID/fd/*"
            let outcome = try await ChildProcess.run(
                "/bin/bash",
                ["-c", "exec 9</etc/hostname; exec \"$0\" run -- bash -c \"$1\"", credfs, script],
                environment: box.environment
            )
            let targets = outcome.outputText.split(separator: "\n")
            #expect(targets.filter { $0 == "/etc/hostname" }.count == 1)
            #expect(targets.contains("/dev/fuse"), "\(targets)")
        }

        /// posix_spawn(3) leaves two signals ignored that sigaction(2) does not let anybody change.
        @Test(arguments: ["", "1 3 10 32 33 34 64", "13 17 32"])
        func theJobIgnoresWhatItsCallerDidAndNothingElse(signals: String) async throws {
            let box = try await JobBox(["T": "t"])
            let program = """
                import ctypes, os, platform, struct, sys
                number = {"x86_64": 13, "aarch64": 134}[platform.machine()]
                for signal in range(1, 65):
                    ignored = str(signal) in sys.argv[1].split()
                    ctypes.CDLL(None).syscall(number, signal, struct.pack("4Q", ignored, 0, 0, 0), None, 8)
                os.execv(sys.argv[2], sys.argv[2:])
                """
            func ignored(_ command: [String]) async throws -> String {
                let outcome = try await ChildProcess.run(
                    "/usr/bin/python3",
                    ["-I", "-c", program, signals] + command + ["/bin/grep", "SigIgn", "/proc/self/status"],
                    environment: box.environment
                )
                return outcome.outputText
            }
            let set = signals.split(separator: " ").compactMap { Int($0) }.reduce(UInt64(0)) { $0 | 1 << ($1 - 1) }
            let hexadecimal = String(set, radix: 16)
            let expected = "SigIgn:\t\(String(repeating: "0", count: 16 - hexadecimal.count))\(hexadecimal)\n"
            #expect(try await ignored(["/usr/bin/env", "--"]) == expected)
            for options in [[], ["--shared"]] {
                #expect(try await ignored([credfs, "run"] + options + ["--"]) == expected)
            }
        }

        @Test func aKeyOnStandardInputIsNotTheJobsToRead() async throws {
            let box = try await JobBox(["T": "t"])
            let script = "exec \"$0\" run --key-fd 0 -- sh -c 'cat $T_FILE; cat /proc/self/fd/0' <\"$1\""
            let outcome = try await ChildProcess.run(
                "/bin/sh",
                ["-c", script, credfs, box.sandbox.path("secrets.key")],
                environment: box.environment
            )
            #expect(outcome.outputText == "t", "\(outcome.errorText)")
        }

        @Test func argumentsThatAreNoTextArriveAsTheyAre() async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await ChildProcess.run(
                "/bin/bash",
                ["-c", "\"$0\" run -- printf '%s|' $'a\\xff' '' '--' 'b c'", credfs],
                environment: box.environment
            )
            #expect(outcome.standardOutput == [0x61, 0xff] + Array("||--|b c|".utf8), "\(outcome.errorText)")
        }

        @Test func signalsLimitsAndRightsAreThoseOfTheCaller() async throws {
            let box = try await JobBox(["T": "t"])
            let script = "grep -E '^(Sig(Blk|Ign|Cgt)|NoNewPrivs|Seccomp|CapEff):' /proc/self/status; ulimit -Hc; umask"
            let direct = try await ChildProcess.run(
                "/bin/sh",
                ["-c", "trap '' HUP QUIT; exec /bin/sh -c \"$0\"", script]
            )
            let inside = try await ChildProcess.run(
                "/bin/sh",
                ["-c", "trap '' HUP QUIT; exec \"$0\" run --allow-core -- /bin/sh -c \"$1\"", credfs, script],
                environment: box.environment
            )
            #expect(inside.outputText == direct.outputText, "\(inside.errorText)")
            #expect(inside.outputText.contains("5\nSigCgt"))
            let limited = try await box.run([], shell: "ulimit -Hc; ulimit -Sc; cat /proc/self/limits | grep core")
            #expect(limited.outputText.contains("Max core file size        1                    1"))
        }

        @Test func anInheritedDirectoryIsPassedOnUnderAnotherName() async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await box.run(
                [],
                shell: "echo $CREDFS_OUTER_CREDENTIALS_DIRECTORY",
                adding: ["CREDENTIALS_DIRECTORY": "/outer"]
            )
            #expect(outcome.outputText == "/outer\n")
        }

        @Test func plainVariablesAreWarnedOfOnceOrTakenAway() async throws {
            let box = try await JobBox(["T": "t"])
            let kept = try await box.run([], shell: "echo $T", adding: ["T": "old", "T_FILE": "/old"])
            #expect(kept.outputText == "old\n")
            #expect(kept.lines("warning").count == 1)
            let unset = try await box.run(["--unset-plain"], shell: "echo ${T-unset}", adding: ["T": "old"])
            #expect(unset.outputText == "unset\n")
            #expect(unset.errorText.isEmpty)
        }

        @Test func aPristineJobInheritsNothing() async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await box.credfs("run", "--pristine", "--", "env", adding: ["X": "y"])
            let names = outcome.outputText.split(separator: "\n").map { $0.prefix { $0 != "=" } }.sorted()
            #expect(names == ["CREDENTIALS_DIRECTORY", "CREDFS_AUTH_MODE", "T_FILE"], "\(outcome.errorText)")
        }
    }

    @Suite(.timeLimit(.minutes(20))) struct Choice {
        @Test func aValueEntersTheEnvironmentOnlyByName() async throws {
            let box = try await JobBox(["T": "value of t", "U": "value of u"])
            let outcome = try await box.run(["--env", "T", "--env", "U=OTHER"], shell: "echo \"$T|$OTHER|${U-unset}\"")
            #expect(outcome.outputText == "value of t|value of u|unset\n", "\(outcome.errorText)")
            #expect(outcome.lines("warning").count == 1)
            #expect(!outcome.errorText.contains("value of"))
        }

        @Test func aValueWithAZeroByteCannotBeAVariable() async throws {
            let box = try await JobBox(["T": "a\u{0}b"])
            let outcome = try await box.run(["--env", "T"], shell: "echo started")
            outcome.expectRefusal(125, "zero byte")
            #expect(outcome.standardOutput.isEmpty)
        }

        @Test func onlyWhatIsNamedIsThere() async throws {
            let box = try await JobBox(["A": "a", "B": "b", "C": "c"])
            let outcome = try await box.run(
                ["--only", "A,C"],
                shell: "ls $CREDENTIALS_DIRECTORY; echo ${B_FILE-unset}"
            )
            #expect(outcome.outputText == "A\nC\nunset\n")
            try await box.run(["--only", "A,X"], shell: "true").expectRefusal(125, "no secret has the name 'X'")
            let warned = try await box.run(
                ["--only", "A,X", "--if-missing", "warn"],
                shell: "ls $CREDENTIALS_DIRECTORY"
            )
            #expect(warned.outputText == "A\n")
            #expect(warned.lines("warning") == ["no secret has the name 'X'"])
        }

        @Test func moreSecretsThanVariablesCanHoldGetTheDirectoryOnly() async throws {
            let box = try await JobBox([:])
            let lines = (0..<4097).map { "N\($0)=\($0)\n" }.joined()
            let file = try box.sandbox.directory.write(lines.utf8, to: "many.env")
            try await box.sandbox.succeed("import", file)
            let count =
                "env | grep -c '^N[0-9]*_FILE='; cd $CREDENTIALS_DIRECTORY; cat N4096; ls | wc -l"
            let automatic = try await box.run([], shell: count)
            #expect(automatic.outputText == "0\n40964097\n")
            #expect(automatic.errorText.contains("4097 secrets are too many for a variable each"))
            #expect(automatic.errorText.contains("--file-vars=all"))
            // What is named has its variable all the same.
            let options = ["--file-var", "N7=SEVEN", "--file-vars=none"]
            let named = try await box.run(options, shell: "cat $SEVEN; \(count)")
            #expect(named.outputText == "70\n40964097\n" && named.errorText.isEmpty)
            let all = try await box.run(["--file-vars", "all"], shell: count)
            #expect(all.outputText == "4097\n40964097\n" && all.errorText.isEmpty)
            // One fewer is no matter.
            try await box.sandbox.succeed("delete", "-y", "N0")
            let most = try await box.run([], shell: count)
            #expect(most.outputText == "4096\n40964096\n" && most.errorText.isEmpty)
            try await box.credfs("run", "--file-vars", "some", "--", "true").expectRefusal(64, "--file-vars takes")
        }

        @Test func aClashOfVariablesIsSettledByName() async throws {
            let box = try JobBox(try await Sandbox.withClashingNames())
            let clash = try await box.run([], shell: "true")
            clash.expectRefusal(17, "'A' and 'a' would both have the variable A_FILE", hint: "--file-var")
            let settled = try await box.run(["--file-var", "A=SECOND"], shell: "cat $A_FILE $SECOND")
            #expect(settled.outputText == "12", "\(settled.errorText)")
            try await box.run(["--file-var", "A=CREDFS_KEY"], shell: "true").expectRefusal(64)
            let value = try await box.run(["--file-var", "A=SECOND", "--env", "a=SECOND"], shell: "true")
            value.expectRefusal(17, "would both have the variable SECOND", hint: "--env")
        }

        @Test func aSecretWithAPolicyIsNotShownWhereNothingEnforcesIt() async throws {
            let box = try await JobBox(["PLAIN": "p", "RULED": "r"])
            var manifest = try box.sandbox.manifest()
            manifest.replace("  RULED:\n", with: "  RULED:\n    policy:\n      uids: [0]\n")
            try box.sandbox.replaceManifest(manifest.utf8)
            try await box.sandbox.succeed("encrypt")
            let ramfs = ["--backend", "ramfs"]
            try await box.run(ramfs, shell: "true").expectRefusal(21, "'RULED'", hint: "--only")
            #expect(try await box.run(ramfs + ["--only", "PLAIN"], shell: "cat $PLAIN_FILE").outputText == "p")
            #expect(try await box.run(ramfs + ["--ignore-policy"], shell: "cat $RULED_FILE").outputText == "r")
        }

        @Test func aSecretBeyondTheUsualSizeIsAskedFor() async throws {
            let box = try await JobBox(["T": "t"])
            let large = [UInt8](repeating: 0x5a, count: 3 << 20)
            try await box.sandbox.succeed("set", "LARGE", "--max-size", "4000000", input: large)
            try await box.run([], shell: "true").expectRefusal(125, "'LARGE'", hint: "--max-size")
            let outcome = try await box.run(["--max-size", "4000000"], shell: "cat $LARGE_FILE")
            #expect(outcome.standardOutput == large)
        }
    }
}
