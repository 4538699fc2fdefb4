// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Glibc

/// AWS on this machine (Tests/Scripts/serve_aws.py), one for all tests of a process, with which it ends.
package final class AWSServer: @unchecked Sendable {
    // SAFETY: nothing of it changes after its start.

    /// Keys of a user, or of a session.
    package struct Keys: Sendable, Decodable {
        /// The name of the key.
        package let id: String
        /// The key.
        package let secret: String
    }

    /// Keys that end.
    package struct Session: Sendable, Decodable {
        /// The name of the key.
        package let accessKeyID: String
        /// The key.
        package let secretAccessKey: String
        /// Goes with each request.
        package let token: String

        private enum CodingKeys: String, CodingKey {
            case accessKeyID = "AccessKeyId"
            case secretAccessKey = "SecretAccessKey"
            case token = "Token"
        }
    }

    /// Addresses and keys.
    package struct Facts: Sendable, Decodable {
        /// Address of moto, which checks signatures and rights.
        package let aws: String
        /// Address of the double.
        package let double: String
        /// The region of everything.
        package let region: String
        /// The role that may read.
        package let role: String
        /// Number of a secret.
        package let arn: String
        /// Whoever may read everything.
        package let reader: Keys
        /// Whoever may take on the role.
        package let assumer: Keys
        /// Whoever may do nothing.
        package let nobody: Keys
        /// Whoever may read one secret at a time.
        package let single: Keys
        /// Keys of the role.
        package let session: Session
        /// Address of the double with a certificate for it.
        package let right: String
        /// File of that certificate.
        package let rightFile: String
        /// Address of the double with a certificate for another host.
        package let wrong: String
        /// File of that certificate.
        package let wrongFile: String
    }

    private static let shared = Result { try AWSServer() }

    /// Addresses and keys.
    package let facts: Facts
    /// The directory that the server looks for files in.
    package let directory: String
    private let place: TemporaryDirectory
    // The end of this pipe is the end of the server.
    private let life: PipePair

    /// The server, which the first who asks waits for.
    package static func get() async throws -> AWSServer { try await onItsOwnThread { try shared.get() } }

    private init() throws {
        place = try TemporaryDirectory()
        directory = place.path
        let python = PackageDirectory.root + ".build/test-servers/bin/python"
        guard FileManager.default.isExecutableFile(atPath: python) else { throw Failure.absent }
        let (input, output) = (PipePair(), PipePair())
        let script = PackageDirectory.root + "Tests/Scripts/serve_aws.py"
        // In the background of a shell that ends at once: no child of this process, which would be left behind.
        let start = #"exec 3<&0; "$@" <&3 3<&- 2>/dev/null &"#
        let shell = try ChildProcess.Running(
            "/bin/sh",
            ["-c", start, "sh", python, "-B", script, place.path],
            environment: ["AWS_EC2_METADATA_DISABLED": "true", "HOME": place.path],
            input: .descriptor(input.output),
            output: output.input
        )
        output.closeInput()
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while unsafe read(output.output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        withExtendedLifetime(shell) {}
        facts = try JSONDecoder().decode(Facts.self, from: Data(line))
        life = input
    }

    /// Failure to start the server.
    package enum Failure: Error, CustomStringConvertible {
        case absent
        case refused

        package var description: String {
            switch self {
            case .absent: "no .build/test-servers: run scripts/install-dependencies tests"
            case .refused: "the server did not do as it was told"
            }
        }
    }

    /// Variables of a program that reads with keys.
    package func variables(_ keys: Keys) -> [String: String] {
        [
            "AWS_ACCESS_KEY_ID": keys.id, "AWS_SECRET_ACCESS_KEY": keys.secret, "AWS_REGION": facts.region,
            "AWS_ENDPOINT_URL": facts.aws, "AWS_EC2_METADATA_DISABLED": "true", "HOME": directory,
        ]
    }

    /// Sets a parameter.
    package func put(_ name: String, _ value: String) async throws {
        let outcome = try await ChildProcess.run(
            "/usr/bin/curl",
            ["--silent", "--fail", "--request", "PUT", "--data-binary", value, "\(facts.double)/put\(name)"]
        )
        guard outcome.status == .exited(0) else { throw Failure.refused }
    }

    /// Requests below a path of the double.
    package func count(_ path: String) async throws -> Int {
        let outcome = try await ChildProcess.run(
            "/usr/bin/curl",
            ["--silent", "--fail", "\(facts.double)/count/\(path)"]
        )
        return Int(outcome.outputText) ?? -1
    }
}
