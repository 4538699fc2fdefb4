// SPDX-License-Identifier: Apache-2.0

internal import PlaintextDocuments
internal import SecretSources
internal import SecretStore
internal import SecureFiles
internal import SecureMemory

extension CommandContext: SourceKeys {
    /// Variables with identities themselves.
    private static let identityVariables = ["SOPS_AGE_KEY", "CREDFS_AGE_KEY"]

    /// Every identity at hand: of variables, of files that an option or variables name, or else in the usual place of sops.
    ///
    /// A variable that has opened the store is gone.
    func ageIdentities() throws(StoreError) -> AgeIdentityFile {
        var files: [AgeIdentityFile] = []
        for variable in Self.identityVariables where hasSecret(variable) {
            let text = try KeyOptions.forGuard { try IdentityText(takeSecret(variable)) }
            files.append(try text.read("the variable \(variable)"))
        }
        var paths = [identityFile, path("CREDFS_AGE_KEY_FILE"), path("SOPS_AGE_KEY_FILE")].compactMap(\.self)
        if paths.isEmpty, files.isEmpty, let usual = try AgeSlot.identityFile(self) { paths = [usual] }
        for path in paths { files.append(try AgeIdentityFile(at: located(path), checker)) }
        guard !files.isEmpty else {
            throw StoreError(
                .authentication,
                "there is no age identity",
                hint:
                    "name a file with SOPS_AGE_KEY_FILE or CREDFS_AGE_KEY_FILE, or have it in ~/.config/sops/age/keys.txt"
            )
        }
        return AgeIdentityFile(merging: files)
    }

    var hostKeyPath: String { path("SYSTEMD_CREDENTIAL_SECRET") ?? HostKey.usualPath }

    func fernetKey() throws(StoreError) -> FernetKey {
        guard let path = path("CREDFS_FERNET_KEY_FILE") else {
            throw StoreError(.authentication, "there is no Fernet key", hint: "name a file with CREDFS_FERNET_KEY_FILE")
        }
        return try FernetKey(Store.readSecretFile(located(path), checker), from: path)
    }
}

/// Identities in a variable, which are not copied.
private final class IdentityText {
    private let text: SecureBuffer

    init(_ text: consuming SecureBuffer) {
        self.text = text
    }

    func read(_ origin: String) throws(StoreError) -> AgeIdentityFile {
        try text.withBytes { (text) throws(StoreError) in try AgeIdentityFile(text, from: origin) }
    }
}
