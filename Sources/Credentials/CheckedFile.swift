// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// A file that was opened and found to be what the policy wants; the only thing that is ever read.
struct CheckedFile: ~Copyable {
    /// Bytes behind the content that the owner of a buffer may use: the code that `Secret` compares with.
    static let trailerByteCount = 64

    private static let maximumAttemptCount = 8

    private let descriptor: OwnedDescriptor
    private let path: String
    private let policy: FilePolicy

    /// The content of a file with the stamp that it was read under.
    struct Content: ~Copyable {
        /// The bytes, then zeros: at least `trailerByteCount` of them.
        var buffer: SecureBuffer
        let byteCount: Int
        let stamp: FileStamp
    }

    /// Finds, opens, checks and reads a file.
    static func load(_ candidate: CredentialSource.Candidate, _ policy: FilePolicy) throws(CredentialsError) -> Content
    {
        try settled(candidate, policy) { (place) throws(CredentialsError) in
            try CheckedFile(place, path: candidate.path, policy).read()
        }
    }

    /// Finds a file and says how it stands, without opening it.
    static func stamp(
        _ candidate: CredentialSource.Candidate,
        _ policy: FilePolicy
    ) throws(CredentialsError) -> FileStamp {
        try settled(candidate, policy) { (place) throws(CredentialsError) in place.stamp }
    }

    /// Walks to a file, again where it was replaced on the way: a generation that is swapped out (a Kubernetes volume,
    /// a credfs mount) is gone or stale for a moment.
    private static func settled<R: ~Copyable>(
        _ candidate: CredentialSource.Candidate,
        _ policy: FilePolicy,
        _ body: (PathWalk.Place) throws(CredentialsError) -> R
    ) throws(CredentialsError) -> R {
        var attempt = 1
        while true {
            do throws(CredentialsError) {
                let links = policy.symbolicLinks
                return try body(PathWalk.find(candidate.path, within: candidate.directory, links: links))
            } catch {
                let isPassing =
                    error.errorNumber == Errno.staleNFSFileHandle.rawValue
                    || error.code == .fileNotFound && policy.symbolicLinks == .kubernetes
                guard isPassing, attempt < maximumAttemptCount else { throw error.located(name: candidate.name) }
                attempt += 1
            }
        }
    }

    private init(_ place: PathWalk.Place, path: String, _ policy: FilePolicy) throws(CredentialsError) {
        descriptor = try Self.open(place, path: path, policy)
        self.path = path
        self.policy = policy
    }

    private static func open(
        _ place: PathWalk.Place,
        path: String,
        _ policy: FilePolicy
    ) throws(CredentialsError) -> OwnedDescriptor {
        let descriptor: OwnedDescriptor
        let status: FileStatus
        do throws(Errno) {
            descriptor = try place.directory.descriptor.openFile(place.name)
        } catch {
            throw failure(toOpen: path, error)
        }
        do throws(Errno) {
            status = try descriptor.status()
        } catch {
            throw failure(toOpen: path, error)
        }
        // The walk saw a regular file, but only what was opened counts.
        guard status.kind == .regular else {
            throw CredentialsError(.pathNotAllowed, path: path, reason: "not a regular file")
        }
        guard status.owner == 0 || status.owner == ProcessAttributes.effectiveUser else {
            throw CredentialsError(.ownerNotAllowed, path: path, reason: "owner: \(status.owner), expected us or root")
        }
        try checkPermissions(status, of: descriptor, path: path, policy)
        guard status.size <= policy.limit else { throw tooLarge(path, policy) }
        return descriptor
    }

    private static func failure(toOpen path: String, _ error: Errno) -> CredentialsError {
        switch error {
        case .noSuchFileOrDirectory: CredentialsError(.fileNotFound, path: path, errno: error)
        // It became a link or a socket since the walk.
        case .tooManySymbolicLinkLevels: CredentialsError(.pathNotAllowed, path: path, reason: "a symbolic link")
        case .noSuchAddressOrDevice: CredentialsError(.pathNotAllowed, path: path, reason: "not a regular file")
        default: CredentialsError(.inputOutput, path: path, errno: error)
        }
    }

