// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// A double of Azure's services on this machine (Tests/Scripts/serve_azure.py), one for all tests of a process, with which it ends.
package final class AzureServer: Sendable {
    /// Address, and what lets somebody in.
    package struct Facts: Sendable, Decodable {
        /// Address of the double; a vault is the first part of a path.
        package let address: String
        /// The tenant.
        package let tenant: String
        /// Secret of each application whose name begins with `app`.
        package let secret: String
        /// Token of a workload.
        package let federated: String
    }

    private static let shared = Result { try AzureServer() }

    /// Address, and what lets somebody in.
    package let facts: Facts
    private let server: ScriptServer

    /// The server, which the first who asks waits for.
    package static func get() async throws -> AzureServer { try await onItsOwnThread { try shared.get() } }

    private init() throws {
        server = try ScriptServer("serve_azure.py")
        facts = try JSONDecoder().decode(Facts.self, from: server.answer)
    }

    /// Ends the tokens of an application.
    package func revoke(_ application: String) async throws {
        _ = try await ScriptServer.fetch("POST", "\(facts.address)/control/revoke/\(application)")
    }

    /// Tokens that an application was given.
    package func count(_ application: String) async throws -> Int {
        Int(try await ScriptServer.fetch("GET", "\(facts.address)/control/count/\(application)")) ?? -1
    }
}
