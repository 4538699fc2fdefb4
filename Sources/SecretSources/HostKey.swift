// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Key of this host for encrypted credentials of systemd.
///
/// It is read, and never made, mended or removed.
package final class HostKey {
    /// Where systemd keeps it.
    package static let usualPath = "/var/lib/systemd/credential.secret"
    /// The identifier that binds it to a machine, and the secret.
    private static let byteCount = 16 + 4096

    let key: Key256

    /// Reads the secret of the host.
    ///
    /// - Parameters:
    ///   - path: where it is.
    ///   - checker: judge of the file.
    /// - Throws: class `authentication` for one of another machine, `permissions`.
    init(_ path: String, _ checker: PermissionChecker) throws(StoreError) {
        let (directory, name) = PathParts.split(path)
        guard let folder = try StoreDirectory.open(directory, followingLink: true),
            let secret = try folder.secret(name, limit: Self.byteCount, checker)
        else {
            throw StoreError(
                .authentication,
                "this host has no key for credentials: there is no \(path)",
                hint: "systemd-creds setup makes one; one of TPM alone is not supported"
            )
        }
        let machine = try Self.machine()
        key = try secret.withBytes { (secret) throws(StoreError) in
            guard secret.count == Self.byteCount else {
                throw StoreError(.authentication, "\(path) holds no key of a host")
            }
            let code = try StoreError.wrapping { () throws(SealingError) in
                try SystemdCredential.hostIdentifier(machine: machine)
            }
            guard ConstantTime.equal(code.span, secret.extracting(0..<16)) else {
                throw StoreError(.authentication, "\(path) is the key of another machine")
            }
            return try StoreError.wrapping { () throws(SealingError) in
                try SystemdCredential.key(hostSecret: secret.extracting(16..<Self.byteCount))
            }
        }
    }

    /// The machine id, which is no secret.
    private static func machine() throws(StoreError) -> [UInt8] {
        let path = "/etc/machine-id"
        let text = try StoreError.wrapping("read", path) { () throws(Errno) in
            try OwnedDescriptor.open(path, O_RDONLY).readFully(upTo: 64)
        }
        guard text.count >= 32, let digits = String(validating: text.prefix(32), as: UTF8.self),
            let machine = Base16.bytes(digits)
        else { throw StoreError(.authentication, "\(path) names no machine") }
        return machine
    }
}
