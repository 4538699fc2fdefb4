// SPDX-License-Identifier: Apache-2.0

package import PlaintextDocuments
internal import Sealing
package import SecretStore
package import SecureFiles

/// What sources are opened with: the limit of values, the judge of files, and what opens what is encrypted.
///
/// Keys are looked for when a source wants them, kept for the others, and given up when every source was read.
package final class SourceAccess {
    /// The largest value in bytes.
    package let limit: Int
    /// Judge of files.
    package let checker: PermissionChecker
    private let keys: any SourceKeys
    private var foundIdentities: AgeIdentityFile?
    private var foundHostKey: HostKey?
    private var foundFernetKey: FernetKey?

    /// Makes one.
    package init(limit: Int, _ checker: PermissionChecker, _ keys: any SourceKeys) {
        self.limit = limit
        self.checker = checker
        self.keys = keys
    }

    /// Age identities at hand.
    ///
    /// - Throws: class `authentication` where there are none.
    func identities() throws(StoreError) -> AgeIdentityFile {
        if let foundIdentities { return foundIdentities }
        let identities = try keys.ageIdentities()
        foundIdentities = identities
        return identities
    }

    /// The key of this host for credentials of systemd.
    func hostKey() throws(StoreError) -> HostKey {
        if let foundHostKey { return foundHostKey }
        let key = try HostKey(keys.hostKeyPath, checker)
        foundHostKey = key
        return key
    }

    /// The Fernet key that a variable names.
    ///
    /// - Throws: class `authentication` where there is none.
    func fernetKey() throws(StoreError) -> FernetKey {
        if let foundFernetKey { return foundFernetKey }
        let key = try keys.fernetKey()
        foundFernetKey = key
        return key
    }

    /// Gives up the keys.
    func forget() {
        foundIdentities = nil
        foundHostKey = nil
        foundFernetKey = nil
    }
}

/// Places where a command finds keys for what sources hold.
package protocol SourceKeys: AnyObject {
    /// Reads the age identities at hand.
    ///
    /// - Throws: class `authentication` where there are none.
    func ageIdentities() throws(StoreError) -> AgeIdentityFile

    /// The path of the secret of this host.
    var hostKeyPath: String { get }

    /// Reads the Fernet key that a variable names.
    ///
    /// - Throws: class `authentication` where there is none.
    func fernetKey() throws(StoreError) -> FernetKey
}
