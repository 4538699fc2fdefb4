// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import FuseBridge
import Glibc
import Sealing
import SecretFileSystem
import SecretStore
import SecureMemory
import SystemCalls
import SystemPackage
import Testing

/// A file system that is mounted for a test, and unmounted whatever happens.
final class MountFixture {
    static let maximumReadByteCount = 128 << 10

    let directory: TemporaryDirectory
    let session: Session

    /// Where it is mounted.
    var path: String { directory.path("mount") }

    /// Mounts.
    init(
        _ fileSystem: any FileSystem,
        allowOther: Bool = false,
        prepare: @escaping @Sendable (WorkerNumber) -> Bool = { _ in true }
    ) throws {
        directory = try TemporaryDirectory()
        guard unsafe mkdir(directory.path("mount"), 0o700) == 0 else { throw Errno(rawValue: errno) }
        let device = try FuseMount.openDevice()
        var options = FuseMount.Options(user: 0, group: 0, maximumReadByteCount: Self.maximumReadByteCount)
        options.allowOther = allowOther
        try FuseMount.mount(device, at: directory.path("mount"), options)
        do {
            session = try Session(
                device: device,
                serving: fileSystem,
                maximumReadByteCount: Self.maximumReadByteCount,
                prepare: prepare
            )
        } catch {
            try? FuseMount.detach(directory.path("mount"))
            throw error
        }
    }

    deinit {
        unmount()
        session.stop()
    }

    /// Takes the mount away.
    func unmount() {
        try? FuseMount.detach(path)
    }

    /// A part of the path that no other mount has.
    var name: Substring { directory.path.split(separator: "/").last ?? "" }

    /// The path of a file in the mount.
    func path(_ name: String) -> String { path + "/" + name }

    /// Runs a shell script with the mount as its working directory.
    func shell(_ script: String, timeout: Duration = .seconds(20)) async throws -> Program.Outcome {
        try await Program.run("/bin/bash", ["-c", "cd \"$0\" && \(script)", path], timeout: timeout)
    }

    /// Runs a Python program with the mount as its working directory.
    func python(_ program: String) async throws -> Program.Outcome {
        try await Program.run(
            "/usr/bin/env",
            ["python3", "-I", "-c", "import os, sys; os.chdir(sys.argv[1])\n" + program, path]
        )
    }
}

/// Secrets that are mounted.
final class MountedFixture {
    let rules: SecretFileSystem
    let mount: MountFixture
    let buffers: ReadBuffers
    private(set) var keys: StoreKeys

    init(
        _ files: [String: [UInt8]],
        policy: any AccessPolicy = AllowEveryone(),
        allowOther: Bool = false
    ) throws {
        keys = try StoreKeys(dataKey: .random(), store: .random())
        let items = try Self.items(files, keys)
        rules = SecretFileSystem(
            Snapshot(
                generation: 1,
                items: items,
                modified: Timestamp(seconds: 1_700_000_000),
                sources: [StoreDecryptor(keys)]
            ),
            ownership: Ownership(user: 0, group: 0),
            access: AccessRules(mount: policy)
        )
        buffers = try ReadBuffers(workerCount: 2, byteCount: MountFixture.maximumReadByteCount)
        mount = try MountFixture(SecretFileServer(rules, buffers: buffers), allowOther: allowOther) { [buffers] in
            buffers.prepare($0)
        }
    }

    /// Uses new keys for what is served next.
    func renewKeys() throws { keys = try StoreKeys(dataKey: .random(), store: .random()) }

    /// Serves other files and lets the kernel forget the old ones.
    func replace(_ files: [String: [UInt8]]) throws {
        let previous = rules.snapshot
        let next = Snapshot(
            generation: previous.generation + 1,
            items: try Self.items(files, keys),
            modified: Timestamp(seconds: 1_700_000_100),
            sources: [StoreDecryptor(keys)],
            after: previous
        )
        try mount.session.invalidate(rules.replace(with: next))
    }

    private static func items(_ files: [String: [UInt8]], _ keys: StoreKeys) throws -> [SnapshotItem] {
        var cipher = try keys.valueCipher()
        var items: [SnapshotItem] = []
        for (text, bytes) in files {
            let name = try #require(SecretName(text))
            var plaintext = try SecureBuffer(count: bytes.count)
            plaintext.withMutableBytes { target in
                for index in bytes.indices { target[index] = bytes[index] }
            }
            let value = try cipher.seal(plaintext, as: name)
            let permissions: UInt16 = text.hasPrefix("group-") ? 0o440 : 0o400
            let modified = Timestamp(seconds: 1_700_000_000 + Int64(bytes.count))
            items.append(SnapshotItem(name: name, value: value, permissions: permissions, modified: modified))
        }
        return items
    }
}

/// Bytes that differ from their neighbours and from block to block, with zeros among them.
func pattern(_ count: Int, salt: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ salt) &* 31 &+ ($0 >> 8)) }
}

/// Whether this process can mount: root, with the device.
let canMount = unsafe geteuid() == 0 && access("/dev/fuse", R_OK | W_OK) == 0
