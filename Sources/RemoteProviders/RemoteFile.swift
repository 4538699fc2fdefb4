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
    /// - Returns: nil if there is none, or it is no regular file (`/dev/null`).
    /// - Throws: `denied` for one that others could have written, or that cannot be read.
    static func read(_ path: String, limit: Int, isStrict: Bool) throws(ProviderError) -> SecureBuffer? {
        do throws(Errno) {
            let file = try OwnedDescriptor.open(path, O_RDONLY | O_NONBLOCK)
            let status = try file.status()
            guard status.kind == .regular else { return nil }
            let isOurs = [0, ProcessAttributes.effectiveUser].contains(status.owner)
            guard !isStrict || (isOurs && status.permissions & 0o022 == 0) else { throw Errno.notPermitted }
            let text = try SecureBuffer.collecting(limit: limit, orThrow: { $0.errno }) {
                (bytes, start) throws(Errno) in try file.read(into: &bytes, from: start)
            }
            guard text.count <= limit else { throw Errno.fileTooLarge }
            return text
        } catch {
            if error == .noSuchFileOrDirectory || error == .notDirectory { return nil }
            let hint = error == .notPermitted ? "its owner is you or root, and nobody else may write it" : ""
            throw ProviderError(.denied, "cannot read \(path): \(error.message)", hint: hint)
        }
    }
}
