// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretProviders
internal import SystemCalls
internal import SystemPackage

/// Process of credfs that asks a source on this machine: `exec:`.
package enum ProviderHelper {
    /// The first argument that makes credfs this process.
    package static let mode = "ask-source"

    /// Arguments behind the mode.
    static func words(program: String, limit: Int, keepsNewline: Bool) -> [String] {
        ["exec", program, String(limit), keepsNewline ? "exact" : "strip"]
    }

    /// The whole life of the process.
    ///
    /// - Returns: the exit status.
    package static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 6, arguments[2] == "exec", let limit = Int(arguments[4]),
            ["exact", "strip"].contains(arguments[5]), let credentials = try? HeldCredentials()
        else { return 1 }
        // Out of reach of the keys of the terminal, which are for the job.
        setsid()
        try? OwnedDescriptor.changeWorkingDirectory(to: "/")
        let input = OwnedDescriptor(owning: 0)
        let output = OwnedDescriptor(owning: 1)
        // What it starts gets neither.
        guard (try? input.closeOnExec()) != nil, (try? output.closeOnExec()) != nil else { return 1 }
        let provider = ExecProvider(
            arguments[3],
            credentials,
            limit: limit,
            keepsNewline: arguments[5] == "exact",
            asker: input.number
        )
        ProviderServer.serve(provider, input, output)
        return 0
    }
}
