// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Source of a new value: a file, a question on the terminal, or standard input to its end.
struct ValueInput {
    /// Random bytes that a generated value is made of, when it has no number.
    static let usualGeneratedByteCount = 32
    /// Random bytes that can be asked for: fewer can be guessed, more are no token.
    static let generatedByteCounts = 16...4096

    var valueFile: String?
    /// Random bytes to make the value of, which is their base64url (RFC 4648, section 5) without padding.
    var generatedByteCount: Int?
    /// Standard input is read even if it is a terminal.
    var readsStandardInput = false
    var allowsEmpty = false
    var limit = Manifest.usualSecretByteCount

    /// A person is asked.
    var asks: Bool { valueFile == nil && generatedByteCount == nil && !readsStandardInput && isatty(0) == 1 }

    /// Reads the value, every byte of it.
    func read(_ name: SecretName) throws -> SecureBuffer {
        let value = try content(name)
        guard value.count > 0 || allowsEmpty else {
            throw CommandError(.usage, "the value is empty", hint: "pass --allow-empty if that is meant")
        }
        return value
    }

    private static func generated(_ byteCount: Int) throws(StoreError) -> SecureBuffer {
        let random = try SecureBuffer.filled(
            capacity: byteCount,
            orThrow: { StoreError.memory($0) },
            { (bytes) throws(StoreError) in
                do throws(SealingError) { try RandomBytes.fillPrivate(&bytes) } catch { throw .sealing(error) }
                return byteCount
            }
        )
        let count = Base64.encodedCount(byteCount, .urlSafe)
        return try SecureBuffer.filled(
            capacity: count,
            orThrow: { StoreError.memory($0) },
            { (text) throws(StoreError) in
                random.withBytes { Base64.encode($0, .urlSafe, into: &text) }
                return count
            }
        )
    }

    private func content(_ name: SecretName) throws -> SecureBuffer {
        if let generatedByteCount { return try Self.generated(generatedByteCount) }
        if let valueFile {
            let file = try StoreError.wrapping("open", valueFile) { () throws(Errno) in
                try OwnedDescriptor.open(valueFile, O_RDONLY | O_NOCTTY)
            }
            return try collect("read \(valueFile)") { (bytes, start) throws(Errno) in
                try file.read(into: &bytes, from: start)
            }
        }
        if asks {
            return try PasswordPrompt.askTwice(
                "value of \(name.text): ",
                again: "the same value again: ",
                limit: limit
            )
        }
        return try collect("read standard input") { (bytes, start) throws(Errno) in
            try SystemCalls.read(0, into: &bytes, from: start)
        }
    }

    private func collect(
        _ action: String,
        _ read: (inout MutableSpan<UInt8>, Int) throws(Errno) -> Int
    ) throws -> SecureBuffer {
        try SecureBuffer.collecting(
            limit: limit,
            orThrow: { StoreError.memory($0) },
            { (bytes, start) throws(StoreError) in
                do throws(Errno) { return try read(&bytes, start) } catch {
                    throw StoreError(.failed, "cannot \(action): \(error.message)")
                }
            }
        )
    }
}

/// A value that was read before the lock was taken; handed over once.
final class NewValue {
    private var content: SecureBuffer?

    init(_ content: consuming SecureBuffer) {
        self.content = consume content
    }

    func take() throws -> SecureBuffer {
        guard let content = content.take() else { throw CommandError(.failed, "the value was used already") }
        return content
    }
}
