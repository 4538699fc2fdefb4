// SPDX-License-Identifier: Apache-2.0

import Sealing
import SecureMemory

/// AES-256-GCM with arrays, as vectors have them.
struct Sealed: Equatable {
    var ciphertext: [UInt8]
    var nonce: [UInt8]
    var tag: [UInt8]
    var associatedData: [UInt8]

    init(ciphertext: [UInt8], nonce: [UInt8], tag: [UInt8], associatedData: [UInt8]) {
        self.ciphertext = ciphertext
        self.nonce = nonce
        self.tag = tag
        self.associatedData = associatedData
    }

    /// Seals.
    init(_ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], associatedData: [UInt8]) throws {
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: AES256GCM.tagByteCount)
        var cipher = try AES256GCM(key: Key256(copying: key.span))
        var ciphertextSpan = ciphertext.mutableSpan
        var tagSpan = tag.mutableSpan
        try cipher.seal(
            plaintext.span,
            nonce: nonce.span,
            associatedData: associatedData.span,
            into: &ciphertextSpan,
            tag: &tagSpan
        )
        self.init(ciphertext: ciphertext, nonce: nonce, tag: tag, associatedData: associatedData)
    }

    /// What `open` leaves in the output, which held other bytes before, and the error it threw.
    func open(key: [UInt8]) -> (output: [UInt8], error: SealingError?) {
        var output = [UInt8](repeating: 0xaa, count: ciphertext.count)
        do throws(SealingError) {
            var cipher = try AES256GCM(key: Key256(copying: key.span), nonceByteCount: nonce.count)
            var span = output.mutableSpan
            try cipher.open(
                ciphertext.span,
                nonce: nonce.span,
                tag: tag.span,
                associatedData: associatedData.span,
                into: &span
            )
            return (output, nil)
        } catch {
            return (output, error)
        }
    }

    /// The error of `authenticate` and whether it left anything in its scratch memory.
    func authenticate(key: [UInt8], scratchByteCount: Int = 16) throws -> (error: SealingError?, left: [UInt8]) {
        var scratch = try SecureBuffer(count: scratchByteCount)
        var failure: SealingError?
        do throws(SealingError) {
            var cipher = try AES256GCM(key: Key256(copying: key.span))
            try cipher.authenticate(
                ciphertext.span,
                nonce: nonce.span,
                tag: tag.span,
                associatedData: associatedData.span,
                scratch: &scratch
            )
        } catch {
            failure = error
        }
        scratch.setCount(scratch.capacity)
        return (failure, scratch.withBytes { bytes in bytes.indices.map { bytes[$0] } })
    }
}

extension Key256 {
    var array: [UInt8] { withBytes { bytes in bytes.indices.map { bytes[$0] } } }
}

/// Bytes that differ from place to place.
func pattern(_ count: Int, _ seed: Int = 1) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 197) ^ ($0 >> 8) &+ seed &* 31) }
}
