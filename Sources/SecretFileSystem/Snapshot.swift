// SPDX-License-Identifier: Apache-2.0

internal import FuseBridge
internal import Sealing
package import SecretStore
internal import SecureMemory
internal import Synchronization

/// A secret that a mount is to show.
package struct SnapshotItem: Sendable {
    /// Content of a file.
    package enum Content: Sendable {
        case value(SealedValue)
        /// Rendered from other items when it is read.
        case rendered(RenderedFile)
    }

    /// Its name, the name of the file.
    package let name: SecretName
    /// Its value, or the way to render it.
    package let content: Content
    /// There is a file of it; if not, it is a part of others alone.
    package let isShown: Bool
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
        self.init(
            name: name,
            content: .value(value),
            permissions: permissions,
            modified: modified,
            expires: expires,
            policy: policy,
            source: source
        )
    }

    /// Makes an item, rendered or not.
    package init(
        name: SecretName,
        content: Content,
        isShown: Bool = true,
        permissions: UInt16 = 0o400,
        modified: Timestamp,
        expires: Timestamp? = nil,
        policy: ReadPolicy? = nil,
        source: Int = 0
    ) {
        self.source = source
        self.name = name
        self.content = content
        self.isShown = isShown
        self.permissions = permissions
        self.modified = modified
        self.expires = expires
        self.policy = policy
    }
}

extension SnapshotItem {
    /// Bytes of the arena that it needs.
    fileprivate var sealedByteCount: Int {
        switch content {
        case .value(let value): value.ciphertext.count + SealedContent.overhead
        case .rendered: 0
        }
    }
}

extension SecretSet {
    /// The items of a generation: what has a value or is rendered and has not expired, and the parts of what is rendered.
    fileprivate func items(of manifest: Manifest, now: Timestamp) -> [SnapshotItem] {
        var items: [SnapshotItem] = []
        var unshown: [SecretName: SecretEntry] = [:]
        let names = Set(entries.map(\.name))
        for entry in entries {
            if let expires = entry.expires, expires <= now { continue }
            if let item = item(entry, isShown: true, manifest) { items.append(item) }
            guard let file = renderedFiles[entry.name] else { continue }
            for part in parts(of: file) where !names.contains(part.name) { unshown[part.name] = part }
        }
        return items + unshown.values.compactMap { item($0, isShown: false, manifest) }
    }

