// SPDX-License-Identifier: Apache-2.0

package import FuseBridge
internal import SecretStore
internal import Synchronization
package import SystemPackage

/// Answers the requests of a mount by the rules of a `SecretFileSystem`.
package final class SecretFileServer: FileSystem {
    /// The rules.
    package let rules: SecretFileSystem
    private let buffers: ReadBuffers
    private let audit: OpenAudit?

    /// Makes the server side of a mount.
    ///
    /// - Parameters:
    ///   - rules: what is answered.
    ///   - buffers: as many as the session has workers, each as large as its `max_read`.
    ///   - audit: records opens; nil where there is no log.
    package init(_ rules: SecretFileSystem, buffers: ReadBuffers, audit: OpenAudit? = nil) {
        self.rules = rules
        self.audit = audit
        self.buffers = buffers
    }

    /// Answers a lookup.
    package func lookup(_ name: Span<UInt8>, in directory: InodeNumber, reply: consuming Reply<Entry>) {
        let result: Result<FileAttributes, FileSystemError>
        do throws(FileSystemError) {
            result = .success(try rules.lookup(name, in: directory))
        } catch { result = .failure(error) }
        switch result {
        case .success(let attributes): reply.entry(attributes)
        case .failure(let error): reply.fail(errno(for: error))
        }
    }

    /// Answers with attributes.
    package func getattr(_ inode: InodeNumber, reply: consuming Reply<Attributes>) {
        do throws(FileSystemError) {
            reply.attributes(try rules.attributes(of: inode))
        } catch { reply.fail(errno(for: error)) }
    }

    /// Answers an open.
    package func open(
        _ inode: InodeNumber,
        _ flags: OpenFlags,
        _ context: RequestContext,
        reply: consuming Reply<Opening>
    ) {
        let result: Result<OpenSecret, FileSystemError>
        do throws(FileSystemError) {
            result = .success(
                try rules.open(inode, flags, caller: context.caller, buffers: buffers, worker: context.worker)
            )
        } catch { result = .failure(error) }
        guard let audit, let name = rules.name(of: inode), let record = OpenAudit.Outcome(result) else {
            return Self.answer(reply, result, buffers)
        }
        // Nobody waits here for the log: what has to wait is answered by its writer.
        var reply: Reply<Opening>? = consume reply
        let buffers = buffers
        let isAtOnce = audit.record(name, context.caller, record) {
            let waiting = WaitingOpen(reply.take()?.park())
            return { isAdmitted in
                guard let reply = waiting.resume() else { return }
                Self.answer(reply, isAdmitted ? result : .failure(.damaged), buffers)
            }
        }
        guard isAtOnce, let reply = reply.take() else { return }
        Self.answer(reply, result, buffers)
    }

    private static func answer(
        _ reply: consuming Reply<Opening>,
        _ result: Result<OpenSecret, FileSystemError>,
        _ buffers: ReadBuffers
    ) {
        switch result {
        case .success(let secret): reply.opened(OpenSecretFile(secret, buffers: buffers))
        case .failure(let error): reply.fail(errno(for: error))
        }
    }

    /// Answers an open of the directory.
    package func opendir(_ inode: InodeNumber, reply: consuming Reply<DirectoryOpening>) {
        do throws(FileSystemError) {
            reply.opened(OpenSecretDirectory(try rules.opendir(inode)))
        } catch { reply.fail(errno(for: error)) }
    }

    /// Answers with the statistics.
    package func statfs(reply: consuming Reply<Statistics>) {
        reply.statistics(maximumNameByteCount: SecretName.maximumByteCount)
    }
}

extension Session {
    /// Makes the kernel forget what changed, and returns when it has; not from a worker.
    ///
    /// - Throws: the first error of the kernel, after everything was tried.
    package func invalidate(_ invalidations: SecretFileSystem.Invalidations) throws(Errno) {
        var failure: Errno?
        for inode in invalidations.inodes {
            do throws(Errno) { try invalidate(inode) } catch { failure = failure ?? error }
        }
        for name in invalidations.names {
            do throws(Errno) { try invalidate(name.text, in: .root) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }
}

/// An open that waits for its entry in the log.
private final class WaitingOpen: Sendable {
    private let parked: Mutex<ParkedReply<Opening>?>

    init(_ parked: consuming ParkedReply<Opening>?) {
        self.parked = Mutex(parked)
    }

    func resume() -> Reply<Opening>? {
        let parked = parked.withLock { $0.take() }
        return parked?.resume()
    }
}

/// A secret that the kernel holds open.
private final class OpenSecretFile: OpenFile {
    private let secret: OpenSecret
    private let buffers: ReadBuffers

    init(_ secret: OpenSecret, buffers: ReadBuffers) {
        self.secret = secret
        self.buffers = buffers
    }

    func read(_ range: Range<Int>, worker: WorkerNumber, reply: consuming Reply<Bytes>) {
        do throws(FileSystemError) {
            guard try secret.read(range, into: buffers, worker: worker) > 0 else { return reply.endOfFile() }
            let buffer = buffers.buffer(of: worker)
            reply.bytes(of: buffer.memory)
            buffer.wipe()
        } catch { reply.fail(errno(for: error)) }
    }
}

/// The directory that the kernel holds open.
private final class OpenSecretDirectory: OpenDirectory {
    private let listing: OpenListing

    init(_ listing: OpenListing) {
        self.listing = listing
    }

    func readdir(from offset: DirectoryOffset, into page: consuming DirectoryPage) {
        var offset = offset
        while let entry = listing.entry(at: offset), page.add(entry.name, entry.attributes, next: entry.next) {
            offset = entry.next
        }
        page.send()
    }
}
