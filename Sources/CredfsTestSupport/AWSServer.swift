// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// AWS on this machine (Tests/Scripts/serve_aws.py), one for all tests of a process, with which it ends.
package final class AWSServer: Sendable {
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
    package var directory: String { server.directory }
    private let server: ScriptServer

    /// The server, which the first who asks waits for.
    package static func get() async throws -> AWSServer { try await onItsOwnThread { try shared.get() } }

    private init() throws {
        server = try ScriptServer("serve_aws.py")
        facts = try JSONDecoder().decode(Facts.self, from: server.answer)
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
        _ = try await ScriptServer.fetch("PUT", "\(facts.double)/put\(name)", value)
    }

    /// Requests below a path of the double.
    package func count(_ path: String) async throws -> Int {
        Int(try await ScriptServer.fetch("GET", "\(facts.double)/count/\(path)")) ?? -1
    }
}
