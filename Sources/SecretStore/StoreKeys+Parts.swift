// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

extension StoreKeys {
    /// Opens a value part by part, so that little memory has to be locked.
    ///
    /// The whole value is authenticated before the first part is lent.
    ///
    /// - Parameters:
    ///   - value: the sealed value.
    ///   - name: the name it belongs to.
    ///   - body: takes one part after the other.
    /// - Throws: class `authentication`, or the error of the function.
    package func readParts(
        of value: SealedValue,
        as name: SecretName,
        _ body: (Span<UInt8>) throws -> Void
    ) throws {
        var scratch = try SecureBuffer.scratch()
        var cipher = try valueCipher()
        try cipher.authenticate(value, as: name, scratch: &scratch)
        var offset = 0
        while offset < value.ciphertext.count {
            scratch.setCount(min(scratch.capacity, value.ciphertext.count - offset))
            try scratch.withMutableBytes { (part) throws(StoreError) in
                try decrypt(value, at: offset, into: &part)
            }
            try scratch.withBytes { (part) throws in try body(part) }
            offset += scratch.count
        }
    }
}
