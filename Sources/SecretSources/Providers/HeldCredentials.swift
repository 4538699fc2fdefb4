// SPDX-License-Identifier: Apache-2.0

package import SecureMemory
internal import SystemCalls

/// Variables with which somebody is let in by a server, taken out of the environment of this process for those that it starts.
package final class HeldCredentials: Sendable {
    private let entries: SecureBuffer

    /// Takes them; once, at the start of a process.
    ///
    /// - Throws: where there is no memory for them.
    package init() throws(SecureMemoryError) {
        var buffer = try SecureBuffer(count: EnvironmentVariables.credentialByteCount(), backing: .secret)
        buffer.withMutableBytes { EnvironmentVariables.takeCredentials(into: &$0) }
        entries = buffer
    }

    /// Lends them as entries that are ended by a zero byte each.
    package func withEntries<R: ~Copyable, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try entries.withBytes(body)
    }
}
