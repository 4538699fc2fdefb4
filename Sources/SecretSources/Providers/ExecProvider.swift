// SPDX-License-Identifier: Apache-2.0

package import SecretProviders
package import SecureMemory
internal import SystemCalls

/// Program that is called with the name of a secret as its only argument and writes the value to standard output.
///
/// Status 11 says that there is no such secret, any other but 0 that the program failed. Used in the process of `ProviderHelper`.
package final class ExecProvider: SecretProvider {
    /// Status of a program that knows no such secret: that of credfs.
    private static let notFound: Int32 = 11

    package let batchLimit = 1
    private let path: String
    private let limit: Int
    private let keepsNewline: Bool
    private let asker: Int32
    private let credentials: HeldCredentials

    /// Makes a provider.
    ///
    /// - Parameters:
    ///   - path: the program, absolute.
    ///   - credentials: what it inherits beside the environment of this process.
    ///   - limit: the largest value in bytes.
    ///   - keepsNewline: whether a newline at the end is part of the value.
    ///   - asker: a descriptor that can be read once whoever asks has gone; then a program that runs is killed. -1 for none.
    package init(
        _ path: String,
        _ credentials: HeldCredentials,
        limit: Int,
        keepsNewline: Bool,
        asker: Int32 = -1
    ) {
        self.credentials = credentials
        self.asker = asker
        self.path = path
        self.limit = limit
        self.keepsNewline = keepsNewline
    }

    package func list(until deadline: Int64) throws(ProviderError) -> [String]? { nil }

    package func fetch(
        _ names: [String],
        until deadline: Int64,
        answer: (String, consuming Result<SecureBuffer, ProviderError>) -> Void
    ) {
        for name in names {
            do throws(ProviderError) { answer(name, .success(try value(of: name, deadline))) } catch {
                answer(name, .failure(error))
            }
        }
    }

    private func value(of name: String, _ deadline: Int64) throws(ProviderError) -> SecureBuffer {
        let program = try credentials.withEntries { (secrets) throws(ProviderError) in
            try AskedProgram.start(
                path,
                arguments: [path, name],
                environment: EnvironmentVariables.entries { _ in false },
                secrets: secrets,
                called: path,
                asker: asker,
                until: deadline
            )
        }
        do throws(ProviderError) {
            // The newline that is dropped does not count.
            let most = keepsNewline ? limit : limit + 1
            var value = try program.read(limit: most)
            // A program that has more to say does not end.
            guard value.count <= most else { throw tooLarge }
            try check(status: program.waitForEnd())
            if !keepsNewline { dropNewline(&value) }
            guard value.count <= limit else { throw tooLarge }
            guard value.count > 0 else { throw ProviderError(.notFound, "\(path) wrote nothing") }
            return value
        } catch {
            program.kill()
            throw error
        }
    }

    private var tooLarge: ProviderError {
        let hint = "--max-size allows up to 16 MiB"
        return ProviderError(.invalid, "\(path) wrote a value larger than \(limit) bytes", hint: hint)
    }

    private func check(status: Int32) throws(ProviderError) {
        guard status != Self.notFound else { throw ProviderError(.notFound, "\(path) knows no such secret") }
        guard status == 0 else {
            throw ProviderError(
                .unavailable,
                "\(path) ended with status \(status)",
                hint: "run it by hand to see why, with the name as its argument"
            )
        }
    }

    /// Takes one newline from the end, which most programs write.
    private func dropNewline(_ value: inout SecureBuffer) {
        let isLine = value.withBytes { bytes in
            bytes.count > 0 && bytes[bytes.count - 1] == UInt8(ascii: "\n")
        }
        if isLine { value.setCount(value.count - 1) }
    }
}
