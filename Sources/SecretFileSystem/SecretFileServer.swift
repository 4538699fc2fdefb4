// SPDX-License-Identifier: Apache-2.0

package import FuseBridge
internal import SecretStore
internal import SecureMemory
internal import Synchronization
package import SystemPackage

/// Answers the requests of a mount by the rules of a `SecretFileSystem`.
package final class SecretFileServer: FileSystem {
    /// The rules.
    package let rules: SecretFileSystem
    private let gate: OpenGate
    private let buffers: ReadBuffers

    /// Makes the server side of a mount.
    ///
    /// - Parameters:
    ///   - rules: what is answered.
    ///   - buffers: as many as the session has workers, each as large as its `max_read`.
    ///   - audit: records opens; nil where there is no log.
    package init(_ rules: SecretFileSystem, buffers: ReadBuffers, audit: OpenAudit? = nil) {
        self.rules = rules
        self.buffers = buffers
        gate = OpenGate(rules, buffers: buffers, audit: audit)
    }

    /// Answers a lookup.
    package func lookup(
        _ name: Span<UInt8>,
        in directory: InodeNumber,
        _ context: RequestContext,
        reply: consuming Reply<Entry>
    ) {
        gate.lookup(name, in: directory, context, reply)
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
        gate.open(inode, flags, context, reply)
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

    /// Opens again what a server before this one had opened.
    package func reopen(_ handle: LastingHandle, worker: WorkerNumber) -> Reopened? {
        switch rules.reopen(handle, scratch: &buffers.buffer(of: worker).scratch) {
        case .secret(let secret): .file(OpenSecretFile(secret, buffers: buffers, counts: rules.counts))
        case .placeholder(let name): .file(PlaceholderFile(name, buffers: buffers))
        case .directory(let listing): .directory(OpenSecretDirectory(listing))
        case nil: nil
        }
    }
}

extension Session {
    /// Makes the kernel forget what changed, and returns when it has; not from a worker.
    ///
    /// - Throws: the first error of the kernel, after everything was tried.
    package func invalidate(_ invalidations: SecretFileSystem.Invalidations) throws(Errno) {
        var failure: Errno?
        // One call for all of them, where the kernel has it.
        let areForgotten = invalidations.names.count > 1 && forgetEveryName()
        for inode in invalidations.inodes {
            do throws(Errno) { try invalidate(inode) } catch { failure = failure ?? error }
        }
        for name in areForgotten ? [] : invalidations.names {
            do throws(Errno) { try invalidate(name.text, in: .root) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }
}

/// A secret that the kernel holds open.
final class OpenSecretFile: OpenFile {
    private let secret: OpenSecret
    private let buffers: ReadBuffers
    private let counts: OpenCounts

    init(_ secret: OpenSecret, buffers: ReadBuffers, counts: OpenCounts) {
        self.secret = secret
        self.buffers = buffers
        self.counts = counts
        counts.open()
    }

    deinit {
        counts.close()
    }

    func makeLastingHandle() -> LastingHandle? { secret.makeLastingHandle() }

    func read(_ range: Range<Int>, worker: WorkerNumber, reply: consuming Reply<Bytes>) {
        do throws(FileSystemError) {
            guard try secret.read(range, into: buffers, worker: worker) > 0 else { return reply.endOfFile() }
            let buffer = buffers.buffer(of: worker)
            reply.bytes(of: buffer.memory)
            buffer.wipe()
        } catch { reply.fail(errno(for: error)) }
    }
}

/// Text in the place of a secret, for a caller whom its policy refuses.
final class PlaceholderFile: OpenFile {
    private let text: [UInt8]
    private let buffers: ReadBuffers
    private let makeHandle: @Sendable () -> LastingHandle?

    init(_ name: SecretName, buffers: ReadBuffers, makeHandle: @escaping @Sendable () -> LastingHandle? = { nil }) {
        text = Array("credfs-placeholder:\(name.text)".utf8)
        self.buffers = buffers
        self.makeHandle = makeHandle
    }

    func makeLastingHandle() -> LastingHandle? { makeHandle() }

    func read(_ range: Range<Int>, worker: WorkerNumber, reply: consuming Reply<Bytes>) {
        let buffer = buffers.buffer(of: worker)
        let part = range.clamped(to: 0..<min(text.count, buffer.memory.capacity))
        guard !part.isEmpty else { return reply.endOfFile() }
        buffer.memory.setCount(part.count)
        buffer.memory.withMutableBytes { bytes in
            for (index, position) in part.enumerated() { bytes[index] = text[position] }
        }
        reply.bytes(of: buffer.memory)
        buffer.wipe()
    }
}

/// The directory that the kernel holds open.
private final class OpenSecretDirectory: OpenDirectory {
    private let listing: OpenListing

    init(_ listing: OpenListing) {
        self.listing = listing
    }

    func makeLastingHandle() -> LastingHandle? { listing.makeLastingHandle() }

    func readdir(from offset: DirectoryOffset, into page: consuming DirectoryPage) {
        var offset = offset
        while let entry = listing.entry(at: offset), page.add(entry.name, entry.attributes, next: entry.next) {
            offset = entry.next
        }
        page.send()
    }
}
