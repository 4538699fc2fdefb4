// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// A double of Google's services on this machine (Tests/Scripts/serve_google.py), one for all tests of a process, with which it ends.
package final class GoogleServer: Sendable {
    /// Addresses, and what lets somebody in.
    package struct Facts: Sendable, Decodable {
        /// Address of the double.
        package let address: String
        /// Address of drongo, a server of others, which asks for nothing.
        package let drongo: String
        /// A token that does not end.
        package let token: String
        /// Files of service accounts by their names.
        package let accounts: [String: String]
        /// Addresses of the accounts.
        package let emails: [String: String]
    }

    private static let shared = Result { try GoogleServer() }

    /// Addresses, and what lets somebody in.
    package let facts: Facts
    private let server: ScriptServer

    /// The server, which the first who asks waits for.
    package static func get() async throws -> GoogleServer { try await onItsOwnThread { try shared.get() } }

    private init() throws {
        server = try ScriptServer("serve_google.py")
        facts = try JSONDecoder().decode(Facts.self, from: server.answer)
    }

    /// Ends the tokens of an account.
    package func revoke(_ account: String) async throws {
        let email = facts.emails[account] ?? account
        _ = try await ScriptServer.fetch("POST", "\(facts.address)/control/revoke/\(email)")
    }

    /// Tokens that an account was given.
    package func count(_ account: String) async throws -> Int {
        let email = facts.emails[account] ?? account
        return Int(try await ScriptServer.fetch("GET", "\(facts.address)/control/count/\(email)")) ?? -1
    }
}
