// SPDX-License-Identifier: Apache-2.0

package import FuseBridge
package import SecretStore
package import SecureMemory
internal import Synchronization

/// The rules of a mount: which names there are, what is said of them, who may open one and which bytes are read.
///
/// Knows nothing of how requests come and go; `SecretFileServer` does. One flat directory; every secret is a file.
package final class SecretFileSystem: Sendable {
    /// Inodes and names that the kernel has to forget after a change.
    package struct Invalidations: Sendable, Equatable {
        /// Files and directories whose attributes or content it may have.
        package var inodes: [InodeNumber] = []
        /// Names in the directory that are gone.
        package var names: [SecretName] = []
    }

    /// An entry of the directory.
    package struct ListedEntry: Sendable {
        /// The name.
        package let name: String
        /// Attributes of the entry.
        package let attributes: FileAttributes
        /// Offset behind it.
        package let next: DirectoryOffset
    }

    /// A secret that somebody asks for, of the generation that was served then.
    package struct Candidate: Sendable {
        let snapshot: Snapshot
        let record: Snapshot.Record

        /// The name.
        package var name: SecretName { record.name }
        /// The generation that was served.
        var generation: UInt64 { snapshot.generation }
        /// The names of the secrets that it is rendered from.
        package var parts: [SecretName] { record.parts.map(\.name) }
        /// An open of it or of one of its parts raises an alarm.
        package var isDecoy: Bool { record.policies.contains { $0.rules.decoy } }
        /// Opens of it, or of one of its parts, are counted and limited.
        package var countsOpens: Bool { record.policies.contains { $0.rules.maxReads != nil } }
        /// Makes a number for a handle of a placeholder in its place.
        func makePlaceholderHandle() -> LastingHandle? { snapshot.ledger?.makeHandle(.placeholder, record.version) }
        /// Hidden from callers who may not open it.
        package var isHidden: Bool { record.isHidden }
    }

    private let access: AccessRules
    private let ownership: Ownership
    private let now: @Sendable () -> Timestamp
    private let current: Mutex<Snapshot>
    private let opened = Mutex<Set<InodeNumber>>([])
    private let isClosing = Atomic<Bool>(false)
    /// Counts of opens.
    package let counts = OpenCounts()
    private let since = Mutex(ContinuousClock.now)
    private let locked = Atomic<Bool>(false)
    /// Ledger of the mount; nil where no other server comes after this one.
    package let ledger: MountLedger?
    /// Every generation that somebody may still read, by what is open.
    private let generations = Mutex<[Generation]>([])

    private struct Generation: Sendable {
        weak let snapshot: Snapshot?
    }

    /// Makes a file system.
    ///
    /// - Parameters:
    ///   - snapshot: the first generation.
    ///   - ownership: whom the files belong to.
    ///   - access: who may open what.
    ///   - now: the time.
    package init(
        _ snapshot: Snapshot,
        ownership: Ownership,
        access: AccessRules = AccessRules(),
        now: @escaping @Sendable () -> Timestamp = { Timestamp.now() }
    ) {
        current = Mutex(snapshot)
        generations.withLock { $0 = [Generation(snapshot: snapshot)] }
        ledger = snapshot.ledger
        self.ownership = ownership
        self.access = access
        self.now = now
        guard let ledger, ledger.isInherited else { return }
        // What the server before had opened, and told the kernel of, is not known.
        opened.withLock { $0 = Set(ledger.inodes.values) }
        locked.store(ledger.isLocked, ordering: .releasing)
    }

    /// What the kernel must forget of a server before this one: everything, since what it showed may have changed.
    package var inheritance: Invalidations {
        guard let ledger, ledger.isInherited else { return Invalidations() }
        return Invalidations(inodes: [.root] + ledger.inodes.values.sorted(), names: ledger.inodes.keys.sorted())
    }

    /// Opens again what a server before this one had opened, if it is still served.
    ///
    /// - Parameters:
    ///   - handle: the number that it had given.
    ///   - scratch: memory that the plaintext passes through; zeros afterwards.
    /// - Returns: nil where it is none of this ledger, was opened before a lock, or shows something else by now.
    package func reopen(_ handle: LastingHandle, scratch: inout SecureBuffer) -> OpenedBefore? {
        let snapshot = snapshot
        guard !isLocked, let opened = ledger?.opened(handle) else { return nil }
        switch opened {
        case .directory: return .directory(OpenListing(self, snapshot))
        case .placeholder(let name): return .placeholder(name)
        case .value(let version):
            guard let position = snapshot.position(of: version.inode),
                snapshot.records[position].version == version.number,
                (try? snapshot.authenticate(snapshot.records[position], scratch: &scratch)) != nil
            else { return nil }
            return .secret(OpenSecret(self, snapshot, snapshot.records[position]))
        }
    }

    /// Time for which the generation has been served.
    package var age: Duration { since.withLock { ContinuousClock.now - $0 } }

    /// The generation that is served.
    package var snapshot: Snapshot { current.withLock { $0 } }

    /// Serves another generation from now on; what is open stays as it is.
    ///
    /// - Parameter next: made after the one that is served.
    /// - Returns: what the kernel must forget before the change is complete.
    package func replace(with next: Snapshot) -> Invalidations {
        since.withLock { $0 = .now }
        generations.withLock { generations in
            generations.removeAll { $0.snapshot == nil }
            generations.append(Generation(snapshot: next))
        }
        let previous = current.withLock { snapshot in
            let previous = snapshot
            snapshot = next
            return previous
        }
        var invalidations = Invalidations()
        for record in previous.records {
            guard let position = next.position(of: record.inode) else {
                invalidations.names.append(record.name)
                invalidations.inodes.append(record.inode)
                continue
            }
            if !next.matches(next.records[position], record, of: previous) { invalidations.inodes.append(record.inode) }
        }
        invalidations.inodes.append(.root)
        return invalidations
    }

    /// Observer of opens.
    var monitor: OpenMonitor { access.monitor }

    /// Locked: opens and reads are refused.
    package var isLocked: Bool { locked.load(ordering: .acquiring) }

    /// Refuses opens and reads from now on and wipes the keys of every generation that is open; returns when no read uses
    /// them any more.
    ///
    /// - Returns: what the kernel must forget: every file that was ever opened.
    package func lock() -> Invalidations {
        ledger?.lock()
        locked.store(true, ordering: .releasing)
        let snapshots = generations.withLock { $0.compactMap(\.snapshot) }
        for source in snapshots.flatMap(\.sources) { source.forgetKeys() }
        return Invalidations(inodes: opened.withLock { $0.sorted() })
    }

    /// Serves again, after `replace` with a generation that has keys; what was open before stays refused.
    package func unlock() {
        ledger?.unlock()
        locked.store(false, ordering: .releasing)
    }

    /// Refuses opens and reads from now on.
    ///
    /// - Returns: what the kernel must forget before the mount goes: every file that was ever opened.
    package func close() -> Invalidations {
        isClosing.store(true, ordering: .releasing)
        return Invalidations(inodes: opened.withLock { $0.sorted() })
    }

    /// Finds a name for whoever asks.
    package func find(_ name: Span<UInt8>, in directory: InodeNumber) throws(FileSystemError) -> Candidate {
        let snapshot = snapshot
        guard directory == .root else {
            throw snapshot.position(of: directory) == nil ? .stale : .notDirectory
        }
        guard let position = snapshot.position(of: name) else {
            throw snapshot.isUnavailable(name) ? .unavailable : .noSuchName
        }
        return Candidate(snapshot: snapshot, record: snapshot.records[position])
    }

    /// Gets the attributes of a file or of the directory.
    package func attributes(of inode: InodeNumber) throws(FileSystemError) -> FileAttributes {
        let snapshot = snapshot
        if inode == .root { return rootAttributes(snapshot) }
        guard let position = snapshot.position(of: inode) else { throw .stale }
        return attributes(of: snapshot.records[position])
    }

    /// Finds the file that is to be opened, before anybody is asked about the caller.
    package func candidate(_ inode: InodeNumber, _ flags: OpenFlags) throws(FileSystemError) -> Candidate {
        guard !isClosing.load(ordering: .acquiring) else { throw .closing }
        guard !flags.changesFile else { throw .readOnly }
        guard inode != .root else { throw .isDirectory }
        let snapshot = snapshot
        guard let position = snapshot.position(of: inode) else { throw .stale }
        return Candidate(snapshot: snapshot, record: snapshot.records[position])
    }

    /// Decides whether a caller may open a secret; counts nothing.
    ///
    /// - Parameters:
    ///   - candidate: the secret.
    ///   - caller: who asks.
    ///   - identity: what is known of the caller; asked for where a rule needs it.
    ///   - digest: the SHA-256 of the caller's executable.
    /// - Returns: the decision.
    package func decide(
        on candidate: Candidate,
        caller: Caller,
        identity: () -> ProcessIdentity,
        digest: ExecutableDigest = .unknown
    ) -> OpenDecision {
        let record = candidate.record
        let request = AccessRequest(
            name: record.name,
            caller: caller,
            generation: candidate.snapshot.generation,
            isForGroup: record.permissions & 0o040 != 0
        )
        switch access.mount.decide(on: request) {
        case .allow: break
        case .refuse: return .refuse(nil)
        case .hide: return .hide
        }
        let policies = record.policies
        guard !policies.isEmpty else { return .allow }
        var subject = PolicySubject(uid: caller.user, digest: digest)
        if policies.contains(where: \.needsIdentity) {
            let identity = identity()
            subject.units = identity.group.names
            subject.executable = identity.executable
        }
        let now = now()
        var needsDigest = false
        for (owner, policy) in record.restrictions {
            switch policy.decide(on: subject, now: now, isCaller: { access.isCaller($0, request) }) {
            case .allow: continue
            case .needsDigest: needsDigest = true
            case .refuse(let key):
                let refusal = PolicyRefusal(key, of: owner == record.name ? nil : owner)
                return access.observes ? .observed(refusal) : .refuse(refusal)
            }
        }
        return needsDigest ? .needsDigest : .allow
    }

    /// Counts a granted open by every policy, or by none.
    ///
    /// - Returns: false where one of them granted as many before as it may.
    private static func countRead(_ policies: [SecretPolicy]) -> Bool {
        for (index, policy) in policies.enumerated() where !policy.countRead() {
            for counted in policies[..<index] { counted.uncountRead() }
            return false
        }
        return true
    }

    /// Opens what was decided on: looks at the time, authenticates the value, counts the read.
    ///
    /// - Parameters:
    ///   - candidate: the secret.
    ///   - isCounted: false for an open that is granted only since policies are observed.
    ///   - scratch: memory that the plaintext passes through; zeros afterwards.
    /// - Returns: the open secret, and what would refuse it where policies are only observed.
    /// - Throws: `expired`, `damaged`, or `spent` where `max_reads` were granted.
    package func open(
        _ candidate: Candidate,
        isCounted: Bool = true,
        scratch: inout SecureBuffer
    ) throws(FileSystemError) -> (secret: OpenSecret, observed: PolicyRefusal?) {
        let (snapshot, record) = (candidate.snapshot, candidate.record)
        guard !isClosing.load(ordering: .acquiring) else { throw .closing }
        guard !isLocked else { throw .locked }
        if let expires = record.expires, expires <= now() { throw .expired }
        try snapshot.authenticate(record, scratch: &scratch)
        let isGranted = !isCounted || Self.countRead(record.policies)
        guard isGranted || access.observes else { throw .spent }
        _ = opened.withLock { $0.insert(record.inode) }
        return (OpenSecret(self, snapshot, record), isGranted ? nil : PolicyRefusal(.maxReads))
    }

    /// Gets the attributes of a secret that was looked up.
    package func attributes(of candidate: Candidate) -> FileAttributes { attributes(of: candidate.record) }

    /// Opens the directory.
    package func opendir(_ inode: InodeNumber) throws(FileSystemError) -> OpenListing {
        guard !isClosing.load(ordering: .acquiring) else { throw .closing }
        let snapshot = snapshot
        guard inode == .root else { throw snapshot.position(of: inode) == nil ? .stale : .notDirectory }
        return OpenListing(self, snapshot)
    }

    fileprivate func read(
        _ range: Range<Int>,
        of record: Snapshot.Record,
        in snapshot: Snapshot,
        into buffer: ReadBuffer
    ) throws(FileSystemError) -> Int {
        guard !isClosing.load(ordering: .acquiring) else { throw .closing }
        let part = range.clamped(to: 0..<record.byteCount)
        guard !isLocked else { throw .locked }
        guard !part.isEmpty else { return 0 }
        guard part.count <= buffer.memory.capacity else { throw .tooLarge }
        buffer.memory.setCount(part.count)
        do throws(FileSystemError) {
            try buffer.memory.withMutableBytes { (bytes) throws(FileSystemError) in
                try snapshot.read(record, at: part.lowerBound, into: &bytes, scratch: &buffer.scratch)
            }
        } catch {
            buffer.wipe()
            throw error
        }
        return part.count
    }

    fileprivate func attributes(of record: Snapshot.Record) -> FileAttributes {
        FileAttributes(
            inode: record.inode,
            kind: .regular,
            permissions: record.permissions,
            linkCount: 1,
            size: record.byteCount,
            user: ownership.user,
            group: ownership.group,
            modified: record.modified.seconds
        )
    }

    fileprivate func rootAttributes(_ snapshot: Snapshot) -> FileAttributes {
        FileAttributes(
            inode: .root,
            kind: .directory,
            permissions: ownership.directoryPermissions,
            linkCount: 2,
            size: 0,
            user: ownership.user,
            group: ownership.group,
            modified: snapshot.modified.seconds
        )
    }
}

