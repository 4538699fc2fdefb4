// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecretStore
package import SecureMemory

/// A sealed value in the arena of a snapshot: ciphertext, nonce, tag.
package struct SealedContent: Sendable {
    /// Bytes that a sealed value has beside its plaintext.
    static let overhead = AES256GCM.nonceByteCount + AES256GCM.tagByteCount

    /// The arena.
    package let arena: [UInt8]
    /// Range of the ciphertext in the arena.
    package let ciphertext: Range<Int>
    /// Range of the nonce.
    package let nonce: Range<Int>
    /// Range of the tag.
    package let tag: Range<Int>

    init(_ arena: [UInt8], _ range: Range<Int>) {
        self.arena = arena
        tag = range.upperBound - AES256GCM.tagByteCount..<range.upperBound
        nonce = tag.lowerBound - AES256GCM.nonceByteCount..<tag.lowerBound
        ciphertext = range.lowerBound..<nonce.lowerBound
    }
}

/// Decryptor of sealed values; it holds the keys.
package protocol ValueDecryptor: Sendable {
    /// Checks a whole value and keeps nothing of it.
    ///
    /// - Parameters:
    ///   - value: the value.
    ///   - name: the name it was sealed for.
    ///   - scratch: memory that the plaintext passes through; zeros afterwards.
    /// - Throws: `damaged`.
    func authenticate(_ value: SealedContent, as name: SecretName, scratch: inout SecureBuffer) throws(FileSystemError)

    /// Decrypts a part of a value that was authenticated.
    ///
    /// - Parameters:
    ///   - value: the value.
    ///   - offset: where the part begins.
    ///   - plaintext: filled with the part.
    /// - Throws: `damaged`.
    func decrypt(
        _ value: SealedContent,
        at offset: Int,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(FileSystemError)

    /// Wipes the keys; nothing is decrypted any more.
    func forgetKeys()
}

/// The keys of a store open its values.
package struct StoreDecryptor: ValueDecryptor {
    private let keys: StoreKeys

    /// Makes a source.
    package init(_ keys: StoreKeys) {
        self.keys = keys
    }

    /// Checks a value, with a cipher of its own that ends with the call.
    package func authenticate(
        _ value: SealedContent,
        as name: SecretName,
        scratch: inout SecureBuffer
    ) throws(FileSystemError) {
        let bytes = value.arena.span
        do throws(StoreError) {
            var cipher = try keys.valueCipher()
            try cipher.authenticate(
                bytes.extracting(value.ciphertext),
                nonce: bytes.extracting(value.nonce),
                tag: bytes.extracting(value.tag),
                as: name,
                scratch: &scratch
            )
        } catch { throw keys.areForgotten ? .locked : .damaged }
    }

    /// Wipes the keys, for everybody who holds them.
    package func forgetKeys() { keys.forget() }

    /// Decrypts a part.
    package func decrypt(
        _ value: SealedContent,
        at offset: Int,
        into plaintext: inout MutableSpan<UInt8>
    ) throws(FileSystemError) {
        let bytes = value.arena.span
        do throws(StoreError) {
            try keys.decrypt(
                bytes.extracting(value.ciphertext),
                nonce: bytes.extracting(value.nonce),
                at: offset,
                into: &plaintext
            )
        } catch { throw keys.areForgotten ? .locked : .damaged }
    }
}
