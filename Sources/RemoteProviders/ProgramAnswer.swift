// SPDX-License-Identifier: Apache-2.0

internal import SecretProviders
internal import SecureMemory
internal import SystemCalls

/// Answer of a command of the shell, in locked memory.
enum ProgramAnswer {
    /// The largest answer in bytes.
    private static let limit = 1 << 16

    /// Runs a command to its end.
    ///
    /// - Parameters:
    ///   - command: the command.
    ///   - what: what it is, for messages.
    ///   - asker: a descriptor that can be read once nobody waits; then the command is killed. -1 for none.
    ///   - deadline: time by which it has to end.
    /// - Returns: what it wrote.
    /// - Throws: `denied` where it failed, `unavailable` where it did not end in time.
    static func of(
        _ command: String,
        _ what: String,
        asker: Int32,
        _ deadline: Int64
    ) throws(ProviderError) -> SecureBuffer {
        let nothing: [UInt8] = []
        let program = try AskedProgram.start(
            "/bin/sh",
            arguments: ["sh", "-c", command],
            environment: EnvironmentVariables.entries { $0 == "GLIBC_TUNABLES" },
            secrets: nothing.span,
            called: what,
            asker: asker,
            until: deadline
        )
        do throws(ProviderError) {
            let answer = try program.read(limit: limit)
            guard answer.count <= limit else { throw ProviderError(.invalid, "\(what) wrote too much") }
            let status = try program.waitForEnd()
            guard status == 0 else {
                throw ProviderError(.denied, "\(what) ended with status \(status)", hint: "run it by hand to see why")
            }
            return answer
        } catch {
            program.kill()
            throw error
        }
    }
}