/// What a server before this one had opened.
package enum OpenedBefore: Sendable {
    case secret(OpenSecret)
    /// Text in the place of the secret with this name.
    case placeholder(SecretName)
    case directory(OpenListing)
}

/// A secret that was opened: it stays the version that it was, and holds no plaintext.
package final class OpenSecret: Sendable {
    private let fileSystem: SecretFileSystem
    private let snapshot: Snapshot
    private let record: Snapshot.Record

    fileprivate init(_ fileSystem: SecretFileSystem, _ snapshot: Snapshot, _ record: Snapshot.Record) {
        self.fileSystem = fileSystem
        self.snapshot = snapshot
        self.record = record
    }

    /// Decrypts what of a range lies in the file into the buffer of a worker, who wipes it after use.
    ///
    /// - Parameters:
    ///   - range: the bytes wanted.
    ///   - buffers: where the plaintext goes.
    ///   - worker: whose buffer.
    /// - Returns: the number of bytes, 0 at the end of the file, where the buffer is not touched.
    /// - Throws: why nothing can be read.
    package func read(
        _ range: Range<Int>,
        into buffers: ReadBuffers,
        worker: WorkerNumber
    ) throws(FileSystemError) -> Int {
        try fileSystem.read(range, of: record, in: snapshot, into: buffers.buffer(of: worker))
    }

    /// Makes a number for a handle of it.
    package func makeLastingHandle() -> LastingHandle? { snapshot.ledger?.makeHandle(.value, record.version) }
}

