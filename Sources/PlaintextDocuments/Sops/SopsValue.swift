// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecretStore

/// Encrypted value of sops: `ENC[AES256_GCM,data:...,iv:...,tag:...,type:...]`.
package struct SopsValue: Sendable {
    /// What the plaintext is for sops, which keeps types.
    package enum Kind: String, Sendable, CaseIterable {
        case text = "str"
        case integer = "int"
        case float
        case boolean = "bool"
        case bytes
        case time
    }

    static let nonceByteCount = 32

    let ciphertext: [UInt8]
    let nonce: [UInt8]
    let tag: [UInt8]
    let kind: Kind

    private static let opening = "ENC[AES256_GCM,data:"

    /// Detects the form, whatever is in it.
    static func hasForm(_ text: Span<UInt8>) -> Bool {
        text.starts(with: "ENC[AES256_GCM,") && text[text.count - 1] == UInt8(ascii: "]")
    }

    /// Reads a text.
    ///
    /// - Returns: nil for what sops did not write.
    package init?(_ text: Span<UInt8>) {
        guard Self.hasForm(text), text.starts(with: Self.opening) else { return nil }
        var rest = text.extracting(Self.opening.utf8.count..<text.count - 1)
        var parts: [[UInt8]] = []
        for mark in [",iv:", ",tag:", ",type:"] {
            guard let end = Self.find(mark, in: rest), let bytes = Base64.bytes(rest.extracting(0..<end)) else {
                return nil
            }
            parts.append(bytes)
            rest = rest.extracting(end + mark.utf8.count..<rest.count)
        }
        guard !parts[0].isEmpty, parts[1].count == Self.nonceByteCount, parts[2].count == AES256GCM.tagByteCount,
            let kind = Kind.allCases.first(where: {
                rest.count == $0.rawValue.utf8.count && rest.starts(with: $0.rawValue)
            })
        else { return nil }
        ciphertext = parts[0]
        nonce = parts[1]
        tag = parts[2]
        self.kind = kind
    }

    private static func find(_ mark: String, in text: Span<UInt8>) -> Int? {
        for index in text.indices where text[index] == UInt8(ascii: ",") {
            if text.extracting(index..<text.count).starts(with: mark) { return index }
        }
        return nil
    }

    /// Decrypts the value behind what is there.
    func open(
        _ cipher: inout AES256GCM,
        boundTo associatedData: String,
        to target: WipedBytes
    ) throws(SealingError) {
        try target.append(capacity: ciphertext.count) { (plaintext) throws(SealingError) in
            try cipher.open(
                ciphertext.span,
                nonce: nonce.span,
                tag: tag.span,
                associatedData: associatedData.utf8.span,
                into: &plaintext
            )
            return ciphertext.count
        }
    }
}