    private func item(_ entry: SecretEntry, isShown: Bool, _ manifest: Manifest) -> SnapshotItem? {
        let content: SnapshotItem.Content
        if case .sealed(let value) = entry.value {
            content = .value(value)
        } else if let file = renderedFiles[entry.name] {
            content = .rendered(file)
        } else {
            return nil
        }
        return SnapshotItem(
            name: entry.name,
            content: content,
            isShown: isShown,
            permissions: entry.mode == .ownerOnly ? 0o400 : 0o440,
            modified: entry.rotated ?? manifest.created,
            expires: entry.expires,
            policy: entry.policy,
            source: source(of: entry)
        )
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
    /// Record of a secret; the bytes of its value are in the arena.
    struct Record: Sendable {
        /// Content of a file.
        indirect enum Content: Sendable {
            case value(Range<Int>)
            case rendered(RenderedFile, parts: [Record])
        }

        let name: SecretName
        let inode: InodeNumber
        let content: Content
        let permissions: UInt16
        let modified: Timestamp
        let expires: Timestamp?
        /// Policy of the entry itself.
        let policy: SecretPolicy?
        let source: Int
        /// Version of the content in the ledger of the mount; 0 where there is none.
        var version = 0

        var isHidden: Bool { policy?.rules.hidden ?? false }

        var byteCount: Int {
            switch content {
            case .value(let range): range.count - SealedContent.overhead
            case .rendered(let file, _): file.byteCount
            }
        }

        /// The records whose values it is rendered from; none of a secret with a value.
        var parts: [Record] {
            switch content {
            case .value: []
            case .rendered(_, let parts): parts
            }
        }

        /// Every policy that holds for a reader: its own and those of its parts.
        var policies: [SecretPolicy] { restrictions.map(\.policy) }

        /// The same with the names of those whose policies they are.
        var restrictions: [(owner: SecretName, policy: SecretPolicy)] {
            let own = policy.map { [(name, $0)] } ?? []
            return own + parts.compactMap { part in part.policy.map { (part.name, $0) } }
        }
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
    /// Parts of rendered files that are no files themselves.
    private let unshown: [SecretName: Record]
    /// Ledger of the mount; nil where no other server comes after this one.
    let ledger: MountLedger?
    /// Names without a value since their source fails: they are not listed, and somebody who asks for one is told so.
    private let unavailable: Set<SecretName>
    /// Ciphertext, nonce and tag of one secret after the other.
    private let arena: [UInt8]
    /// Values that were authenticated, by where they begin in the arena.
    private let authentic = Mutex<Set<Int>>([])
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
    ///   - unavailable: names without a value since their source fails.
    ///   - previous: the generation before.
    ///   - ledger: the ledger of the mount, for the first generation; that of the one before is gone on with.
    package init(
        generation: UInt64,
        items: [SnapshotItem],
        modified: Timestamp,
        sources: [any ValueDecryptor],
        unavailable: Set<SecretName> = [],
        after previous: Snapshot? = nil,
        ledger: MountLedger? = nil
    ) {
        self.unavailable = unavailable
        let ledger = ledger ?? previous?.ledger
        self.ledger = ledger
        var draft = Draft(previous, ledger)
        draft.arena.reserveCapacity(items.reduce(0) { $0 + $1.sealedByteCount })
        let items = items.sorted { $0.name < $1.name }
        for item in items { draft.number(item) }
        for item in items { draft.addValue(item) }
        for item in items { draft.addRendered(item) }
        let records = items.compactMap { $0.isShown ? draft.records[$0.name] : nil }
        let inodes = draft.inodes
        var positions = [Int](repeating: -1, count: inodes.count)
        for (position, record) in records.enumerated() {
            positions[Int(record.inode.value - Self.firstFile)] = position
        }
        var changeCount = previous?.changeCount ?? 0
        // The server before may have counted what other sources changed: a generation is never followed by an older one.
        if previous == nil, let last = ledger?.generation, last > generation { changeCount = last - generation }
        if let previous, previous.generation == generation &+ changeCount,
            !previous.hasSame(records, draft.arena)
        {
            changeCount &+= 1
        }
        self.generation = generation &+ changeCount
        ledger?.generation = generation &+ changeCount
        self.changeCount = changeCount
        self.sources = sources
        self.modified = modified
        self.records = records
        let shown = Set(records.map(\.name))
        unshown = draft.records.filter { name, _ in !shown.contains(name) }
        arena = draft.arena
        self.inodes = inodes
        self.positions = positions
    }

    /// Makes a generation of the secrets of a manifest and of other sources, without what has no value or has expired.
    ///
    /// - Parameters:
    ///   - secrets: the secrets to show.
    ///   - manifest: the manifest of the store.
    ///   - now: the time.
    ///   - unavailable: names without a value since their source fails.
    ///   - previous: the generation before.
    ///   - ledger: the ledger of the mount, for the first generation.
    package convenience init(
        _ secrets: SecretSet,
        of manifest: Manifest,
        now: Timestamp,
        unavailable: Set<SecretName> = [],
        after previous: Snapshot? = nil,
        ledger: MountLedger? = nil
    ) {
        let items = secrets.items(of: manifest, now: now)
        self.init(
            generation: manifest.generation,
            items: items,
            modified: manifest.updated,
            sources: secrets.keys.map { StoreDecryptor($0) },
            unavailable: unavailable,
            after: previous,
            ledger: ledger
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

    /// Detects a name without a value since its source fails.
    func isUnavailable(_ name: Span<UInt8>) -> Bool {
        unavailable.contains { compare(name, $0.text.utf8.span) == 0 }
    }

    /// The position of the file with a number.
    func position(of inode: InodeNumber) -> Int? {
        guard inode.value >= Self.firstFile, inode.value - Self.firstFile < UInt64(positions.count) else { return nil }
        let position = positions[Int(inode.value - Self.firstFile)]
        return position < 0 ? nil : position
    }

    /// Authenticates every value that the content of a record comes from, and keeps nothing of it; once for each value,
    /// since what a generation holds never changes.
    ///
    /// - Parameters:
    ///   - record: a record of this generation.
    ///   - scratch: memory that the plaintext passes through; zeros afterwards.
    /// - Throws: `damaged`, or `locked`.
    func authenticate(_ record: Record, scratch: inout SecureBuffer) throws(FileSystemError) {
        switch record.content {
        case .value(let range):
            guard !authentic.withLock({ $0.contains(range.lowerBound) }) else { return }
            try sources[record.source]
                .authenticate(SealedContent(arena, range), as: record.name, scratch: &scratch)
            authentic.withLock { _ = $0.insert(range.lowerBound) }
        case .rendered(_, let parts):
            for part in parts { try authenticate(part, scratch: &scratch) }
        }
    }

    /// Reads a part of the content of a record that was authenticated.
    ///
    /// - Parameters:
    ///   - record: a record of this generation.
    ///   - offset: where the part begins.
    ///   - content: filled with the part.
    ///   - scratch: memory that values pass through on their way into a rendered file; zeros afterwards.
    /// - Throws: `damaged`, or `locked`.
    func read(
        _ record: Record,
        at offset: Int,
        into content: inout MutableSpan<UInt8>,
        scratch: inout SecureBuffer
    ) throws(FileSystemError) {
        switch record.content {
        case .value(let range):
            try sources[record.source].decrypt(SealedContent(arena, range), at: offset, into: &content)
        case .rendered(let file, let parts):
            try file.read(at: offset, into: &content, scratch: &scratch) {
                (part, offset, bytes) throws(FileSystemError) in
                try read(parts[part], at: offset, into: &bytes)
            }
        }
    }

    /// Reads a value; what is rendered is part of nothing.
    private func read(
        _ record: Record,
        at offset: Int,
        into content: inout MutableSpan<UInt8>
    ) throws(FileSystemError) {
        guard case .value(let range) = record.content else { throw .damaged }
        try sources[record.source].decrypt(SealedContent(arena, range), at: offset, into: &content)
    }

    /// Compares the secrets of another generation: names, attributes and sealed bytes.
    private func hasSame(_ others: [Record], _ bytes: [UInt8]) -> Bool {
        guard records.count == others.count else { return false }
        return zip(records, others).allSatisfy { record, other in
            record.inode == other.inode && record.permissions == other.permissions
                && record.modified == other.modified && record.expires == other.expires
                && Self.same(record, arena, other, bytes)
        }
    }

    /// Compares a record with one of another generation: attributes and sealed bytes.
    func matches(_ record: Record, _ other: Record, of snapshot: Snapshot) -> Bool {
        record.permissions == other.permissions && record.modified == other.modified
            && record.expires == other.expires && Self.same(record, arena, other, snapshot.arena)
    }

    /// Compares what two records show.
    private static func same(_ record: Record, _ arena: [UInt8], _ other: Record, _ otherArena: [UInt8]) -> Bool {
        switch (record.content, other.content) {
        case (.value(let range), .value(let otherRange)): arena[range] == otherArena[otherRange]
        case (.rendered(let file, let parts), .rendered(let otherFile, let otherParts)):
            file.template == otherFile.template && parts.count == otherParts.count
                && zip(parts, otherParts).allSatisfy { part, otherPart in
                    part.name == otherPart.name && same(part, arena, otherPart, otherArena)
                }
        default: false
        }
    }

    /// The record of a name, shown or not.
    private func record(_ name: SecretName) -> Record? {
        unshown[name] ?? inodes[name].flatMap { position(of: $0) }.map { records[$0] }
    }

    /// Generation in the making.
    private struct Draft {
        private let previous: Snapshot?
        private let ledger: MountLedger?
        var inodes: [SecretName: InodeNumber]
        var arena: [UInt8] = []
        var records: [SecretName: Record] = [:]

        init(_ previous: Snapshot?, _ ledger: MountLedger?) {
            self.previous = previous
            self.ledger = ledger
            inodes = previous?.inodes ?? ledger?.inodes ?? [:]
        }

        /// Gives a name its number.
        mutating func number(_ item: SnapshotItem) {
            if inodes[item.name] == nil { inodes[item.name] = InodeNumber(firstFile + UInt64(inodes.count)) }
        }

        mutating func addValue(_ item: SnapshotItem) {
            guard case .value(let value) = item.content else { return }
            let start = arena.count
            arena += value.ciphertext
            arena += value.nonce
            arena += value.tag
            add(item, .value(start..<arena.count), parts: [])
        }

        /// Makes the record of a rendered file, which is shown to nobody to whom a part is not.
        mutating func addRendered(_ item: SnapshotItem) {
            guard case .rendered(let file) = item.content else { return }
            let parts = file.parts.compactMap { records[$0] }
            precondition(parts.count == file.parts.count, "the parts of a file are items")
            add(item, .rendered(file, parts: parts), parts: parts)
        }

        private mutating func add(_ item: SnapshotItem, _ content: Record.Content, parts: [Record]) {
            precondition(records[item.name] == nil, "a name occurs once")
            guard let inode = inodes[item.name] else { return }
            let version = version(of: item.name, inode, content)
            func record(_ policy: SecretPolicy?) -> Record {
                Record(
                    name: item.name,
                    inode: inode,
                    content: content,
                    permissions: parts.reduce(item.permissions) { $0 & $1.permissions },
                    modified: parts.reduce(item.modified) { max($0, $1.modified) },
                    expires: ([item.expires] + parts.map(\.expires)).compactMap(\.self).min(),
                    policy: policy,
                    source: item.source,
                    version: version?.number ?? 0
                )
            }
            guard let rules = item.policy else {
                records[item.name] = record(nil)
                return
            }
            if let version, let ledger {
                records[item.name] = record(SecretPolicy(rules, counting: ledger.readCount(of: version)))
                return
            }
            // The count of reads of content that stays goes on.
            var before: SecretPolicy?
            if let previous, let old = previous.record(item.name), same(record(nil), arena, old, previous.arena) {
                before = old.policy
            }
            records[item.name] = record(SecretPolicy(rules, after: before))
        }

        /// Notes what a name shows; nil without a ledger, and where it has no room.
        private func version(
            of name: SecretName,
            _ inode: InodeNumber,
            _ content: Record.Content
        ) -> MountLedger.Version? {
            guard let ledger, let digest = try? digest(of: content) else { return nil }
            return ledger.version(of: name, inode, digest)
        }

        private func digest(of content: Record.Content) throws(SealingError) -> [UInt8] {
            var digest = try SHA256Digest()
            try update(&digest, with: content)
            return try digest.finalize()
        }

        /// Adds what the content of a file comes from: everything that is sealed, and the template of what is rendered.
        private func update(_ digest: inout SHA256Digest, with content: Record.Content) throws(SealingError) {
            switch content {
            case .value(let range):
                try digest.update("value \(range.count) ".utf8.span)
                try digest.update(arena.span.extracting(range))
            case .rendered(let file, let parts):
                let text = file.template.text
                try digest.update("rendered \(text.utf8.count) \(text)".utf8.span)
                for part in parts {
                    try digest.update(" \(part.name.text) ".utf8.span)
                    try update(&digest, with: part.content)
                }
            }
        }
    }

    private func compare(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Int {
        for index in 0..<min(left.count, right.count) where left[index] != right[index] {
            return Int(left[index]) - Int(right[index])
        }
        return left.count - right.count
    }
}
