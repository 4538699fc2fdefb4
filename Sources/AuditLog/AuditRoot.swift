// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecureMemory

/// First key of a log, sealed under a key of the store: `audit.root` has one record for each key that opens it.
///
/// Between the two steps of a rotation there are two.
package struct AuditRoot {
    /// `CAR1`, nonce, ciphertext, tag.
    package static let recordByteCount = 4 + AES256GCM.nonceByteCount + Key256.byteCount + AES256GCM.tagByteCount
    static let maximumRecordCount = 2
    private static let mark = Array("CAR1".utf8)

    /// Seals a first key.
    static func seal(
        _ root: borrowing Key256,
        with key: borrowing Key256,
        store: String
    ) throws(SealingError) -> [UInt8] {
        let nonce = try RandomBytes.array(count: AES256GCM.nonceByteCount)
        var ciphertext = [UInt8](repeating: 0, count: Key256.byteCount)
        var tag = [UInt8](repeating: 0, count: AES256GCM.tagByteCount)
        var cipher = try AES256GCM(key: key)
        var ciphertextSpan = ciphertext.mutableSpan
        var tagSpan = tag.mutableSpan
        try root.withBytes { (root) throws(SealingError) in
            try cipher.seal(
                root,
                nonce: nonce.span,
                associatedData: binding(store).span,
                into: &ciphertextSpan,
                tag: &tagSpan
            )
        }
        return mark + nonce + ciphertext + tag
    }

    /// Opens the record that a key opens.
    ///
    /// - Throws: `SealingError.authenticationFailure` if there is none.
    static func open(_ content: [UInt8], with key: borrowing Key256, store: String) throws(SealingError) -> Key256 {
        guard !content.isEmpty, content.count % recordByteCount == 0,
            content.count / recordByteCount <= maximumRecordCount
        else { throw .authenticationFailure }
        var cipher = try AES256GCM(key: key)
        for start in stride(from: 0, to: content.count, by: recordByteCount)
        where content[start..<start + mark.count].elementsEqual(mark) {
            do throws(SealingError) {
                return try open(record: content, at: start + mark.count, &cipher, store)
            } catch { guard error == .authenticationFailure else { throw error } }
        }
        throw .authenticationFailure
    }

    /// The keys from the first entry on.
    ///
    /// - Returns: nil where the key does not open them.
    static func ratchet(
        _ content: [UInt8],
        _ key: borrowing Key256,
        _ store: String
    ) throws(AuditError) -> KeyRatchet? {
        do throws(SealingError) {
            return try KeyRatchet(root: open(content, with: key, store: store))
        } catch {
            if error == .authenticationFailure { return nil }
            throw .sealing(error)
        }
    }

    private static func open(
        record content: [UInt8],
        at start: Int,
        _ cipher: inout AES256GCM,
        _ store: String
    ) throws(SealingError) -> Key256 {
        let ciphertextStart = start + AES256GCM.nonceByteCount
        let tagStart = ciphertextStart + Key256.byteCount
        let binding = binding(store)
        return try Key256.filled { (root) throws(SealingError) in
            try cipher.open(
                content.span.extracting(ciphertextStart..<tagStart),
                nonce: content.span.extracting(start..<ciphertextStart),
                tag: content.span.extracting(tagStart..<tagStart + AES256GCM.tagByteCount),
                associatedData: binding.span,
                into: &root
            )
        }
    }

    private static func binding(_ store: String) -> [UInt8] { Array("credfs/1/audit/root/\(store)".utf8) }
}
