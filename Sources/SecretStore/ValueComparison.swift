// SPDX-License-Identifier: Apache-2.0

internal import Sealing
internal import SecureMemory

/// Comparison of sealed values by their plaintext, part by part and without keeping any of it.
package final class ValueComparison {
    private let keys: StoreKeys
    private var cipher: ValueCipher
    private var left: SecureBuffer
    private var right: SecureBuffer

    /// Makes a comparison for the values of a store; let it end with the task at hand.
    package init(_ keys: StoreKeys) throws(StoreError) {
        self.keys = keys
        cipher = try keys.valueCipher()
        left = try SecureBuffer.scratch()
        right = try SecureBuffer.scratch()
    }

    /// Compares two values that were sealed under the same name.
    ///
    /// - Throws: class `authentication` if one of them does not open.
    package func areSame(
        _ one: SealedValue,
        _ other: SealedValue,
        as name: SecretName
    ) throws(StoreError) -> Bool {
        let count = one.ciphertext.count
        guard count == other.ciphertext.count else { return false }
        try cipher.authenticate(one, as: name, scratch: &left)
        try cipher.authenticate(other, as: name, scratch: &right)
        defer {
            left.wipe()
            right.wipe()
        }
        var isSame = true
        var offset = 0
        while offset < count {
            let size = min(left.capacity, count - offset)
            try Self.decrypt(one, at: offset, count: size, keys, into: &left)
            try Self.decrypt(other, at: offset, count: size, keys, into: &right)
            if !Self.equal(left, right) { isSame = false }
            offset += size
        }
        return isSame
    }

    private static func decrypt(
        _ value: SealedValue,
        at offset: Int,
        count: Int,
        _ keys: StoreKeys,
        into buffer: inout SecureBuffer
    ) throws(StoreError) {
        buffer.setCount(count)
        try buffer.withMutableBytes { (part) throws(StoreError) in
            try keys.decrypt(value, at: offset, into: &part)
        }
    }

    private static func equal(_ left: borrowing SecureBuffer, _ right: borrowing SecureBuffer) -> Bool {
        left.withBytes { left in right.withBytes { right in ConstantTime.equal(left, right) } }
    }
}
