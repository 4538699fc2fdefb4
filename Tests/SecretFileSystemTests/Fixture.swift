// SPDX-License-Identifier: Apache-2.0

import FuseBridge
import Sealing
import SecretFileSystem
import SecretStore
import SecureMemory
import Testing

/// Seals what a test wants to see served.
final class Sealer {
    let keys: StoreKeys

    init() throws {
        keys = try StoreKeys(dataKey: .random(), store: .random())
    }

    func item(
        _ name: String,
        _ bytes: [UInt8],
        permissions: UInt16 = 0o400,
        modified: Int64 = 1_700_000_000,
        expires: Int64? = nil
    ) throws -> SnapshotItem {
        let name = try #require(SecretName(name))
        return SnapshotItem(
            name: name,
            value: try seal(bytes, as: name),
            permissions: permissions,
            modified: Timestamp(seconds: modified),
            expires: expires.map { Timestamp(seconds: $0) }
        )
    }

    func seal(_ bytes: [UInt8], as name: SecretName) throws -> SealedValue {
        var plaintext = try SecureBuffer(count: bytes.count)
        plaintext.withMutableBytes { target in
            for index in bytes.indices { target[index] = bytes[index] }
        }
        var cipher = try keys.valueCipher()
        return try cipher.seal(plaintext, as: name)
    }
}

/// A file system without a mount.
final class Served {
    static let now = Timestamp(seconds: 1_800_000_000)

    let sealer: Sealer
    let rules: SecretFileSystem
    let buffers: ReadBuffers
    let worker = WorkerNumber(0)
    var identity = ProcessIdentity.of(0)

    init(
        _ items: (Sealer) throws -> [SnapshotItem],
        policy: any AccessPolicy = AllowEveryone(),
        bufferByteCount: Int = 128 << 10
    ) throws {
        let sealer = try Sealer()
        let snapshot = Snapshot(
            generation: 1,
            items: try items(sealer),
            modified: Self.now,
            sources: [StoreDecryptor(sealer.keys)]
        )
        self.sealer = sealer
        rules = SecretFileSystem(
            snapshot,
            ownership: Ownership(user: 1000, group: 100),
            access: AccessRules(mount: policy),
            now: { Self.now }
        )
        buffers = try ReadBuffers(workerCount: 1, byteCount: bufferByteCount)
    }

    /// Serves a generation that was made elsewhere.
    init(_ snapshot: Snapshot, sealer: Sealer, now: Timestamp = Served.now) throws {
        self.sealer = sealer
        rules = SecretFileSystem(snapshot, ownership: Ownership(user: 1000, group: 100), now: { now })
        buffers = try ReadBuffers(workerCount: 1, byteCount: 4096)
    }

    func replace(_ items: [SnapshotItem]) -> SecretFileSystem.Invalidations {
        let previous = rules.snapshot
        return rules.replace(
            with: Snapshot(
                generation: previous.generation + 1,
                items: items,
                modified: Self.now,
                sources: previous.sources,
                after: previous
            )
        )
    }

    func lookup(_ name: String) throws(FileSystemError) -> FileAttributes {
        rules.attributes(of: try rules.find(name.utf8.span, in: .root))
    }

    func open(
        _ inode: InodeNumber,
        changesFile: Bool = false,
        user: UInt32 = 1000
    ) throws(FileSystemError) -> OpenSecret {
        let candidate = try rules.candidate(inode, OpenFlags(changesFile: changesFile))
        let caller = Caller(user: user, group: 100, thread: 1)
        switch rules.decide(on: candidate, caller: caller, identity: { identity }) {
        case .allow, .observed: break
        case .hide: throw .noSuchName
        case .refuse, .needsDigest: throw .refused
        }
        guard var scratch = try? SecureBuffer(count: 4096) else { throw .damaged }
        return try rules.open(candidate, scratch: &scratch).secret
    }

    func open(_ name: String) throws(FileSystemError) -> OpenSecret {
        try open(lookup(name).inode)
    }

    func read(_ secret: OpenSecret, _ range: Range<Int>) throws(FileSystemError) -> [UInt8] {
        let count = try secret.read(range, into: buffers, worker: worker)
        guard count > 0 else { return [] }
        let bytes = buffers.drain(worker) { bytes in (0..<bytes.count).map { bytes[$0] } }
        #expect(bytes.count == count)
        return bytes
    }

    func names() throws(FileSystemError) -> [String] {
        let listing = try rules.opendir(.root)
        var names: [String] = []
        var offset = DirectoryOffset.start
        while let entry = listing.entry(at: offset) {
            names.append(entry.name)
            offset = entry.next
        }
        return names
    }
}

/// The error of something that must fail; nil if it did not.
func failure<R>(_ body: () throws(FileSystemError) -> R) -> FileSystemError? {
    do throws(FileSystemError) {
        _ = try body()
        return nil
    } catch { return error }
}

/// Bytes that differ from their neighbours and from block to block.
func pattern(_ count: Int, salt: Int = 0) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ salt) &* 31 &+ ($0 >> 8)) }
}
