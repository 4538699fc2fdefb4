// SPDX-License-Identifier: Apache-2.0

internal import FuseBridge
package import SecretStore

/// A secret that a mount is to show.
package struct SnapshotItem: Sendable {
    /// Its name, the name of the file.
    package let name: SecretName
    /// Its value.
    package let value: SealedValue
    /// The permission bits of the file.
    package let permissions: UInt16
    /// Time when the value last changed.
    package let modified: Timestamp
    /// Time when it stops being readable.
    package let expires: Timestamp?
    /// Read policy of the secret.
    package let policy: ReadPolicy?
    /// Index of the decryptor of its value.
    let source: Int

    /// Makes an item.
    package init(
        name: SecretName,
        value: SealedValue,
        permissions: UInt16 = 0o400,
        modified: Timestamp,
        expires: Timestamp? = nil,
        policy: ReadPolicy? = nil,
        source: Int = 0
    ) {
        self.source = source
        self.name = name
        self.value = value
        self.permissions = permissions
        self.modified = modified
        self.expires = expires
        self.policy = policy
    }
}

/// Owner and group of the files.
package struct Ownership: Sendable, Equatable {
    /// The user id.
    package let user: UInt32
    /// The group id.
    package let group: UInt32
    /// Members of the group may read what has mode 0440.
    package let admitsGroup: Bool

    /// Makes an owner.
    package init(user: UInt32, group: UInt32, admitsGroup: Bool = false) {
        self.user = user
        self.group = group
        self.admitsGroup = admitsGroup
    }

    /// The mode of the directory.
    package var directoryPermissions: UInt16 { admitsGroup ? 0o550 : 0o500 }
}

