// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import Sealing
internal import SecureFiles
internal import SecureMemory

/// Rotation of the key of the store: the log goes on, its first key is sealed anew in two steps around the commit.
extension AuditLog {
    /// Seals the first key for the new key, too, before the new manifest is written: both open the log.
    ///
    /// - Parameters:
    ///   - old: the key of the store until now.
    ///   - new: the key of the store from now on.
    ///   - store: the identity of the store.
    /// - Returns: false if there is no log.
    /// - Throws: `AuditError.damaged` where the old key does not open it.
    @discardableResult
    package func reseal(
        from old: borrowing Key256,
        to new: borrowing Key256,
        store: String
    ) throws(AuditError) -> Bool {
        try rewriteRoot(openedWith: old, sealedWith: new, store: store, keepingOld: true)
    }

    /// Drops the old key after the new manifest was written.
    ///
    /// - Parameters:
    ///   - new: the key of the store.
    ///   - store: the identity of the store.
    /// - Returns: false if there is no log.
    /// - Throws: `AuditError.damaged` where that key does not open it.
    @discardableResult
    package func finishResealing(with new: borrowing Key256, store: String) throws(AuditError) -> Bool {
        try rewriteRoot(openedWith: new, sealedWith: new, store: store, keepingOld: false)
    }

    private func rewriteRoot(
        openedWith old: borrowing Key256,
        sealedWith new: borrowing Key256,
        store: String,
        keepingOld: Bool
    ) throws(AuditError) -> Bool {
        guard try directory.exists(AuditDirectory.rootName) else { return false }
        let keys = try AuditError.sealing { () throws(SealingError) in KeyPair(try old.copy(), try new.copy()) }
        return try directory.whileLocked(withinMilliseconds: Self.patienceMilliseconds) { () throws(AuditError) in
            let limit = AuditRoot.recordByteCount * (AuditRoot.maximumRecordCount + 1)
            guard let content = try directory.open(AuditDirectory.rootName, O_RDONLY)?.read(from: 0, count: limit)
            else {
                return false
            }
            let records = try sealed(content, keys, store, keepingOld: keepingOld)
            try directory.replace(AuditDirectory.rootName, with: records.span)
            return true
        }
    }

    private func sealed(
        _ content: [UInt8],
        _ keys: KeyPair,
        _ store: String,
        keepingOld: Bool
    ) throws(AuditError) -> [UInt8] {
        do throws(SealingError) {
            let root = try AuditRoot.open(content, with: keys.old, store: store)
            let records = keepingOld ? try AuditRoot.seal(root, with: keys.old, store: store) : []
            return try records + AuditRoot.seal(root, with: keys.new, store: store)
        } catch {
            guard error == .authenticationFailure else { throw .sealing(error) }
            throw .damaged("\(directory.path(AuditDirectory.rootName)) does not open with the key of the store")
        }
    }
}

/// Two keys that closures can be lent.
private final class KeyPair {
    let old: Key256
    let new: Key256

    init(_ old: consuming Key256, _ new: consuming Key256) {
        self.old = old
        self.new = new
    }
}
