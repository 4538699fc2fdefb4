// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretProviders
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// File that says who we are to a server, or where it is.
enum RemoteFile {
    /// Reads a file into locked memory.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - limit: the largest number of bytes.
    ///   - isStrict: whether owner and mode are judged.
    ///   - isSecret: whether reading it is enough to be let in: nobody else may read it, and no link leads to it, unless
    ///     it lies in memory, where other programs deliver files.
    /// - Returns: nil if there is none, or it is no regular file (`/dev/null`).
    /// - Throws: `denied` for one that others could have written, or read, or that cannot be read.
    static func read(
        _ path: String,
        limit: Int,
        isStrict: Bool,
        isSecret: Bool = false
    ) throws(ProviderError) -> SecureBuffer? {
        var mode: UInt16?
        do throws(Errno) {
            let file = try open(path, followingLink: !isSecret)
            let status = try file.status()
            guard status.kind == .regular else { return nil }
            let isOurs = [0, ProcessAttributes.effectiveUser].contains(status.owner)
            guard !isStrict || (isOurs && status.permissions & 0o022 == 0) else { throw Errno.notPermitted }
            if isStrict, isSecret, !file.isInMemory {
                guard status.linkCount == 1 else { throw Errno.tooManyLinks }
                guard status.permissions & 0o077 == 0 else {
                    mode = status.permissions
                    throw Errno.notPermitted
                }
            }
            let text = try SecureBuffer.collecting(limit: limit, orThrow: { $0.errno }) {
                (bytes, start) throws(Errno) in try file.read(into: &bytes, from: start)
            }
            guard text.count <= limit else { throw Errno.fileTooLarge }
            return text
        } catch {
            if error == .noSuchFileOrDirectory || error == .notDirectory { return nil }
            if let mode {
                let text = String(mode, radix: 8)
                throw ProviderError(
                    .denied,
                    "\(path) is open to others: its mode is 0\(text), and not 0600",
                    hint: "chmod 600 \(path); what was in it may be known to others"
                )
            }
            let hint = error == .notPermitted ? "its owner is you or root, and nobody else may write it" : ""
            throw ProviderError(.denied, "cannot read \(path): \(error.message)", hint: hint)
        }
    }

    private static func open(_ path: String, followingLink: Bool) throws(Errno) -> OwnedDescriptor {
        let flags = O_RDONLY | O_NONBLOCK
        guard !followingLink else { return try OwnedDescriptor.open(path, flags) }
        do throws(Errno) { return try OwnedDescriptor.open(path, flags | O_NOFOLLOW) } catch {
            guard error == .tooManySymbolicLinkLevels else { throw error }
            // As Kubernetes delivers tokens.
            let file = try OwnedDescriptor.open(path, flags)
            guard file.isInMemory else { throw error }
            return file
        }
    }
}
