// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

extension RunTests {
    /// What is said on hosts that lack something: real ones, made of mounts that only the test sees.
    @Suite(.serialized, .timeLimit(.minutes(2))) struct Hints {
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
    }
}
