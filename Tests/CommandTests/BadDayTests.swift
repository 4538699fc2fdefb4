// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Hosts that lack something or are full: what works there goes on, and what does not says why and leaves nothing.
@Suite(.enabled(if: isRoot, "changes what a host has"), .timeLimit(.minutes(20))) struct BadDayTests {
    /// Runs a script of bash in a mount namespace and a pid namespace of its own, with the box at hand; `$0` is credfs.
    private func onHost(
        _ script: String,
        _ box: JobBox,
        adding variables: [String: String] = [:]
    ) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            "/usr/bin/unshare",
            [
                "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "/bin/bash",
                "-c", script, credfs, box.runtime, box.sandbox.directory.path,
            ],
            environment: box.environment.merging(variables) { $1 },
            timeout: .seconds(120)
        )
    }

    private static let job = "run -- /bin/sh -c 'cat $T_FILE'"

    /// Directories take inodes, records take room as well.
    @Test(arguments: ["nr_inodes=2", "nr_inodes=4", "nr_inodes=5", "size=4k"])
    func aFullRuntimeDirectoryIsSaidAndLeavesNothing(limit: String) async throws {
        let box = try await JobBox(["T": "t"])
        let script = """
            mount -t tmpfs -o mode=0700,\(limit) tmpfs $1
            head -c 4096 /dev/zero >$1/full; $0 \(Self.job); echo "run $?"; $0 mount; echo "mount $?"
            find $1 -mindepth 1 ! -name full; grep -c "$1.*fuse.credfs" /proc/self/mountinfo
            mount -o remount,size=1m,nr_inodes=100 $1
            rm $1/full; $0 \(Self.job); echo " run $?"
            """
        let outcome = try await onHost(script, box)
        #expect(outcome.outputText == "run 125\nmount 10\n0\nt run 0\n", "\(outcome.errorText)")
        let errors = outcome.lines("error")
        #expect(
            errors.count == 2 && errors.allSatisfy { $0.contains("no space left on device") },
            "\(outcome.errorText)"
        )
        #expect(outcome.lines("hint").count == 2, "\(outcome.errorText)")
    }

    @Test func aReadOnlyRootIsEnough() async throws {
        let box = try await JobBox(["T": "t"])
        let script = """
            mount -t tmpfs -o mode=0700 tmpfs $1
            mount --bind $2/store $2/store; mount -o remount,bind,ro $2/store; mount -o remount,bind,ro /
            touch /x 2>/dev/null && echo writable
            $0 \(Self.job); echo " run $?"
            path=$($0 mount); cat $path/T; $0 unmount --all; echo " mount $?"
            CREDFS_AUDIT=required $0 \(Self.job); echo "required $?"
            find $1 -mindepth 1
            """
        let outcome = try await onHost(script, box)
        #expect(outcome.outputText == "t run 0\nt mount 0\nrequired 125\n", "\(outcome.errorText)")
        #expect(outcome.lines("error").count == 1, "\(outcome.errorText)")
    }

    /// The processes of others cannot be seen, so their programs cannot either; the job's own can.
    @Test func hiddenProcessesHideNobodysSecrets() async throws {
        let box = try await JobBox(["T": "t"])
        let prefix = try box.sandbox.giveToStranger()
        let script = """
            mount -o remount,hidepid=2 /proc
            cp -a /dev/fuse $2/fuse; chmod 0666 $2/fuse; mount --bind $2/fuse /dev/fuse
            \(prefix) $0 \(Self.job); echo " ordinary $?"
            \(prefix) $0 run -- /bin/sh -c '(sleep 0.1; cat $T_FILE) & wait'; echo " child $?"
            chown -R 0:0 $2; $0 \(Self.job); echo " root $?"
            """
        let outcome = try await onHost(script, box)
        #expect(outcome.outputText == "t ordinary 0\nt child 0\nt root 0\n", "\(outcome.errorText)")
    }

    /// A container with a process namespace of its own, and another one in it: supplementary groups are told all the same.
    @Test func membersOfAGroupReadInContainers() async throws {
        let box = try await JobBox(["T": "t"])
        let manifest = try box.sandbox.manifest().replacing("  T:\n", with: "  T:\n    mode: \"0440\"\n")
        try box.sandbox.replaceManifest(manifest.utf8)
        try await box.sandbox.succeed("encrypt")
        for path in [box.sandbox.directory.path, box.runtime] { try Files.setMode(0o711, path) }
        let job = """
            member="setpriv --reuid 4102 --regid 4102 --groups 4300,4201"
            $member cat $T_FILE; echo " member $?"; unshare --pid --fork $member cat $T_FILE; echo " nested $?"
            unshare --pid --fork setpriv --reuid 4102 --regid 4102 --groups 4300 cat $T_FILE 2>/dev/null; echo "other $?"
            """
        let path = try box.sandbox.directory.write(job.utf8, to: "job.sh")
        let script = """
            $0 run --owner 4101:4201 -- /bin/bash \(path)
            path=$($0 mount --owner 4101:4201)
            unshare --pid --fork setpriv --reuid 4102 --regid 4102 --groups 4201 cat $path/T; echo " mount $?"
            $0 unmount --all
            """
        let outcome = try await onHost(script, box)
        #expect(
            outcome.outputText == "t member 0\nt nested 0\nother 1\nt mount 0\n",
            "\(outcome.outputText)\(outcome.errorText)"
        )
    }

    /// Steps that always run are run again by people and by services.
    @Test func teardownCanBeRunTwice() async throws {
        let box = try await JobBox(["T": "t"])
        let script = """
            path=$($0 mount); $0 unmount $path; echo "first $?"; $0 unmount $path 2>/dev/null; echo "second $?"
            $0 unmount --all; $0 unmount --all; echo "all $?"
            $0 mount >/dev/null; kill -9 $($0 status --json | grep -o '"pid" : [0-9]*' | grep -o '[0-9]*')
            $0 unmount --all; $0 unmount --all; echo "killed $?"; find $1 -mindepth 1
            """
        let outcome = try await onHost(script, box)
        #expect(outcome.outputText == "first 0\nsecond 10\nall 0\nkilled 0\n", "\(outcome.errorText)")
    }

    /// An ordinary user of a container whose maker left /etc/mtab out, which fusermount3 reads before it unmounts.
    @Test(.enabled(if: Files.exists("/usr/bin/fusermount3"), "takes fusermount3"))
    func whoeverCannotUnmountIsToldWhatFusermountNeeds() async throws {
        let box = try await JobBox(["T": "t"])
        let prefix = try box.sandbox.giveToStranger()
        let script = """
            cp -a /dev/fuse $2/fuse; chmod 0666 $2/fuse; mount --bind $2/fuse /dev/fuse
            mkdir $2/etc $2/upper $2/work; mount -t tmpfs tmpfs $2/etc; mkdir $2/etc/upper $2/etc/work
            mount -t overlay -o lowerdir=/etc,upperdir=$2/etc/upper,workdir=$2/etc/work overlay /etc
            rm -f /etc/mtab
            \(prefix) $0 mount >/dev/null && echo mounted; \(prefix) $0 unmount --all; echo "unmount $?"
            ln -s /proc/self/mounts /etc/mtab
            \(prefix) $0 unmount --all; echo "again $?"; grep -c "$1.*fuse.credfs" /proc/self/mountinfo
            """
        let outcome = try await onHost(script, box)
        #expect(outcome.outputText == "mounted\nunmount 19\nagain 0\n0\n", "\(outcome.errorText)")
        #expect(outcome.lines("error").contains { $0.contains("/etc/mtab") }, "\(outcome.errorText)")
        #expect(
            outcome.lines("hint").contains { $0.contains("ln -s /proc/self/mounts /etc/mtab") },
            "\(outcome.errorText)"
        )
    }
}
