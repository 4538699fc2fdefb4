// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Glibc

/// Server that is a script of Tests/Scripts: it says in one line where it is, and ends with this process.
final class ScriptServer: @unchecked Sendable {
    // SAFETY: nothing of it changes after its start.

    /// Failure to start a server, or to have it do something.
    enum Failure: Error, CustomStringConvertible {
        case absent
        case refused

        var description: String {
            switch self {
            case .absent: "no .build/test-servers: run scripts/install-dependencies tests"
            case .refused: "the server did not do as it was told"
            }
        }
    }

    /// The line that it wrote.
    let answer: Data
    /// A directory of its own.
    let directory: String
    private let place: TemporaryDirectory
    // The end of this pipe is the end of the server.
    private let life: PipePair

    /// Starts it, and waits for its line.
    init(_ script: String) throws {
        place = try TemporaryDirectory()
        directory = place.path
        let python = PackageDirectory.root + ".build/test-servers/bin/python"
        guard FileManager.default.isExecutableFile(atPath: python) else { throw Failure.absent }
        let output = PipePair()
        life = PipePair()
        // In the background of a shell that ends at once: no child of this process, which would be left behind.
        let start = #"exec 3<&0; "$@" <&3 3<&- 2>/dev/null &"#
        let shell = try ChildProcess.Running(
            "/bin/sh",
            ["-c", start, "sh", python, "-B", PackageDirectory.root + "Tests/Scripts/" + script, place.path],
            environment: ["AWS_EC2_METADATA_DISABLED": "true", "HOME": place.path],
            input: .descriptor(life.output),
            output: output.input
        )
        output.closeInput()
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while unsafe read(output.output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        withExtendedLifetime(shell) {}
        answer = Data(line)
    }

    /// What a server answers to a request.
    static func fetch(_ method: String, _ address: String, _ body: String? = nil) async throws -> String {
        let data = body.map { ["--data-binary", $0] } ?? []
        let outcome = try await ChildProcess.run(
            "/usr/bin/curl",
            ["--silent", "--fail", "--request", method] + data + [address]
        )
        guard outcome.status == .exited(0) else { throw Failure.refused }
        return outcome.outputText
    }
}
