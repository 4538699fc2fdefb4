// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import PlaintextDocuments
internal import Sealing
internal import SecretStore
internal import SecureMemory

/// Form of files that hold one value each.
protocol FileForm {
    /// The name of the secret in a file of a directory; nil for a file that is none of this form.
    func name(ofFile name: String) -> String?

    /// The largest content in bytes of a file with a value of so many.
    func contentLimit(_ limit: Int) -> Int

    /// Gets at the value.
    ///
    /// - Parameters:
    ///   - content: what is in the file.
    ///   - name: the name of the file.
    ///   - path: its path, for messages.
    /// - Returns: the value.
    /// - Throws: what keeps it closed, without content.
    func open(_ content: consuming SecureBuffer, in name: String, at path: String) throws(StoreError) -> SecureBuffer
}

/// The value as it is.
struct PlainForm: FileForm {
    func name(ofFile name: String) -> String? { name }

    func contentLimit(_ limit: Int) -> Int { limit }

    func open(_ content: consuming SecureBuffer, in name: String, at path: String) throws(StoreError) -> SecureBuffer {
        content
    }
}

/// A file that age has encrypted, in armor or not.
struct AgeForm: FileForm {
    private static let suffix = ".age"

    let identities: AgeIdentityFile

    func name(ofFile name: String) -> String? {
        name.hasSuffix(Self.suffix) ? String(name.dropLast(Self.suffix.utf8.count)) : nil
    }

    /// Tags of the chunks, armor and stanzas of many recipients.
    func contentLimit(_ limit: Int) -> Int { (limit + limit / 1024) * 3 / 2 + 256 << 10 }

    func open(_ content: consuming SecureBuffer, in name: String, at path: String) throws(StoreError) -> SecureBuffer {
        let content = content
        return try content.withBytes { (content) throws(StoreError) in
            guard AgeArmor.isArmored(content) else { return try decrypt(content, path) }
            let file: [UInt8]
            do throws(AgeError) { file = try AgeArmor.decode(content) } catch { throw Self.error(error, path) }
            return try decrypt(file.span, path)
        }
    }

    private func decrypt(_ file: Span<UInt8>, _ path: String) throws(StoreError) -> SecureBuffer {
        try SecureBuffer.filled(
            capacity: file.count,
            orThrow: { StoreError.memory($0) },
            { (value) throws(StoreError) in
                var count = 0
                // What was written before an error is wiped with the buffer.
                try copyChunks(of: file, path) { chunk in
                    for index in chunk.indices { value[count + index] = chunk[index] }
                    count += chunk.count
                }
                return count
            }
        )
    }

    private func copyChunks(
        of file: Span<UInt8>,
        _ path: String,
        _ copy: (Span<UInt8>) -> Void
    ) throws(StoreError) {
        try AgeFile.decrypt(file, for: identities.identities, orThrow: { Self.error($0, path) }) {
            (chunk) throws(StoreError) in copy(chunk)
        }
    }

    private static func error(_ error: AgeError, _ path: String) -> StoreError {
        switch error {
        case .sealing(let error) where error != .authenticationFailure: .sealing(error)
        case .malformedArmor, .malformedHeader, .excessiveWork:
            StoreError(.invalid, "\(path) is no age file that can be read")
        case .noMatch:
            StoreError(
                .authentication,
                "no age identity at hand opens \(path)",
                hint: "name another with SOPS_AGE_KEY_FILE or CREDFS_AGE_KEY_FILE; passwords are not asked for"
            )
        case .unsupported(let kind):
            StoreError(
                .authentication,
                "no age identity at hand opens \(path)",
                hint: "its recipients of the kind \(kind.rawValue) are not supported: add an X25519 one"
            )
        default: StoreError(.authentication, "\(path) was changed since it was encrypted, or cut off")
        }
    }
}

/// A token of Fernet.
struct FernetForm: FileForm {
    let key: FernetKey

    func name(ofFile name: String) -> String? { name }

    func contentLimit(_ limit: Int) -> Int { limit * 3 / 2 + 4096 }

    func open(_ content: consuming SecureBuffer, in name: String, at path: String) throws(StoreError) -> SecureBuffer {
        let content = content
        return try content.withBytes { (token) throws(StoreError) in
            do throws(SealingError) { return try key.open(token) } catch {
                guard error == .authenticationFailure else { throw .sealing(error) }
                throw StoreError(.authentication, "\(path) is no token of this Fernet key")
            }
        }
    }
}

/// An encrypted credential of systemd.
struct CredentialForm: FileForm {
    private static let suffix = ".cred"

    let key: HostKey
    /// The name that a person gave to the one file.
    let name: SecretName?
    /// The time in microseconds since 1970.
    let now: UInt64

    func name(ofFile name: String) -> String? {
        name.hasSuffix(Self.suffix) ? String(name.dropLast(Self.suffix.utf8.count)) : name
    }

    func contentLimit(_ limit: Int) -> Int { limit * 3 / 2 + 128 << 10 }

    func open(_ content: consuming SecureBuffer, in file: String, at path: String) throws(StoreError) -> SecureBuffer {
        let content = content
        return try content.withBytes { (text) throws(StoreError) in
            do throws(SystemdCredentialError) {
                let credential = try SystemdCredential(text)
                let names = [name?.text, self.name(ofFile: file), file].compactMap(\.self)
                return try credential.open(key.key, named: names, now: now)
            } catch { throw Self.error(error, path) }
        }
    }

    private static func error(_ error: SystemdCredentialError, _ path: String) -> StoreError {
        switch error {
        case .malformed: StoreError(.invalid, "\(path) is no encrypted credential of systemd")
        case .unsupported(let kind):
            StoreError(
                .authentication,
                "\(path) is encrypted with \(kind), which is not supported",
                hint: "encrypt it for the key of the host: systemd-creds encrypt --with-key=host"
            )
        case .unprotected:
            StoreError(
                .authentication,
                "\(path) is encrypted with no key: anybody could have made it",
                hint: "encrypt it for the key of the host: systemd-creds encrypt --with-key=host"
            )
        case .authentication:
            StoreError(
                .authentication,
                "\(path) does not open with the key of this host",
                hint: "it was changed, or made on another host"
            )
        case .otherName:
            StoreError(
                .authentication,
                "\(path) is a credential of another name",
                hint: "what is encrypted says which: name the file as it was encrypted"
            )
        case .expired: StoreError(.expired, "\(path) has expired")
        case .sealing(let error): .sealing(error)
        }
    }
}