/// One generation of a store as it is served: names, attributes and sealed bytes, which never change.
///
/// A name keeps its number through all generations, also while it is absent, so that no number ever means another secret.
package final class Snapshot: Sendable {
    /// Record of a secret; its bytes are in the arena.
    struct Record: Sendable {
        let name: SecretName
        let inode: InodeNumber
        let content: Range<Int>
        let permissions: UInt16
        let modified: Timestamp
        let expires: Timestamp?
        let policy: SecretPolicy?
        let source: Int

        var isHidden: Bool { policy?.rules.hidden ?? false }

        var byteCount: Int { content.count - SealedContent.overhead }
    }

    /// The number of the generation: that of the manifest, and what other sources changed beside it.
    package let generation: UInt64
    /// Changes that the number of the manifest does not tell.
    private let changeCount: UInt64
    /// Decryptors of its values.
    package let sources: [any ValueDecryptor]
    /// Time when the directory last changed.
    let modified: Timestamp
    /// In the order of the names.
    let records: [Record]
    /// Ciphertext, nonce and tag of one secret after the other.
    private let arena: [UInt8]
    /// Every name that any generation had.
    private let inodes: [SecretName: InodeNumber]
    /// The positions of the records by number, counted from the first number of a file; -1 for those that are absent.
    private let positions: [Int]

    private static let firstFile = InodeNumber.root.value + 1

    /// Makes a generation.
    ///
    /// - Parameters:
    ///   - generation: the number of the manifest; a change without another number counts as one more.
    ///   - items: the secrets, each name once.
    ///   - modified: when the set of names last changed.
    ///   - sources: what opens the values.
    ///   - previous: the generation before.
    package init(
        generation: UInt64,
        items: [SnapshotItem],
        modified: Timestamp,
        sources: [any ValueDecryptor],
        after previous: Snapshot? = nil
    ) {
        var inodes = previous?.inodes ?? [:]
        var arena: [UInt8] = []
        arena.reserveCapacity(items.reduce(0) { $0 + $1.value.ciphertext.count + SealedContent.overhead })
        var records: [Record] = []
        for item in items.sorted(by: { $0.name < $1.name }) {
            precondition(records.last?.name != item.name, "a name occurs once")
            let inode = inodes[item.name] ?? InodeNumber(Self.firstFile + UInt64(inodes.count))
            inodes[item.name] = inode
            let start = arena.count
            arena += item.value.ciphertext
            arena += item.value.nonce
            arena += item.value.tag
            let sealed = arena[start...]
            let before = previous.flatMap { previous in
                previous.position(of: inode).map { previous.records[$0] }
                    .flatMap { previous.arena[$0.content] == sealed ? $0.policy : nil }
            }
            records.append(
                Record(
                    name: item.name,
                    inode: inode,
                    content: start..<arena.count,
                    permissions: item.permissions,
                    modified: item.modified,
                    expires: item.expires,
                    policy: item.policy.map { SecretPolicy($0, after: before) },
                    source: item.source
                )
            )
        }
        var positions = [Int](repeating: -1, count: inodes.count)
        for (position, record) in records.enumerated() {
            positions[Int(record.inode.value - Self.firstFile)] = position
        }
        var changeCount = previous?.changeCount ?? 0
        if let previous, previous.generation == generation &+ changeCount,
            !previous.hasSame(records, arena)
        {
            changeCount &+= 1
        }
        self.generation = generation &+ changeCount
        self.changeCount = changeCount
        self.sources = sources
        self.modified = modified
        self.records = records
        self.arena = arena
        self.inodes = inodes
        self.positions = positions
    }

    /// Makes a generation of the secrets of a manifest and of other sources, without what has no value or has expired.
    ///
    /// - Parameters:
    ///   - secrets: the secrets to show.
    ///   - manifest: the manifest of the store.
    ///   - now: the time.
    ///   - previous: the generation before.
    package convenience init(
        _ secrets: SecretSet,
        of manifest: Manifest,
        now: Timestamp,
        after previous: Snapshot? = nil
    ) {
        let items = secrets.entries.compactMap { secret -> SnapshotItem? in
            guard case .sealed(let value) = secret.value else { return nil }
            if let expires = secret.expires, expires <= now { return nil }
            return SnapshotItem(
                name: secret.name,
                value: value,
                permissions: secret.mode == .ownerOnly ? 0o400 : 0o440,
                modified: secret.rotated ?? manifest.created,
                expires: secret.expires,
                policy: secret.policy,
                source: secrets.source(of: secret)
            )
        }
        self.init(
            generation: manifest.generation,
            items: items,
            modified: manifest.updated,
            sources: secrets.keys.map { StoreDecryptor($0) },
            after: previous
        )
    }

    /// The names, in their order.
    package var names: [SecretName] { records.map(\.name) }

    /// The position of a name, found without a copy of it.
    func position(of name: Span<UInt8>) -> Int? {
        var (low, high) = (0, records.count)
        while low < high {
            let middle = (low + high) / 2
            switch compare(name, records[middle].name.text.utf8.span) {
            case 0: return middle
            case ..<0: high = middle
            default: low = middle + 1
            }
        }
        return nil
    }

    /// The position of the file with a number.
    func position(of inode: InodeNumber) -> Int? {
        guard inode.value >= Self.firstFile, inode.value - Self.firstFile < UInt64(positions.count) else { return nil }
        let position = positions[Int(inode.value - Self.firstFile)]
        return position < 0 ? nil : position
    }

    /// Decryptor of the value of a record.
    func source(of record: Record) -> any ValueDecryptor { sources[record.source] }

    /// The sealed bytes of a record.
    func content(of record: Record) -> SealedContent { SealedContent(arena, record.content) }

    /// Compares the secrets of another generation: names, attributes and sealed bytes.
    private func hasSame(_ others: [Record], _ bytes: [UInt8]) -> Bool {
        guard records.count == others.count, arena == bytes else { return false }
        return zip(records, others).allSatisfy { record, other in
            record.inode == other.inode && record.content == other.content && record.permissions == other.permissions
                && record.modified == other.modified && record.expires == other.expires
        }
    }

    /// Compares a record with one of another generation: attributes and sealed bytes.
    func matches(_ record: Record, _ other: Record, of snapshot: Snapshot) -> Bool {
        record.permissions == other.permissions && record.modified == other.modified
            && record.expires == other.expires && arena[record.content] == snapshot.arena[other.content]
    }

    private func compare(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Int {
        for index in 0..<min(left.count, right.count) where left[index] != right[index] {
            return Int(left[index]) - Int(right[index])
        }
        return left.count - right.count
    }
}