    private static func tooLarge(_ path: String, _ policy: FilePolicy) -> CredentialsError {
        CredentialsError(.tooLarge, path: path, reason: "limit: \(policy.limit) bytes")
    }

    private static func checkPermissions(
        _ status: FileStatus,
        of descriptor: borrowing OwnedDescriptor,
        path: String,
        _ policy: FilePolicy
    ) throws(CredentialsError) {
        let excess = status.permissions & policy.permissions.forbidden
        guard excess != 0 else { return }
        // Where a file has an access control list, the group bits show its mask: systemd gives a unit's user its
        // credentials by an entry for that user alone, which looks like 0440.
        if excess & 0o007 == 0 {
            let list: [UInt8]?
            do throws(Errno) {
                list = try descriptor.accessControlList()
            } catch {
                throw CredentialsError(.inputOutput, path: path, errno: error)
            }
            if let list, AccessControlList.admitsNobody(but: ProcessAttributes.effectiveUser, list) { return }
        }
        throw CredentialsError(
            .permissionsTooOpen,
            path: path,
            mode: status.permissions,
            expectedMode: policy.permissions.widest
        )
    }

    /// Reads everything, again where the file was written to meanwhile.
    private consuming func read() throws(CredentialsError) -> Content {
        for _ in 0..<Self.maximumAttemptCount {
            let before = try stamp()
            let content = try readOnce(under: before)
            // Some file systems do not know a size beforehand and say 0.
            if try stamp() == before, content.byteCount == before.size || before.size == 0 { return content }
            do throws(Errno) {
                try descriptor.seek(to: 0)
            } catch {
                throw CredentialsError(.inputOutput, path: path, errno: error)
            }
        }
        throw CredentialsError(.inputOutput, path: path, reason: "it kept changing while it was read")
    }

    private func stamp() throws(CredentialsError) -> FileStamp {
        do throws(Errno) {
            return try descriptor.stamp()
        } catch {
            throw CredentialsError(.inputOutput, path: path, errno: error)
        }
    }

    private func readOnce(under stamp: FileStamp) throws(CredentialsError) -> Content {
        // One byte more than there should be shows the end of the file without another buffer.
        var room = min(stamp.size, policy.limit) + 1
        var buffer = try secure { () throws(SecureMemoryError) in
            try SecureBuffer(count: room + Self.trailerByteCount)
        }
        var filled = 0
        while true {
            if filled == room {
                guard filled <= policy.limit else { throw Self.tooLarge(path, policy) }
                room = min(policy.limit + 1, max(4096, room * 2))
                let old = buffer
                buffer = try secure { () throws(SecureMemoryError) in
                    try old.copy(capacity: room + Self.trailerByteCount)
                }
            }
            // What lies behind the room stays zero.
            buffer.setCount(room)
            let count = try read(into: &buffer, from: filled)
            guard count > 0 else {
                buffer.setCount(buffer.capacity)
                return Content(buffer: buffer, byteCount: filled, stamp: stamp)
            }
            filled += count
        }
    }

    private func read(into buffer: inout SecureBuffer, from start: Int) throws(CredentialsError) -> Int {
        do throws(Errno) {
            return try buffer.withMutableBytes { (bytes) throws(Errno) in
                try descriptor.read(into: &bytes, from: start)
            }
        } catch {
            throw CredentialsError(.inputOutput, path: path, errno: error)
        }
    }

    private func secure(
        _ body: () throws(SecureMemoryError) -> SecureBuffer
    ) throws(CredentialsError) -> SecureBuffer {
        do throws(SecureMemoryError) {
            return try body()
        } catch {
            throw CredentialsError(error).located(path: path)
        }
    }
}
