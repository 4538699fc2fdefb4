// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Text that lets whoever shows it in, kept in secret memory between requests.
///
/// For a request there is a copy, which the allocator overwrites when it is freed.
final class HeldText: Sendable {
    private let bytes: SecureBuffer

    /// Moves a text into secret memory.
    ///
    /// - Parameter bytes: its bytes.
    /// - Throws: where there is no memory for it.
    init(_ bytes: Span<UInt8>) throws(ProviderError) {
        self.bytes = try SecureBuffer.held(bytes)
    }

    /// The text; empty where it is not UTF-8.
    var text: String { bytes.withBytes { $0.text } ?? "" }

    /// It has no bytes.
    var isEmpty: Bool { bytes.count == 0 }

    /// Takes a variable out of the environment of this process; once, at its start.
    ///
    /// - Returns: nil where it is not set, or empty.
    /// - Throws: where there is no memory for it.
    static func taking(_ name: String) throws(ProviderError) -> HeldText? {
        let text = try EnvironmentVariables.take(name) { (value) throws(ProviderError) in try HeldText(value) }
        return text?.isEmpty == true ? nil : text
    }
}

extension SecureBuffer {
    /// A copy of bytes in memory that the kernel itself has no view of, where there is such: of what is kept between requests.
    static func held(_ bytes: Span<UInt8>) throws(ProviderError) -> SecureBuffer {
        try filled(capacity: bytes.count, backing: .secret, orThrow: ProviderError.memory) {
            (target) throws(ProviderError) in
            for index in bytes.indices { target[index] = bytes[index] }
            return bytes.count
        }
    }

    /// The same bytes in such memory.
    consuming func held() throws(ProviderError) -> SecureBuffer {
        try withBytes { (bytes) throws(ProviderError) in try SecureBuffer.held(bytes) }
    }
}
