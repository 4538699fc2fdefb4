// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Callers in a container of podman, which the directory of a mount is bound into.
@Suite(
    .serialized,
    .enabled(if: isRoot && Files.exists("/usr/bin/podman"), "runs containers"),
    .timeLimit(.minutes(20))
)
struct ContainerTests {
    private static let container = String(repeating: "c0ffee00", count: 8)

    /// Starts a container with a tiny root, in a control group of a container's name.
    ///
    /// Control groups that podman makes itself take rights that a test may lack. `$0` is credfs, `$1` a directory, `$2` the
    /// image, `$3` what runs in it.
    private static let script = """
        set -e
        mount -t tmpfs run /run; umount --recursive /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
        group=/sys/fs/cgroup/libpod-\(container).scope
        mkdir $group
        trap 'echo $$ >/sys/fs/cgroup/cgroup.procs; sleep 0.1; rmdir $group; $0 unmount --all' EXIT
        place=$($0 mount --allow-other --callers any)
        echo $$ >$group/cgroup.procs
        podman --root $1/storage --runroot /run/podman --storage-driver vfs --cgroup-manager cgroupfs --events-backend none run \
            --rm --network none --cgroups disabled --security-opt seccomp=unconfined --ulimit nofile=512:512 \
            --ulimit nproc=512:512 --volume $place:/secrets --rootfs $2 /bin/busybox sh -c "$3"
        """

    private func box() async throws -> (box: JobBox, root: String) {
        let box = try await JobBox(["FREE": "f", "SUM": "s", "PLACE": "p", "UNIT": "u", "ELSEWHERE": "e"])
        let root = box.sandbox.directory.path("root")
        let make = """
            set -e
            mkdir -p $0/bin $0/secrets $0/proc $0/dev $0/sys $0/etc $0/tmp $0/run
            cp /bin/busybox $0/bin/busybox; cp /bin/busybox $0/bin/busybox2; printf x >>$0/bin/busybox2
            for library in $(ldd /bin/busybox | grep -o '/[^ ]*' || true); do
                mkdir -p $0/$(dirname $library); cp -L $library $0/$library
            done
            """
        let made = try await ChildProcess.run("/bin/bash", ["-c", make, root])
        try #require(made.status == .exited(0), "\(made.errorText)")
        let sandbox = box.sandbox
        try await sandbox.succeed("policy", "set", "SUM", "--allow-exe-sha256", "\(root)/bin/busybox")
        // The host's program is another file than that of the container, whatever its path is there.
        try await sandbox.succeed("policy", "set", "PLACE", "--allow-exe", "/bin/busybox")
        try await sandbox.succeed("policy", "set", "UNIT", "--allow-unit", Self.container)
        try await sandbox.succeed("policy", "set", "ELSEWHERE", "--allow-unit", String(repeating: "0", count: 64))
        return (box, root)
    }

    @Test func aDigestAndTheContainerGrantAndAPathDoesNot() async throws {
        let (box, root) = try await box()
        let command = """
            for name in FREE SUM PLACE UNIT ELSEWHERE; do
                /bin/busybox cat /secrets/$name 2>/dev/null || echo -n -; /bin/busybox2 cat /secrets/$name 2>/dev/null || echo -n -
            done; echo; echo $$
            """
        let outcome = try await ChildProcess.run(
            "/usr/bin/unshare",
            [
                "--mount", "--propagation", "private", "/bin/bash", "-c", Self.script, credfs,
                box.sandbox.directory.path,
                root, command,
            ],
            environment: box.environment.merging(["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]) { $1 }
        )
        // Process 1 there, which the mount sees by another number.
        #expect(outcome.outputText.hasPrefix("ffs---uu--\n1\n"), "\(outcome.outputText)\(outcome.errorText)")
        let lines = try String(decoding: Files.read(box.sandbox.path("state/audit.log")), as: UTF8.self)
            .split(separator: "\n")
        let opens = try lines.map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }.filter { $0["operation"] as? String == "open" }
        #expect(opens.count == 10)
        for open in opens {
            #expect(open["unit"] as? String == Self.container && (open["pid"] as? Int ?? 0) > 1, "\(open)")
            let executable = open["executable"] as? String
            #expect(
                executable == "/bin/busybox" || executable == "/bin/busybox2",
                "the path that it has in the container"
            )
        }
        let refused = opens.filter { $0["status"] as? String == "denied" }.map { $0["reason"] as? String ?? "" }
        #expect(refused == Array(repeating: "policy: executables", count: 3) + ["policy: units", "policy: units"])
        try await box.sandbox.succeed("audit", "verify")
        try box.expectNothingLeft()
    }
}
