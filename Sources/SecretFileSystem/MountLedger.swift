// SPDX-License-Identifier: Apache-2.0

package import FuseBridge
internal import Sealing
internal import SecretStore
internal import Synchronization
package import SystemCalls
package import SystemPackage

/// Ledger of a mount, from which another server can go on where one was killed: the number of every name, which value was
/// shown under it and how often it was opened, whether the mount is locked, and what was agreed on with the kernel.
///
/// A file of memory that servers map one after the other and whoever keeps the mount holds meanwhile. It is written so that
/// it is true at every moment, since a server may be killed at any. It holds names and no value.
@safe
package final class MountLedger: Sendable {
    /// The longest ledger in bytes, some 700 000 values.
    package static let maximumByteCount = 64 << 20

    /// Value that was shown under a name.
    struct Version: Sendable, Equatable {
        /// Number from 1 on.
        let number: Int
        let inode: InodeNumber
        let name: SecretName
        /// SHA-256 of what is sealed.
        let digest: [UInt8]
        fileprivate let offset: Int
    }

    /// What a handle was given for.
    enum Opened: Sendable, Equatable {
        case value(Version)
        case placeholder(SecretName)
        case directory
    }

    /// Kind of a handle: its two highest bits.
    enum HandleKind: UInt64 {
        case value = 1
        case placeholder = 2
        case directory = 3
    }

    private struct State {
        var versions: [Version] = []
        /// The last version of each name.
        var latest: [SecretName: Int] = [:]
        /// Byte behind the last record.
        var end = Layout.firstRecord
        var fileByteCount = 0
    }

    /// Offsets in the file, of numbers of eight bytes in the order of this machine.
    private enum Layout {
        static let magic: UInt64 = 0x3152_474c_4446_5243  // "CRFDLGR1"
        static let magicOffset = 0
        static let end = 8
        static let lockCount = 16
        static let isLocked = 24
        static let serial = 32
        static let generation = 40
        static let isFull = 48
        static let requestByteCount = 64
        static let answerByteCount = 72
        static let request = 128
        static let answer = 512
        static let longestMessage = 384
        static let firstRecord = 4096
        // A record: count of opens, inode, digest, length of the name, name; padded to eight bytes.
        static let inode = 8
        static let digest = 16
        static let nameByteCount = 48
        static let name = 56
        static let step = 64 << 10
    }

    /// Bits of a handle below its kind.
    private enum HandleBits {
        static let lockCount: UInt64 = 16
        static let version: UInt64 = 24
        static let serial: UInt64 = 22
    }

    private let file: OwnedDescriptor
    // SAFETY: mapped for the life of this object; only what is behind the end of the file is not touched.
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer
    private let state: Mutex<State>
    /// It was begun by a server before this one.
    package let isInherited: Bool

    /// Begins a ledger.
    ///
    /// - Throws: the error of memfd_create(2), ftruncate(2) or mmap(2).
    package init() throws(Errno) {
        let file = try Memory.sharedFile("credfs-ledger")
        try file.truncate(to: Layout.firstRecord)
        unsafe memory = try Memory.share(file, byteCount: Self.maximumByteCount)
        self.file = file
        isInherited = false
        state = Mutex(State(fileByteCount: Layout.firstRecord))
        store(UInt64(Layout.firstRecord), at: Layout.end)
        store(Layout.magic, at: Layout.magicOffset)
    }

    /// Goes on with the ledger of the server before.
    ///
    /// - Parameter file: the file.
    /// - Throws: EPROTO where it is none of this version, or is damaged.
    package init(continuing file: consuming OwnedDescriptor) throws(Errno) {
        let byteCount = Int(try file.status().size)
        guard byteCount >= Layout.firstRecord, byteCount <= Self.maximumByteCount else { throw .protocolError }
        unsafe memory = try Memory.share(file, byteCount: Self.maximumByteCount)
        self.file = file
        isInherited = true
        state = Mutex(State(fileByteCount: byteCount))
        guard load(Layout.magicOffset) == Layout.magic, load(Layout.isFull) == 0, readRecords(byteCount) else {
            throw .protocolError
        }
    }

    deinit {
        unsafe Memory.unmap(memory, byteCount: Self.maximumByteCount)
    }

    /// Descriptor of the file.
    package var descriptor: Int32 { file.number }

    // MARK: Numbers

    private func cell(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe memory.advanced(by: offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    private func load(_ offset: Int) -> UInt64 { unsafe cell(offset).pointee.load(ordering: .acquiring) }

    private func store(_ value: UInt64, at offset: Int) {
        unsafe cell(offset).pointee.store(value, ordering: .releasing)
    }

    /// The last generation that was served.
    var generation: UInt64 {
        get { load(Layout.generation) }
        set { store(newValue, at: Layout.generation) }
    }

    /// Locked: the next server serves nothing until it is unlocked.
    package var isLocked: Bool { load(Layout.isLocked) != 0 }

    /// Notes a lock: what is open now is never read again, also after `unlock`.
    func lock() {
        unsafe cell(Layout.lockCount).pointee.add(1, ordering: .acquiringAndReleasing)
        store(1, at: Layout.isLocked)
    }

    /// Notes that the mount is served again.
    func unlock() { store(0, at: Layout.isLocked) }

    // MARK: The kernel

    /// What was agreed on with the kernel; nil before it has asked.
    package var negotiation: Negotiation? {
        let counts = (Int(clamping: load(Layout.requestByteCount)), Int(clamping: load(Layout.answerByteCount)))
        guard (1...Layout.longestMessage).contains(counts.0), (1...Layout.longestMessage).contains(counts.1) else {
            return nil
        }
        return Negotiation(request: bytes(Layout.request, counts.0), answer: bytes(Layout.answer, counts.1))
    }

    /// Notes what was agreed on with the kernel; once.
    package func note(_ negotiation: Negotiation) {
        guard negotiation.request.count <= Layout.longestMessage, negotiation.answer.count <= Layout.longestMessage
        else { return }
        write(negotiation.request, at: Layout.request)
        write(negotiation.answer, at: Layout.answer)
        store(UInt64(negotiation.request.count), at: Layout.requestByteCount)
        store(UInt64(negotiation.answer.count), at: Layout.answerByteCount)
    }

    // MARK: Values

    /// The numbers of all names.
    var inodes: [SecretName: InodeNumber] {
        state.withLock { state in state.latest.mapValues { state.versions[$0 - 1].inode } }
    }

    /// Finds the version of a value, or adds it.
    ///
    /// - Parameters:
    ///   - name: the name.
    ///   - inode: its number.
    ///   - digest: SHA-256 of what is sealed.
    /// - Returns: it; nil where there is no room, and no other server can go on any more.
    func version(of name: SecretName, _ inode: InodeNumber, _ digest: [UInt8]) -> Version? {
        state.withLock { state in
            if let number = state.latest[name], state.versions[number - 1].digest == digest {
                return state.versions[number - 1]
            }
            let bytes = Array(name.text.utf8)
            let version = Version(
                number: state.versions.count + 1,
                inode: inode,
                name: name,
                digest: digest,
                offset: state.end
            )
            let end = state.end + Self.byteCount(ofRecord: bytes.count)
            guard version.number < 1 << HandleBits.version, makeRoom(end, &state) else {
                store(1, at: Layout.isFull)
                return nil
            }
            store(inode.value, at: version.offset + Layout.inode)
            write(digest, at: version.offset + Layout.digest)
            store(UInt64(bytes.count), at: version.offset + Layout.nameByteCount)
            write(bytes, at: version.offset + Layout.name)
            // From here on it counts.
            store(UInt64(end), at: Layout.end)
            state.end = end
            state.versions.append(version)
            state.latest[name] = version.number
            return version
        }
    }

    /// The count of opens of a version.
    func readCount(of version: Version) -> ReadCount {
        unsafe ReadCount(cell(version.offset), in: self)
    }

    private func makeRoom(_ end: Int, _ state: inout State) -> Bool {
        guard end > state.fileByteCount else { return true }
        let byteCount = (end + Layout.step - 1) / Layout.step * Layout.step
        guard byteCount <= Self.maximumByteCount, (try? file.truncate(to: byteCount)) != nil else { return false }
        state.fileByteCount = byteCount
        return true
    }

    private static func byteCount(ofRecord nameByteCount: Int) -> Int {
        (Layout.name + nameByteCount + 7) / 8 * 8
    }

    /// Reads the records of the server before.
    private func readRecords(_ fileByteCount: Int) -> Bool {
        guard let end = Int(exactly: load(Layout.end)), end >= Layout.firstRecord, end <= fileByteCount else {
            return false
        }
        return state.withLock { state in
            while state.end < end {
                let offset = state.end
                guard end - offset >= Layout.name,
                    let count = Int(exactly: load(offset + Layout.nameByteCount)),
                    count <= SecretName.maximumByteCount,
                    end - offset >= Self.byteCount(ofRecord: count),
                    // NOT SECRET: a name.
                    let text = String(validating: bytes(offset + Layout.name, count), as: UTF8.self),
                    let name = SecretName(text)
                else { return false }
                let inode = InodeNumber(load(offset + Layout.inode))
                // Numbers are given one after the other from 2 on, each to one name for ever.
                let before = state.latest[name].map { state.versions[$0 - 1].inode }
                guard inode == before ?? InodeNumber(UInt64(state.latest.count) + 2) else { return false }
                let number = state.versions.count + 1
                state.versions.append(
                    Version(
                        number: number,
                        inode: inode,
                        name: name,
                        digest: bytes(offset + Layout.digest, SHA256Digest.byteCount),
                        offset: offset
                    )
                )
                state.latest[name] = number
                state.end += Self.byteCount(ofRecord: count)
            }
            return state.end == end
        }
    }

    private func bytes(_ offset: Int, _ count: Int) -> [UInt8] {
        unsafe Array(UnsafeRawBufferPointer(start: memory.advanced(by: offset), count: count))
    }

    private func write(_ bytes: [UInt8], at offset: Int) {
        unsafe UnsafeMutableRawBufferPointer(start: memory.advanced(by: offset), count: bytes.count)
            .copyBytes(from: bytes)
    }

    // MARK: Handles

    /// Makes the number of a handle, another one each time.
    ///
    /// - Parameters:
    ///   - kind: what is opened.
    ///   - version: the version of the value; 0 for a directory, and for what no other server can open again.
    /// - Returns: kind, count of locks, version, and a number that tells handles apart.
    func makeHandle(_ kind: HandleKind, _ version: Int = 0) -> LastingHandle {
        let serial = unsafe cell(Layout.serial).pointee.add(1, ordering: .relaxed).newValue
        let locks = min(load(Layout.lockCount), Self.mask(HandleBits.lockCount))
        let number =
            kind.rawValue << 62 | locks << (HandleBits.version + HandleBits.serial)
            | UInt64(version) << HandleBits.serial | serial & Self.mask(HandleBits.serial)
        return LastingHandle(value: number)
    }

    /// What a handle was given for; nil where it must not be opened again.
    func opened(_ handle: LastingHandle) -> Opened? {
        let locks = handle.value >> (HandleBits.version + HandleBits.serial) & Self.mask(HandleBits.lockCount)
        let number = Int(handle.value >> HandleBits.serial & Self.mask(HandleBits.version))
        let version = state.withLock { state in
            state.versions.indices.contains(number - 1) ? state.versions[number - 1] : nil
        }
        switch HandleKind(rawValue: handle.value >> 62) {
        case .directory: return .directory
        case .placeholder: return version.map { .placeholder($0.name) }
        case .value:
            // The highest number stands for every lock that it cannot count.
            guard let version, locks == load(Layout.lockCount), locks < Self.mask(HandleBits.lockCount) else {
                return nil
            }
            return .value(version)
        case nil: return nil
        }
    }

    private static func mask(_ bitCount: UInt64) -> UInt64 { (1 << bitCount) - 1 }
}
