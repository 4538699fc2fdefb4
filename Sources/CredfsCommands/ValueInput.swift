// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretStore
internal import SecureFiles
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

/// Where a new value comes from: a file, a question on the terminal, or standard input to its end.
struct ValueInput {
    var valueFile: String?
    /// Whether standard input is read even if it is a terminal.
    var readsStandardInput = false
    var allowsEmpty = false
    var limit = Manifest.usualSecretByteCount

    /// Whether a person is asked.
    var asks: Bool { valueFile == nil && !readsStandardInput && isatty(0) == 1 }

    /// Reads the value, every byte of it.
    func read(_ name: SecretName) throws -> SecureBuffer {
        let value = try content(name)
        guard value.count > 0 || allowsEmpty else {
            throw CommandError(.usage, "the value is empty", hint: "pass --allow-empty if that is meant")
        }
        return value
    }

    private func content(_ name: SecretName) throws -> SecureBuffer {
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
