// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import SecretProviders
import Testing

/// The program credfs-remote against a double of Vault, from which a client of others reads first.
@Suite(.timeLimit(.minutes(10))) struct VaultTests {
    private static let largest = "1048576"

    private func variables(_ server: VaultServer, _ changes: [String: String?] = [:]) -> [String: String] {
        var variables = ["VAULT_ADDR": server.facts.address, "VAULT_TOKEN": server.facts.token, "HOME": "/nonexistent"]
        for (name, value) in changes { variables[name] = value }
        return variables
    }

    @Test func keysOfAMapAreSecretsInBothVersionsOfTheEngine() async throws {
        let server = try await VaultServer.get()
        let remote = try Remote(["vault", Self.largest, "secret/app"], variables(server))
        #expect(try await remote.list() == .success(["DB_PASSWORD", "NOTHING", "PORT", "TLS"]))
        for _ in 1...2 {
            let values = try await remote.fetch(["DB_PASSWORD", "PORT", "TLS", "NOTHING", "NONE"])
            #expect(values["DB_PASSWORD"] == .success(Array("second".utf8)))
            #expect(values["PORT"] == .success(Array("5432".utf8)) && values["TLS"] == .success(Array("true".utf8)))
            #expect(values["NOTHING"] == .failure(ProviderError(.invalid, "the value is no text, number or boolean")))
            #expect(values["NONE"] == .failure(ProviderError(.notFound, "Vault has the path, and no such key in it")))
        }
        let old = try Remote(["vault", Self.largest, "old/app"], variables(server))
        #expect(try await old.list() == .success(["DB_PASSWORD"]))
        #expect(try await old.text("DB_PASSWORD") == "of version 1")
        // A mount of two parts, another map and an earlier version of one.
        let ids = ["name:A=secret/other/deep#KEY", "name:B=secret/app:1#DB_PASSWORD", "name:C=TOKEN"]
        let team = try Remote(["vault", Self.largest, "team/kv/app"] + ids, variables(server))
        #expect(try await team.text("C") == "of the team")
        #expect(try await team.text("A") == "a\n\"\u{e9}")
        #expect(try await team.text("B") == "first")
    }

    @Test func nameSpacesHaveMapsOfTheirOwn() async throws {
        let server = try await VaultServer.get()
        let words = ["vault", Self.largest, "secret/app"]
        let space = try Remote(words, variables(server, ["VAULT_NAMESPACE": "ns1"]))
        #expect(try await space.text("DB_PASSWORD") == "of a name space")
        let setting = try Remote(words + ["namespace=ns1"], variables(server, ["VAULT_NAMESPACE": "none"]))
        #expect(try await setting.text("DB_PASSWORD") == "of a name space")
        let none = try Remote(words, variables(server, ["VAULT_NAMESPACE": "none"]))
        #expect(try await none.error("DB_PASSWORD")?.kind == .denied)
    }

    @Test func aTokenComesFromVariableFileOrLogin() async throws {
        let server = try await VaultServer.get()
        let directory = try TemporaryDirectory()
        let words = ["vault", Self.largest, "secret/app"]
        let withoutToken: [String: String?] = ["VAULT_TOKEN": nil, "HOME": directory.path]
        let none = try await Remote(words, variables(server, withoutToken)).error("PORT")
        #expect(none?.kind == .denied && none?.message == "there is no token for Vault")
        try directory.write(Array("\(server.facts.token)\n".utf8), to: ".vault-token")
        #expect(try await Remote(words, variables(server, withoutToken)).text("PORT") == "5432")
        // One that may not ask which engine it is reads the second version.
        let narrow = try Remote(words, variables(server, ["VAULT_TOKEN": server.facts.narrow]))
        #expect(try await narrow.text("DB_PASSWORD") == "second")
        let wrong = try Remote(words, variables(server, ["VAULT_TOKEN": "hvs.none"]))
        #expect(try await wrong.error("PORT")?.kind == .denied)

        let secret = try directory.write(Array(server.facts.secret.utf8), to: "secret-id")
        let role: [String: String?] = [
            "VAULT_TOKEN": nil, "VAULT_ROLE_ID": server.facts.role, "VAULT_SECRET_ID_FILE": secret,
        ]
        let remote = try Remote(words, variables(server, role))
        #expect(try await remote.text("PORT") == "5432")
        let logins = try await server.count("auth/approle/login")
        #expect(try await remote.text("TLS") == "true")
        #expect(try await server.count("auth/approle/login") == logins, "a token is used again")
        // A token that is taken back is followed by another login.
        try await server.revoke()
        #expect(try await remote.text("PORT") == "5432")
        #expect(try await server.count("auth/approle/login") == logins + 1)
        let refused = try Remote(words, variables(server, role.merging(["VAULT_SECRET_ID": "wrong"]) { $1 }))
        #expect(try await refused.error("PORT")?.message == "Vault refuses the role or its secret id")
    }

    @Test func failuresOfVaultAreToldApart() async throws {
        let server = try await VaultServer.get()
        for (path, kind) in [
            ("down", ProviderError.Kind.unavailable), ("sealed", .unavailable), ("behind", .unavailable),
            ("busy", .throttled), ("deleted", .notFound), ("none", .notFound), ("app:7", .notFound),
        ] {
            let error = try await Remote(["vault", Self.largest, "secret/\(path)"], variables(server)).error("A")
            #expect(error?.kind == kind, "\(path): \(String(describing: error))")
            #expect(error?.retryAfter == (path == "busy" ? 9 : nil))
        }
        let words = ["vault", Self.largest, "secret/app"]
        let nowhere = try await Remote(words, variables(server, ["VAULT_ADDR": nil])).error("A")
        #expect(nowhere?.message == "no Vault is named")
        let plain = try await Remote(words, variables(server, ["VAULT_ADDR": "http://192.0.2.1:8200"])).error("A")
        #expect(plain?.message == "the address of Vault is no address")
    }
}
