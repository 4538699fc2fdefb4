// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Testing

/// Keys in the layouts that other programs give them, on a tmpfs in a mount namespace of the test.
@Suite(.enabled(if: isRoot)) struct DeliveredKeyTests {
    struct Layout: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Made with a shell in the directory `/run/keys` of a new tmpfs; `$key` is a private copy of the key.
        let script: String
    }

    static let accepted = [
        Layout(
            testDescription: "Kubernetes volume",
            script: """
                mkdir ..2026_11_25_10_00_00.1 && cp $key ..2026_11_25_10_00_00.1/key && chmod 0444 ..2026*/key
                ln -s ..2026_11_25_10_00_00.1 ..data && ln -s ..data/key key
                """
        ),
        Layout(
            testDescription: "Kubernetes volume with fsGroup",
            script: """
                mkdir ..2026_11_25_10_00_00.1 && cp $key ..2026_11_25_10_00_00.1/key
                chgrp 1234 ..2026*/key && chmod 0640 ..2026*/key
                ln -s ..2026_11_25_10_00_00.1 ..data && ln -s ..data/key key
                """
        ),
        Layout(testDescription: "docker or podman secret", script: "cp $key key && chmod 0444 key"),
        Layout(
            testDescription: "docker secret, one file mounted",
            script:
                "mkdir below && cp $key below/key && chmod 0444 below/key && touch key && mount --bind below/key key"
        ),
        Layout(
            testDescription: "systemd credential",
            script: "cp $key key && chmod 0400 key && setfacl -m u:1234:r key"
        ),
        Layout(
            testDescription: "a sticky directory, as Kubernetes makes it",
            script: "chmod 1777 . && mkdir ..1 && cp $key ..1/key && ln -s ..1 ..data && ln -s ..data/key key"
        ),
        Layout(
            testDescription: "below a directory of others",
            script: "chmod 0777 .. && cp $key key && chmod 0444 key"
        ),
    ]

    static let refused = [
        Layout(testDescription: "writable by the group", script: "cp $key key && chmod 0460 key"),
        Layout(testDescription: "writable by others", script: "cp $key key && chmod 0446 key"),
        Layout(
            testDescription: "writable by a list",
            script: "cp $key key && chmod 0400 key && setfacl -m u:1234:rw key"
        ),
        Layout(testDescription: "in a directory that everybody may write", script: "cp $key key && chmod 0777 ."),
        Layout(testDescription: "in a directory that a group may write", script: "cp $key key && chmod 0770 ."),
        Layout(
            testDescription: "behind a directory that everybody may write",
            script: "mkdir ..1 ..1/2 && cp $key ..1/2/key && chmod 0777 ..1 && ln -s ..1/2/key key"
        ),
        Layout(testDescription: "in a directory of another user", script: "cp $key key && chown 1234 ."),
        Layout(testDescription: "of another user", script: "cp $key key && chown 1234 key"),
        Layout(testDescription: "a link that leaves", script: "cp $key ../key && ln -s ../key key"),
        Layout(testDescription: "an absolute link", script: "cp $key real && ln -s $PWD/real key"),
        Layout(
            testDescription: "a link of another user",
            script: "cp $key real && ln -s real key && chown -h 1234 key"
        ),
    ]

    /// Runs credfs beside a key on a tmpfs at `keys`.
    private func run(_ sandbox: Sandbox, _ layout: Layout, _ command: String) async throws -> ChildProcess.Outcome {
        let script = """
            set -e; credfs=$1 key=$2; mkdir -p "$3"; mount -t tmpfs tmpfs "$3"; mkdir "$3/in"; cd "$3/in"
            \(layout.script)
            cd /
            \(command)
            """
        return try await ChildProcess.run(
            "/usr/bin/unshare",
            [
                "--mount", "sh", "-c", script, "sh", credfs, sandbox.directory.path("key"),
                sandbox.directory.path("keys"),
            ],
            environment: sandbox.environment.merging(["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]) { $1 }
        )
    }

    private func sandbox() async throws -> Sandbox {
        let sandbox = try await Sandbox(["A": "value"])
        try FileManager.default.moveItem(atPath: sandbox.path("secrets.key"), toPath: sandbox.directory.path("key"))
        return sandbox
    }

    @Test(arguments: accepted) func aKeyInMemoryIsTakenAsItIsDelivered(_ layout: Layout) async throws {
        let sandbox = try await sandbox()
        let show = try await run(sandbox, layout, "\"$credfs\" show -v A --key-file \"$3/in/key\"")
        #expect(show.outputText == "value", "\(show.errorText)")
        #expect(show.errorText.contains("taken as it was delivered"), "\(show.errorText)")
        let log = String(decoding: try Files.read(sandbox.path("state/audit.log")), as: UTF8.self)
        #expect(log.contains("taken as it was delivered"))
        let doctor = try await run(sandbox, layout, "CREDFS_KEY_FILE=\"$3/in/key\" \"$credfs\" doctor || true")
        #expect(doctor.outputText.contains("taken as it was delivered"), "\(doctor.outputText)\(doctor.errorText)")
    }

    @Test(arguments: refused) func aKeyThatOthersCanChangeOrThatLiesElsewhereIsRefused(_ layout: Layout) async throws {
        let sandbox = try await sandbox()
        let show = try await run(sandbox, layout, "\"$credfs\" show A --key-file \"$3/in/key\"")
        show.expectRefusal(14)
        #expect(show.outputText.isEmpty)
        #expect(!show.errorText.contains("chmod"), "\(show.errorText)")
    }

    @Test func onADiskAKeyIsPrivateAndNoLink() async throws {
        let sandbox = try await sandbox()
        let key = sandbox.directory.path("key")
        try FileManager.default.createSymbolicLink(atPath: sandbox.directory.path("link"), withDestinationPath: "key")
        try await sandbox.run("show", "A", "--key-file", sandbox.directory.path("link")).expectRefusal(
            14,
            "symbolic link"
        )
        try Files.setMode(0o444, key)
        try await sandbox.run("show", "A", "--key-file", key).expectRefusal(14, "mode 0444", hint: "chmod 0600")
    }

    @Test func aLinkOnADiskToAKeyInMemoryIsRefused() async throws {
        let sandbox = try await sandbox()
        let command = """
            cd "$3/.."; mkdir disk disk/m; mount --bind keys/in disk/m; ln -s m/key disk/key
            "$credfs" show A --key-file "$3/../disk/key"
            """
        let layout = Layout(testDescription: "", script: "cp $key key && chmod 0444 key")
        try await run(sandbox, layout, command).expectRefusal(14, "leaves its directory")
    }

    @Test func aManifestBehindLinksThatStayInItsDirectoryIsRead() async throws {
        let sandbox = try await Sandbox(["A": "value"])
        let script = """
            cd "$1" && mkdir volume volume/..1 && cp store/secrets.yaml volume/..1/m && cp store/secrets.yaml outside
            ln -s ..1 volume/..data && ln -s ..data/m volume/m && ln -s ../outside volume/n
            """
        _ = try await ChildProcess.run("/bin/sh", ["-c", script, "sh", sandbox.directory.path], environment: [:])
        let show = try await sandbox.run("show", "A", "--manifest", sandbox.directory.path("volume/m"))
        #expect(show.outputText == "value", "\(show.errorText)")
        try await sandbox.run("show", "A", "--manifest", sandbox.directory.path("volume/n"))
            .expectRefusal(14, "leaves its directory")
    }
}
