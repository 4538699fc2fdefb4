// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import SecretStore

/// File that sops has encrypted.
///
/// Only in the helper process, or with values that are none. A value in the form of an encrypted one is encrypted, whatever the rules in the file say, which nobody vouches for: the MAC
/// covers every value, or every encrypted one, so no rule can pass another value off as the right one (decision 0099).
package struct SopsFile {
    /// What sops says of the file.
    package let metadata: SopsMetadata
    private let form: SopsForm

    /// Looks at a file.
    ///
    /// - Throws: class `invalid`, and `authentication` for a file that no age identity opens.
    package init(_ text: Span<UInt8>) throws(StoreError) {
        form = try SopsForm(of: text)
        metadata = try SopsMetadata(text, form)
    }

    /// Decrypts every value and compares the MAC.
    ///
    /// - Parameters:
    ///   - text: the same text.
    ///   - key: the data key.
    ///   - name: the secret that the content of a binary file is.
    ///   - mustBeBinary: whether any other file is refused.
    ///   - values: where values and names go; those of a file that is refused, too.
    /// - Throws: class `authentication` without a detail but the name, `invalid` for a key that is no name.
    package func decrypt(
        _ text: Span<UInt8>,
        _ key: borrowing Key256,
        as name: SecretReference?,
        mustBeBinary: Bool,
        into values: ImportedValues
    ) throws(StoreError) {
        let isBinary = metadata.isBinary && (name != nil || form != .json)
        guard isBinary || !mustBeBinary else {
            throw StoreError(.usage, "a name is for a binary file, and this one has names", hint: "leave NAME= out")
        }
        var decryption = try SopsDecryption(key, metadata, values, onlyName: isBinary ? name : nil)
        try form.walk(text) { (path, kind, bytes, line) throws(StoreError) in
            guard path.metadata == nil else { return }
            try decryption.take(path, kind, bytes, line)
        }
        try decryption.finish()
    }
}

/// Decryption of the values of one file, in their order.
private struct SopsDecryption: ~Copyable {
    /// Hashed before all else where only encrypted values are.
    private static let onlyEncryptedMark: [UInt8] = [
        0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
        0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
    ]

    private var cipher: AES256GCM
    private var digest: SHA512Digest
    private let metadata: SopsMetadata
    private let values: ImportedValues
    private let onlyName: SecretReference?

    init(
        _ key: borrowing Key256,
        _ metadata: SopsMetadata,
        _ values: ImportedValues,
        onlyName: SecretReference?
    ) throws(StoreError) {
        let cipher = try StoreError.wrapping { () throws(SealingError) in
            try AES256GCM(key: key, nonceByteCount: SopsValue.nonceByteCount)
        }
        var digest = try StoreError.wrapping { () throws(SealingError) in try SHA512Digest() }
        if metadata.macOnlyEncrypted {
            try StoreError.wrapping { () throws(SealingError) in try digest.update(Self.onlyEncryptedMark.span) }
        }
        self.cipher = cipher
        self.digest = digest
        self.metadata = metadata
        self.values = values
        self.onlyName = onlyName
    }

    mutating func take(
        _ path: SopsPath,
        _ kind: SopsKind,
        _ bytes: Span<UInt8>,
        _ line: Int
    ) throws(StoreError) {
        switch kind {
        case .null: break
        case .text where SopsValue.hasForm(bytes): try open(path, bytes, line)
        // Nobody vouches for these where only encrypted values are hashed.
        case _ where metadata.macOnlyEncrypted: break
        case .boolean(let flag):
            try hash((flag ? "True" : "False").utf8.span)
            try add(path, (flag ? "true" : "false").utf8.span, line, isEncrypted: false)
        case .text, .number:
            try hash(bytes)
            try add(path, bytes, line, isEncrypted: false)
        }
    }

    private mutating func open(_ path: SopsPath, _ text: Span<UInt8>, _ line: Int) throws(StoreError) {
        guard let value = SopsValue(text) else {
            throw StoreError(.invalid, "an encrypted value at line \(line) is not what sops writes")
        }
        let plaintext = WipedBytes(capacity: value.ciphertext.count)
        do throws(SealingError) {
            try value.open(&cipher, boundTo: path.associatedData, to: plaintext)
        } catch {
            guard error == .authenticationFailure else { throw .sealing(error) }
            throw StoreError(.authentication, "the value at line \(line) is not the one that was encrypted there")
        }
        guard value.kind == .boolean else {
            try plaintext.withBytes { (bytes) throws(StoreError) in try hash(bytes) }
            return try plaintext.withBytes { (bytes) throws(StoreError) in
                try add(path, bytes, line, isEncrypted: true)
            }
        }
        let word = plaintext.withBytes { bytes in Self.flag(bytes) }
        guard let flag = word else {
            throw StoreError(.invalid, "the value at line \(line) is neither true nor false")
        }
        try hash((flag ? "True" : "False").utf8.span)
        try add(path, (flag ? "true" : "false").utf8.span, line, isEncrypted: true)
    }

    /// Reads the words for true and false that sops takes.
    private static func flag(_ bytes: Span<UInt8>) -> Bool? {
        func isOne(of words: [String]) -> Bool {
            words.contains { bytes.count == $0.utf8.count && bytes.starts(with: $0) }
        }
        if isOne(of: ["True", "true", "TRUE", "T", "t", "1"]) { return true }
        return isOne(of: ["False", "false", "FALSE", "F", "f", "0"]) ? false : nil
    }

    private mutating func hash(_ bytes: Span<UInt8>) throws(StoreError) {
        do throws(SealingError) { try digest.update(bytes) } catch { throw .sealing(error) }
    }

    private func add(
        _ path: SopsPath,
        _ bytes: Span<UInt8>,
        _ line: Int,
        isEncrypted: Bool
    ) throws(StoreError) {
        let name = onlyName?.argument ?? path.name
        guard SecretReference(name) != nil, onlyName != nil || !name.contains("/") else {
            // What was not worth encrypting is no secret that somebody would miss.
            guard isEncrypted else { return }
            throw StoreError(.invalid, "the key at line \(line) is no name for a secret", hint: SecretReference.rule)
        }
        values.begin()
        values.bytes.append(bytes)
        try values.end(ImportedName(name), line: line)
    }

    consuming func finish() throws(StoreError) {
        let damaged = StoreError(
            .authentication,
            "its MAC does not fit: the file was changed by something else than sops",
            hint: "look at what changed: git diff; sops says the same: sops decrypt FILE"
        )
        guard let mac = SopsValue(metadata.mac.utf8.span) else { throw damaged }
        let stored = WipedBytes(capacity: mac.ciphertext.count)
        do throws(SealingError) {
            try mac.open(&cipher, boundTo: metadata.lastModified, to: stored)
        } catch {
            guard error == .authenticationFailure else { throw .sealing(error) }
            throw damaged
        }
        let hash: [UInt8]
        do throws(SealingError) { hash = try digest.finalize() } catch { throw .sealing(error) }
        // NOT SECRET: a digest, which its own encryption makes a MAC.
        let computed = Base16.text(hash).uppercased()
        let isSame = stored.withBytes { stored in ConstantTime.equal(stored, computed.utf8.span) }
        guard isSame else { throw damaged }
    }
}
