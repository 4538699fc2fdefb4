// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// A double of Vault on this machine (Tests/Scripts/serve_vault.py), one for all tests of a process, with which it ends.
package final class VaultServer: Sendable {
    /// Address, and what lets somebody in.
    package struct Facts: Sendable, Decodable {
        /// Address of the double.
        package let address: String
        /// A token that may read everything.
        package let token: String
        /// A token that may read, and not ask which engine it is.
        package let narrow: String
        /// Id of a role.
        package let role: String
        /// Secret of the role.
        package let secret: String
        /// A signed token that the logins by JWT and Kubernetes take.
        package let signed: String
    }

    private static let shared = Result { try VaultServer() }

    /// Address, and what lets somebody in.
    package let facts: Facts
    private let server: ScriptServer

    /// The server, which the first who asks waits for.
    package static func get() async throws -> VaultServer { try await onItsOwnThread { try shared.get() } }

    private init() throws {
        server = try ScriptServer("serve_vault.py")
        facts = try JSONDecoder().decode(Facts.self, from: server.answer)
    }

    /// Ends every token that a login gave.
    package func revoke() async throws { _ = try await ScriptServer.fetch("POST", "\(facts.address)/control/revoke") }

    /// Wraps a new token, a secret id or something else.
    ///
    /// - Returns: the token that opens it, once.
    package func wrap(_ what: String) async throws -> String {
        String(try await ScriptServer.fetch("POST", "\(facts.address)/control/wrap/\(what)").dropFirst().dropLast())
    }

    /// Requests for a path.
    package func count(_ path: String) async throws -> Int {
        Int(try await ScriptServer.fetch("GET", "\(facts.address)/control/count/\(path)")) ?? -1
    }
}
