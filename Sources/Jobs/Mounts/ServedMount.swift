// SPDX-License-Identifier: Apache-2.0

internal import FuseBridge
internal import Glibc
internal import ProcessControl
package import SecretFileSystem
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Begins to record the opens of the mount with an identifier, on a thread that is started then; nil where there is no log.
package typealias OpenRecording = (_ mount: String) throws(MountError) -> OpenAudit?

/// A mount that is being served.
final class ServedMount {
    private let rules: SecretFileSystem
    private let audit: OpenAudit?
    private var session: Session?

    private static let workerCount = max(2, min(8, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))

    /// The most bytes that the kernel may ask for at once, by how much memory may be locked.
    static func maximumReadByteCount() -> Int {
        let lockable = (try? ProcessAttributes.lockableByteCount()) ?? 1 << 16
        return ReadBuffers.byteCount(lockableByteCount: lockable, workerCount: workerCount)
    }

    /// Begins to serve.
    ///
    /// - Parameters:
    ///   - device: a mounted device.
    ///   - rules: what is answered.
    ///   - options: what it was mounted with.
    ///   - audit: records opens; ended with the mount.
    ///   - requestTimeout: seconds after which the kernel ends a mount that does not answer; nil for ever.
    ///   - succession: whether another server was there before, or may come.
    /// - Throws: class `mount`.
    init(
        _ device: consuming OwnedDescriptor,
        _ rules: SecretFileSystem,
        _ options: FuseMount.Options,
        audit: OpenAudit?,
        requestTimeout: UInt16? = nil,
        succession: Succession = .none
    ) throws(MountError) {
        self.audit = audit
        let buffers: ReadBuffers
        do throws(SecureMemoryError) {
            buffers = try ReadBuffers(workerCount: Self.workerCount, byteCount: options.maximumReadByteCount)
        } catch {
            audit?.end()
            throw MountError(
                .mount,
                "cannot get \(error.byteCount) bytes of locked memory: \(error.errno.message)",
                hint: "raise the limit of locked memory (ulimit -l)"
            )
        }
        self.rules = rules
        do throws(Errno) {
            session = try Session(
                device: device,
                serving: SecretFileServer(rules, buffers: buffers, audit: audit),
                maximumReadByteCount: options.maximumReadByteCount,
                workerCount: Self.workerCount,
                prepare: { buffers.prepare($0) },
                requestTimeout: requestTimeout,
                succession: succession,
                // A server spends its life waiting; what it needed to start is half of its memory.
                idle: { Memory.dropProgramPages() }
            )
        } catch {
            audit?.end()
            throw MountError.system(.mount, "serve the mount", error)
        }
    }

    deinit {
        end {}
    }

    /// Can be read once nobody answers any more.
    var endNotice: Int32 { session?.endNotice ?? -1 }

    /// State of serving: requests are answered.
    var isServing: Bool { session?.isServing ?? false }

    /// The generation that is served.
    var snapshot: Snapshot { rules.snapshot }

    /// Serves another generation, and returns when the kernel has forgotten the old one.
    func replace(with next: Snapshot) throws(MountError) {
        guard let session else { return }
        do throws(Errno) { try session.invalidate(rules.replace(with: next)) } catch {
            throw MountError(.mount, "the kernel does not forget the old secrets: \(error.message)")
        }
    }

    /// Serves what a store holds now, and returns when readers see it.
    ///
    /// - Throws: why it is not accepted; then the old generation is served.
    func reload(_ store: any ServedStore, _ record: MountRecord?) throws {
        guard !isLocked else {
            throw MountError(.policy, "the mount is locked", hint: "present its key or password: credfs unlock")
        }
        let next = try store.snapshot(after: snapshot)
        try replace(with: next)
        record?.update { $0.generation = next.generation }
    }

    /// Refuses opens and reads and wipes the keys until `unlock`.
    func lock(_ store: any ServedStore, _ record: MountRecord?) {
        let invalidations = rules.lock()
        store.lock()
        SecureBuffer.releaseSparePages()
        record?.update { $0.isLocked = true }
        // Nothing can be read that the kernel does not forget.
        try? session?.invalidate(invalidations)
    }

    /// Serves what a store holds now, with the data key in a pipe.
    ///
    /// - Throws: why it is not accepted; then the mount stays locked.
    func unlock(_ store: any ServedStore, with pipe: ReceivedDescriptor, _ record: MountRecord?) throws {
        let next = try store.unlock(with: pipe, after: snapshot)
        try replace(with: next)
        rules.unlock()
        record?.update { record in
            record.generation = next.generation
            record.isLocked = false
        }
    }

    /// Locked: opens and reads are refused.
    var isLocked: Bool { rules.isLocked }

    /// Makes the kernel forget what a server before this one has shown.
    func forgetInheritance() throws(MountError) {
        guard let session else { return }
        do throws(Errno) { try session.invalidate(rules.inheritance) } catch {
            throw MountError(.mount, "the kernel does not forget what was shown before: \(error.message)")
        }
    }

    /// Leaves readers, what they have open and the connection to another server.
    func leave() {
        session?.leave()
        session = nil
        audit?.end()
    }

    /// Refuses everything, has the kernel forget what it has, lets the mount be taken away, and ends the connection.
    ///
    /// - Parameter detach: takes it out of the directory tree where others can see it.
    func end(_ detach: () -> Void) {
        guard let session else { return }
        // What cannot be forgotten now is gone with the connection.
        try? session.invalidate(rules.close())
        detach()
        session.stop()
        self.session = nil
        audit?.end()
    }
}
