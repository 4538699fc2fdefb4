// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecretStore
internal import SecureMemory

/// Seals values one by one, for a process that takes many.
package final class ValueSealer {
    private var cipher: ValueCipher

    /// Prepares the key.
    package init(_ keys: StoreKeys) throws(StoreError) {
        cipher = try keys.valueCipher()
    }

    /// Seals a value that is in memory which its owner wipes.
    ///
    /// - Parameters:
    ///   - bytes: the value.
    ///   - target: its secret.
    /// - Returns: the text of the sealed value; of no bytes, no text.
    /// - Throws: class `invalid` if it is not the Base64 that it should be.
    package func seal(_ bytes: Span<UInt8>, for target: ImportTarget) throws(StoreError) -> String {
        guard target.isBase64 else { return bytes.isEmpty ? "" : try cipher.seal(bytes, as: target.name).text }
        let text = bytes.extracting(0..<Self.lineCount(bytes))
        guard let count = Base64.decodedCount(text, .standard) else { throw Self.noBase64(target.name) }
        if count == 0 { return "" }
        let content = try SecureBuffer.filled(
            capacity: count,
            orThrow: { StoreError.memory($0) },
            { (content) throws(StoreError) in
                guard Base64.decode(text, .standard, into: &content) else { throw Self.noBase64(target.name) }
                return count
            }
        )
        return try cipher.seal(content, as: target.name).text
    }

    /// The length without the line breaks that tools put at the end.
    private static func lineCount(_ text: Span<UInt8>) -> Int {
        var count = text.count
        while count > 0, text[count - 1] == UInt8(ascii: "\n") || text[count - 1] == UInt8(ascii: "\r") { count -= 1 }
        return count
    }

    private static func noBase64(_ name: SecretName) -> StoreError {
        StoreError(.invalid, "the value for '\(name.text)' is not Base64 on one line")
    }
}
