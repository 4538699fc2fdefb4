// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    /// What is said on hosts that lack something: real ones, made of mounts that only the test sees.
    @Suite(.serialized, .timeLimit(.minutes(20))) struct Hints {
        /// Runs credfs on a host that a shell script changes before.
        private func onHost(
            _ change: String,
            _ box: JobBox,
            _ arguments: [String],
            adding variables: [String: String] = [:]
        ) async throws -> ChildProcess.Outcome {
            try await ChildProcess.run(
                "/usr/bin/unshare",
                ["--mount", "/bin/sh", "-ec", "\(change)\nexec \"$@\"", "sh", credfs] + arguments,
                environment: box.environment.merging(variables) { $1 },
                timeout: .seconds(30)
            )
        }

        /// The line of a check in a report, with its hint.
        private func finding(_ check: String, in outcome: ChildProcess.Outcome) throws -> String {
            let lines = outcome.outputText.split(separator: "\n", omittingEmptySubsequences: false)
            let index = try #require(
                lines.firstIndex { $0.split(separator: " ").dropFirst().first == check[...] },
                "\(outcome.outputText)\(outcome.errorText)"
            )
            let next = lines[index + 1]
            return String(lines[index]) + (next.hasPrefix("         hint:") ? String(next) : "")
        }

        private let run = ["run", "--", "/bin/sh", "-c", "cat $T_FILE"]

        @Test func aRuntimeDirectoryThatCannotBeUsedIsExplained() async throws {
            let box = try await JobBox(["T": "t"])
            let missing = ["XDG_RUNTIME_DIR": box.runtime + "/no where"]
            try await onHost("", box, run, adding: missing)
                .expectRefusal(125, "cannot open", hint: "mkdir -m 0700 '\(box.runtime)/no where', or unset")
            for (options, hint) in [("ro", "mount -t tmpfs tmpfs"), ("nr_inodes=1", "df -i \(box.runtime)")] {
                let change = "mount -t tmpfs -o mode=700,\(options) tmpfs \(box.runtime)"
                try await onHost(change, box, run).expectRefusal(125, "cannot make", hint: hint)
                try await onHost(change, box, ["mount"]).expectRefusal(10, "cannot make", hint: hint)
                let report = try await onHost(change, box, ["doctor"])
                #expect(try finding("runtime", in: report).hasPrefix("problem"), "\(report.outputText)")
                #expect(try finding("runtime", in: report).contains(hint))
                #expect(report.status == .exited(1))
            }
        }

        @Test func whatFailedIsNotAdvised() async throws {
            let box = try await JobBox(["T": "t"])
            let shm = ["run", "--backend", "shm", "--", "true"]
            let full = try await onHost("mount -t tmpfs -o nr_inodes=1 tmpfs /dev/shm", box, shm)
            full.expectRefusal(125, "cannot make /dev/shm/", hint: "df -h /dev/shm")
            #expect(!full.errorText.contains("--backend"))
            let readOnly = try await onHost("mount -t tmpfs -o ro tmpfs /dev/shm", box, shm)
            readOnly.expectRefusal(125, "cannot make /dev/shm/", hint: "writable")
        }

        @Test func aSharedMountWithoutNewPrivilegesNamesWhatForbidsIt() async throws {
            let user = try await UserBox(["T": "t"])
            let outcome = try await user.run(["--no-new-privs"], ["run", "--shared", "--", "true"])
            outcome.expectRefusal(125, "cannot mount", hint: "NoNewPrivileges=no")
            #expect(outcome.lines("hint").first?.contains("run without --shared") == true)
        }

        @Test func aJobIsToldThatItsStoreIsOutOfSight() async throws {
            let box = try await JobBox(["T": "t"])
            for command in ["list", "init", "doctor"] {
                let outcome = try await box.run([], shell: "\(credfs) \(command)")
                let text = outcome.errorText + outcome.outputText
                #expect(text.contains("--keep-store"), "\(command): \(text)")
                #expect(!text.contains("credfs init"), "\(text)")
            }
            // The manifest is elsewhere and can be seen, the key not.
            let manifest = box.sandbox.directory.path("team.yaml")
            _ = try await ChildProcess.run("/bin/cp", [box.sandbox.path("secrets.yaml"), manifest])
            let key = box.sandbox.directory.path("team.key")
            _ = try await ChildProcess.run("/bin/cp", [box.sandbox.path("secrets.key"), key])
            let outcome = try await box.run(
                ["--manifest", manifest, "--key-file", key],
                shell: "\(credfs) show T --manifest \(manifest) --key-file \(key)"
            )
            outcome.expectRefusal(15, "does not hold a credfs key", hint: "--keep-store")
        }

        @Test func commandsToCopyHoldPathsAsAShellTakesThem() async throws {
            let box = try await JobBox([:])
            let store = box.sandbox.directory.path("it's a store")
            _ = try await box.credfs("init", "--empty", "--store", store)
            try Files.setMode(0o755, store)
            let outcome = try await box.credfs("list", "--store", store)
            let hint = try #require(outcome.lines("hint").first { $0.contains("chmod") })
            let command = try #require(hint.firstRange(of: "chmod").map { String(hint[$0.lowerBound...]) })
            #expect(try await ChildProcess.run("/bin/sh", ["-c", command]).status == .exited(0))
            #expect(try Files.mode(store) == 0o700)
        }

        /// A root directory that is no mount point, with everything of the machine below it.
        private func chroot(_ box: JobBox) -> String {
            """
            root=\(box.sandbox.directory.path("root")); mkdir $root
            for entry in /*; do
                if [ -L $entry ]; then cp -P $entry $root/; elif [ -d $entry ]; then
                mkdir $root$entry; mount --rbind $entry $root$entry; fi
            done
            set -- chroot $root "$@"
            """
        }

        @Test func inAChrootASharedMountWorksAndDoctorKnows() async throws {
            let box = try await JobBox(["T": "t"])
            let report = try await onHost(chroot(box), box, ["doctor"])
            let isolation = try finding("isolation", in: report)
            #expect(isolation.hasPrefix("warning") && isolation.contains("a shared mount"), "\(isolation)")
            #expect(isolation.contains("mount --bind DIR DIR"))
            _ = try await ChildProcess.run("/bin/rm", ["-d", box.sandbox.directory.path("root")])
            let other = try await JobBox(["T": "t"])
            let job = try await onHost(chroot(other), other, run)
            #expect(job.outputText == "t", "\(job.errorText)")
        }

        @Test func aContainerIsAskedForTheDeviceAlone() async throws {
            let box = try await JobBox(["T": "t"])
            // As a container engine makes it: a few devices and no others.
            let change = """
                mkdir \(box.runtime)/dev
                for device in null zero random urandom; do cp -a /dev/$device \(box.runtime)/dev; done
                mount -t tmpfs tmpfs /dev; cp -a \(box.runtime)/dev/* /dev; rm -r \(box.runtime)/dev
                """
            let inPodman = ["container": "podman"]
            let report = try await onHost(change, box, ["doctor"], adding: inPodman)
            let device = try finding("fuse-device", in: report)
            #expect(device.contains("podman run --device /dev/fuse; or choose"), "\(report.outputText)")
            #expect(!report.outputText.contains("fuse3") && report.status == .exited(1))
            let job = try await onHost(change, box, run, adding: inPodman)
            let hint = "podman run --device /dev/fuse; or choose a weaker one: --backend ramfs"
            job.expectRefusal(125, "/dev/fuse", hint: hint)
            let weaker = ["run", "--backend", "ramfs", "--", "/bin/sh", "-c", "cat $T_FILE"]
            #expect(try await onHost(change, box, weaker, adding: inPodman).outputText == "t")
        }

        /// The usual container: an ordinary user, no device, no fusermount3.
        @Test func aHelperThatIsMissingIsNoAdviceWhereTheDeviceIs() async throws {
            let user = try await UserBox(["T": "t"], opensDevice: false)
            let spare = user.sandbox.directory.path("spare")
            let withoutHelper = """
                mkdir \(spare); mount -t tmpfs tmpfs \(spare); mkdir \(spare)/upper \(spare)/work
                for place in /usr/bin /bin; do
                    [ -e $place/fusermount3 ] || continue
                    mount -t overlay -o lowerdir=$place,upperdir=\(spare)/upper,workdir=\(spare)/work overlay $place
                    rm $place/fusermount3
                done
                """
            let device = "cp -a /dev/fuse \(spare)/fuse; chmod 0666 \(spare)/fuse; mount --bind \(spare)/fuse /dev/fuse"
            func onHost(_ change: String, _ arguments: [String]) async throws -> ChildProcess.Outcome {
                let outcome = try await ChildProcess.run(
                    "/usr/bin/unshare",
                    ["--mount", "/bin/sh", "-ec", "\(change)\nexec \"$@\"", "sh"] + user.wrapper([]) + arguments,
                    environment: user.environment.merging(["container": "podman"]) { $1 }
                )
                _ = try await ChildProcess.run("/bin/rm", ["-d", spare])
                return outcome
            }
            let withoutDevice = """
                \(withoutHelper)
                mkdir \(spare)/dev; cp -a /dev/null /dev/zero /dev/random /dev/urandom \(spare)/dev
                mount --bind \(spare)/dev /dev
                """
            for arguments in [["run", "--", "true"], ["run", "--shared", "--", "true"], ["mount"]] {
                let outcome = try await onHost(withoutDevice, arguments)
                #expect(
                    outcome.lines("hint").first?.contains("podman run --device /dev/fuse") == true,
                    "\(outcome.errorText)"
                )
                #expect(!outcome.errorText.contains("fuse3 ") && !outcome.errorText.contains("install"))
            }
            let shared = try await onHost("\(withoutHelper)\n\(device)", ["run", "--shared", "--", "true"])
            shared.expectRefusal(125, "there is no fusermount3", hint: "apt-get install fuse3, or run without --shared")
        }

        @Test func aProgramWithoutItsInterpreterIsToldApart() async throws {
            let box = try await JobBox(["T": "t"])
            let path = try await box.sandbox.directory.writeProgram("#!/bin/sh\r\ntrue\r\n", to: "script")
            try await box.credfs("run", "--", path)
                .expectRefusal(127, "cannot run \(path): no such file", hint: "its interpreter is not")
            let missing = try await box.credfs("run", "--", path + "s")
            missing.expectRefusal(127, "no such file")
            #expect(missing.lines("hint").isEmpty)
        }

        @Test func doctorTellsOfProc() async throws {
            let box = try await JobBox(["T": "t"])
            let without = try await onHost("mount -t tmpfs none /proc", box, ["doctor"])
            #expect(try finding("proc", in: without).hasPrefix("problem"), "\(without.outputText)")
            #expect(without.status == .exited(1) && !without.outputText.contains("modprobe"))
            let hidden = try await onHost("mount -o remount,hidepid=2 /proc", box, ["doctor"])
            #expect(try finding("proc", in: hidden).hasPrefix("ok"), "\(hidden.outputText)")
        }

        @Test(arguments: [("podman", true), ("podman --remote", false), ("docker", false)])
        func whoHasNoDaemonIsNotWarnedOf(_ command: String, _ isFine: Bool) async throws {
            let box = try await JobBox(["T": "t"])
            let words = command.split(separator: " ").map(String.init)
            let path = try await box.sandbox.directory.writeProgram("#!/bin/sh\ncat $T_FILE\n", to: words[0])
            let arguments = ["run", "--", path] + words.dropFirst()
            let outcome = try await ChildProcess.run(credfs, arguments, environment: box.environment)
            #expect(outcome.outputText == "t", "\(outcome.errorText)")
            #expect(outcome.errorText.contains("cannot see the secrets") != isFine)
        }

        @Test func whatIsNoDirectoryIsNotMade() async throws {
            let box = try await JobBox(["T": "t"])
            let file = try box.sandbox.directory.write([], to: "a file")
            let variables = ["XDG_RUNTIME_DIR": file]
            let outcome = try await onHost(":", box, run, adding: variables)
            outcome.expectRefusal(125, "not a directory", hint: "set XDG_RUNTIME_DIR to a directory of your own")
            #expect(!outcome.errorText.contains("mkdir"))
            let report = try await onHost(":", box, ["doctor"], adding: variables)
            let runtime = try finding("runtime", in: report)
            #expect(runtime.contains("XDG_RUNTIME_DIR is no directory") && !runtime.contains("mkdir"))
            // Nothing can be made there, and nobody else has to do with it.
            let inProc = try await onHost(":", box, run, adding: ["XDG_RUNTIME_DIR": "/proc"])
            inProc.expectRefusal(125, "cannot make /proc/credfs", hint: "set XDG_RUNTIME_DIR")
        }

        @Test func whatTakesTooMuchOfAnEnvironmentIsNamed() async throws {
            let box = try await JobBox(["T": "t", "LONG": String(repeating: "x", count: 131_100)])
            try await box.run(["--env", "LONG"], shell: "true")
                .expectRefusal(125, "the value of 'LONG' has 131100 bytes", hint: "let the job read its file")
            let names = (0..<20).map { "PART\($0)" }
            for name in names {
                let value = [UInt8](repeating: 120, count: 120_000)
                try await box.sandbox.succeed("set", name, input: value)
            }
            try await box.run(["--env", names.joined(separator: ",")], shell: "true")
                .expectRefusal(125, "argument list too long", hint: "--env: let the job read their files")
            let two = try await box.run(["--env", "PART0,PART1"], shell: "echo ${#PART0} ${#PART1}; cat $T_FILE")
            #expect(two.outputText == "120000 120000\nt", "\(two.errorText)")
            // With a name more than the kernel takes, without it no more than that.
            let words = Array(repeating: String(repeating: "y", count: 130_000), count: 16)
            let many = try await ChildProcess.run(
                credfs,
                ["run", "--env", "PART0", "--", "true"] + words,
                environment: box.environment
            )
            many.expectRefusal(125, "argument list too long", hint: "in its arguments")
        }

        /// Each limit, a command that runs into it, and what is said.
        @Test(arguments: [
            ("--nofile=5", ["run", "--", "true"], "too many open files", "ulimit -n"),
            ("--nofile=12", ["mount"], "too many open files", "ulimit -n"),
            ("--data=10000000", ["run", "--", "true"], "resource temporarily unavailable", "ulimit -d"),
            ("--data=10000000", ["mount"], "resource temporarily unavailable", "ulimit -d"),
            ("--nofile=5", ["show", "T"], "too many open files", "ulimit -n"),
            ("--nofile=9", ["edit"], "too many open files", "ulimit -n"),
            ("--nofile=12", ["edit"], "too many open files", "ulimit -n"),
            ("--fsize=0", ["set", "NEW"], "file too large", "ulimit -f"),
            ("--fsize=0", ["run", "--", "true"], "file too large", "ulimit -f"),
        ])
        func aLimitIsNamed(_ limit: String, _ arguments: [String], _ error: String, _ hint: String) async throws {
            let box = try await JobBox(["T": "t"])
            let outcome = try await ChildProcess.run(
                "/bin/sh",
                // What it says goes into a pipe, which no limit of files holds for.
                ["-c", "/usr/bin/prlimit \"$@\" 2>&1 | cat >&2", "sh", limit, "--", credfs] + arguments,
                environment: box.environment.merging(["EDITOR": "true"]) { $1 },
                standardInput: [65]
            )
            #expect(outcome.lines("error").first?.contains(error) == true, "\(outcome.status) \(outcome.errorText)")
            #expect(outcome.lines("hint").first?.contains(hint) == true, "\(outcome.errorText)")
            #expect(try await box.sandbox.value("T") == Array("t".utf8))
        }

        /// No file at all can be opened, not even what a program is linked with dynamically.
        @Test(
            .enabled(if: ProcessInfo.processInfo.environment["CREDFS_PROGRAM"] != nil, "the shipped program"),
            arguments: [["run", "--", "true"], ["mount"]]
        )
        func whereNothingCanBeOpenedProcIsNotToBlame(_ arguments: [String]) async throws {
            try await aLimitIsNamed("--nofile=3", arguments, "too many open files", "ulimit -n")
        }

        @Test func aLogThatMayNotGrowEndsNoJob() async throws {
            let box = try await JobBox(["T": "t"])
            let script = "for i in 1 2 3 4 5 6 7 8 9; do cat $T_FILE; done; grep SigIgn /proc/self/status"
            let limited = ["-c", "/usr/bin/prlimit --fsize=4000 \"$@\" 2>&1 | cat >&2", "sh", credfs]
            // The signal of credfs itself went to the job now and then.
            for _ in 0..<40 {
                let outcome = try await ChildProcess.run(
                    "/bin/sh",
                    limited + ["run", "--", "/bin/sh", "-c", "echo done"],
                    environment: box.environment
                )
                #expect(outcome.errorText.hasSuffix("done\n"), "\(outcome.errorText)")
            }
            let outcome = try await ChildProcess.run(
                "/bin/sh",
                limited + ["run", "--", "/bin/sh", "-c", script],
                environment: box.environment
            )
            let ignored = outcome.errorText.firstRange(of: "tttttttttSigIgn:\t").map {
                outcome.errorText[$0.upperBound...]
            }
            let signals = try #require(ignored.flatMap { UInt64($0.prefix(16), radix: 16) }, "\(outcome.errorText)")
            #expect(signals & (1 << UInt64(SIGXFSZ - 1)) == 0)
            #expect(outcome.errorText.contains("opens are not recorded"))
        }

        @Test func theLimitOfProcessesIsNamed() async throws {
            let user = try await UserBox(["T": "t"])
            for arguments in [["run", "--backend", "ramfs", "--", "true"], ["mount"]] {
                let outcome = try await user.run(["/usr/bin/prlimit", "--nproc=1", "--"], arguments)
                #expect(outcome.lines("hint").first?.contains("ulimit -u") == true, "\(outcome.errorText)")
            }
        }
    }
}
