// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SystemCalls
internal import SystemPackage

/// The bytes of a document with plaintext, in memory that is wiped at its end.
///
/// Only in the helper process.
///
/// Not a `SecureBuffer`: a document may have 64 MiB, far more than an ordinary user may lock.
@safe
final class PlaintextText {
    private let bytes: UnsafeMutableBufferPointer<UInt8>

    /// Reads a descriptor from its start.
    init(descriptor: consuming OwnedDescriptor) throws(StoreError) {
        let path = "the document"
        let status = try StoreError.wrapping("examine", path) { () throws(Errno) in try descriptor.status() }
        guard status.size <= Manifest.maximumByteCount else {
            throw StoreError(.invalid, "\(path) is larger than \(Manifest.maximumByteCount >> 20) MiB")
        }
        let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: status.size)
        unsafe buffer.initialize(repeating: 0)
        unsafe bytes = buffer
        try fill(from: descriptor, path)
    }

    deinit {
        if let base = unsafe bytes.baseAddress { unsafe Memory.wipe(base, byteCount: bytes.count) }
        unsafe bytes.deallocate()
    }

    func read(
        as document: ManifestReader.Document,
        sealer: ManifestReader.Sealer?
    ) throws(StoreError) -> ManifestReader.Reading {
        try ManifestReader.read(unsafe bytes.span, as: document, sealer: sealer)
    }

    private func fill(from descriptor: borrowing OwnedDescriptor, _ path: String) throws(StoreError) {
        var filled = 0
        while unsafe filled < bytes.count {
            var span = unsafe bytes.mutableSpan
            let count = try StoreError.wrapping("read", path) { () throws(Errno) in
                try descriptor.read(into: &span, from: filled)
            }
            guard count > 0 else { throw StoreError(.failed, "\(path) changes while it is read") }
            filled += count
        }
    }
}