/// The directory that was opened: the names of one generation.
package final class OpenListing: Sendable {
    private let fileSystem: SecretFileSystem
    private let snapshot: Snapshot

    fileprivate init(_ fileSystem: SecretFileSystem, _ snapshot: Snapshot) {
        self.fileSystem = fileSystem
        self.snapshot = snapshot
    }

    /// Makes a number for a handle of it.
    func makeLastingHandle() -> LastingHandle? { snapshot.ledger?.makeHandle(.directory) }

    /// The entry at an offset: the directory, its parent, then the secrets by name.
    ///
    /// - Returns: nil behind the last one.
    package func entry(at offset: DirectoryOffset) -> SecretFileSystem.ListedEntry? {
        let next = DirectoryOffset(offset.value &+ 1)
        switch offset.value {
        case 0: return .init(name: ".", attributes: fileSystem.rootAttributes(snapshot), next: next)
        case 1: return .init(name: "..", attributes: fileSystem.rootAttributes(snapshot), next: next)
        case 2..<2 + snapshot.records.count:
            // The kernel shares what it caches of a listing between callers: a hidden name is in none.
            let first = offset.value - 2
            guard let position = snapshot.records[first...].firstIndex(where: { !$0.isHidden }) else { return nil }
            let record = snapshot.records[position]
            return .init(
                name: record.name.text,
                attributes: fileSystem.attributes(of: record),
                next: DirectoryOffset(position + 3)
            )
        default: return nil
        }
    }
}
