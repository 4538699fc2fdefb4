// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import SecretProviders
import Testing

/// The program credfs-remote against a double of Entra ID and Key Vault.
@Suite(.timeLimit(.minutes(10))) struct AzureTests {
    private static let largest = "1048576"

    private func words(_ server: AzureServer, _ vault: String = "app", _ more: String...) -> [String] {
        let name = vault.prefix { $0 != "/" }
        return ["azurekeyvault", Self.largest, vault, "endpoint=\(server.facts.address)/\(name)"] + more
    }

    private func variables(
        _ server: AzureServer,
        _ changes: [String: String?] = [:],
        application: String = "app"
    ) -> [String: String] {
        var variables = [
            "AZURE_AUTHORITY_HOST": server.facts.address, "AZURE_TENANT_ID": server.facts.tenant,
            "AZURE_CLIENT_ID": application, "AZURE_CLIENT_SECRET": server.facts.secret,
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1",
        ]
        for (name, value) in changes { variables[name] = value }
        return variables
    }

    @Test func secretsOfAVaultAreListedPageByPageAndReadInEachVersion() async throws {
        let server = try await AzureServer.get()
        let ids = ["name:OLD=DB-PASSWORD:v1", "name:USER=DB#user", "name:PORT=DB:v1#port", "name:UP=.."]
        let remote = try Remote(words(server) + ids, variables(server))
        // Neither what is disabled nor the key of a certificate.
        let names = ["DB", "DB-PASSWORD", "EMPTY", "TEXT", "billing-A", "billing-B"]
        #expect(try await remote.list() == .success(names))
        let wanted = ["DB_PASSWORD", "DB-PASSWORD", "EMPTY", "TEXT", "OLD", "USER", "PORT", "NONE", "UP"]
        let values = try await remote.fetch(wanted)
        #expect(values["DB-PASSWORD"] == .success(Array("second".utf8)))
        // Names of Key Vault have no underscore.
        #expect(values["DB_PASSWORD"] == values["DB-PASSWORD"])
        #expect(values["OLD"] == .success(Array("first".utf8)) && values["EMPTY"] == .success([]))
        #expect(values["TEXT"] == .success(Array("a\n\"\u{e9}".utf8)))
        #expect(values["USER"] == .success(Array("u1".utf8)) && values["PORT"] == .success(Array("5432".utf8)))
        #expect(values["NONE"] == .failure(ProviderError(.notFound, "Key Vault has no such secret or version")))
        guard case .failure(let up) = values["UP"], up.kind == .notFound else { throw Unexpected() }
        let billing = try Remote(words(server, "app/billing-"), variables(server))
        #expect(try await billing.list() == .success(["A", "B"]))
        #expect(try await billing.text("B") == "of b")
    }

    @Test func aTokenComesBySecretWorkloadOrInstanceAndIsUsedToItsEnd() async throws {
        let server = try await AzureServer.get()
        let counted = try Remote(words(server), variables(server, application: "app-counted"))
        for _ in 1...3 { #expect(try await counted.text("DB-PASSWORD") == "second") }
        #expect(try await server.count("app-counted") == 1)
        try await server.revoke("app-counted")
        #expect(try await counted.text("DB-PASSWORD") == "second")
        #expect(try await server.count("app-counted") == 2)

        let directory = try TemporaryDirectory()
        let token = try directory.write(Array("\(server.facts.federated)\n".utf8), to: "token")
        func error(_ changes: [String: String?]) async throws -> ProviderError? {
            let withoutSecret: [String: String?] = ["AZURE_CLIENT_SECRET": nil]
            let variables = variables(server, withoutSecret.merging(changes) { $1 })
            return try await Remote(words(server), variables).error("DB-PASSWORD")
        }
        #expect(try await error(["AZURE_FEDERATED_TOKEN_FILE": token]) == nil)
        let absent = try await error(["AZURE_FEDERATED_TOKEN_FILE": directory.path("absent")])
        #expect(absent?.message.contains("which AZURE_FEDERATED_TOKEN_FILE names") == true)
        try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: token)
        #expect(try await error(["AZURE_FEDERATED_TOKEN_FILE": token])?.message.contains("cannot read") == true)
        let instance = ["AZURE_POD_IDENTITY_AUTHORITY_HOST": server.facts.address]
        #expect(try await error(instance.merging(["AZURE_CLIENT_ID": "mi"]) { $1 }) == nil)
        #expect(try await error(instance.merging(["AZURE_CLIENT_ID": ""]) { $1 }) == nil)
        let unknown = try await error(instance.merging(["AZURE_CLIENT_ID": "other"]) { $1 })
        #expect(unknown?.kind == .denied && unknown?.message.contains("no such identity") == true)
        for (changes, part) in [
            ([:], "there is no identity for Azure"),
            (["AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://192.0.2.1"], "is no address of this host"),
            (["AZURE_CLIENT_SECRET": "wrong"], "Azure refuses AZURE_CLIENT_SECRET of the application app"),
            (["AZURE_CLIENT_SECRET": "x", "AZURE_TENANT_ID": ""], "AZURE_TENANT_ID or AZURE_CLIENT_ID is not"),
        ] as [([String: String?], String)] {
            let error = try await error(changes)
            #expect(error?.kind == .denied && error?.message.contains(part) == true, "\(String(describing: error))")
        }
        let plain = try await error(["AZURE_CLIENT_SECRET": "x", "AZURE_AUTHORITY_HOST": "http://192.0.2.1"])
        #expect(plain?.message == "AZURE_AUTHORITY_HOST is no address")
        let busy = try await error(["AZURE_CLIENT_SECRET": "x", "AZURE_TENANT_ID": "busy"])
        #expect(busy?.kind == .throttled && busy?.retryAfter == 7)
    }

    @Test func failuresOfAzureAreToldApartWithoutItsSentences() async throws {
        let server = try await AzureServer.get()
        let remote = try Remote(words(server, "app", "name:NO=DB:v7"), variables(server))
        for (name, kind, part) in [
            ("BROKEN", ProviderError.Kind.unavailable, "status 500"), ("DOWN", .unavailable, "ServiceUnavailable"),
            ("BUSY", .throttled, "Throttled"), ("MOVED", .unavailable, "redirect"), ("OFF", .notFound, "disabled"),
            ("NO", .notFound, "no such"), ("FORBIDDEN", .denied, "ForbiddenByRbac"),
            ("WALL", .denied, "ForbiddenByFirewall"),
        ] {
            let error = try #require(try await remote.error(name))
            #expect(error.kind == kind && error.message.contains(part), "\(name): \(error)")
            #expect(!error.message.contains("sentence"))
            if name == "BUSY" { #expect(error.retryAfter == 9) }
            if name == "WALL" { #expect(error.hint.contains("network rules")) }
        }
    }

    @Test func hostileAnswersAndPagesElsewhereAreRefused() async throws {
        let server = try await AzureServer.get()
        let remote = try Remote(words(server, "hostile"), variables(server))
        let names = ["LIST", "NULL", "HTML", "CUT", "NONE", "OBJECT", "TWICE", "DEEP", "BYTES", "LARGE"]
        for (name, result) in try await remote.fetch(names) {
            guard case .failure(let error) = result, error.kind == .invalid else {
                Issue.record("\(name): \(result)")
                continue
            }
        }
        for vault in ["foreign", "port", "aside", "user", "spaces", "endless"] {
            guard case .failure(let error) = try await Remote(words(server, vault), variables(server)).list() else {
                Issue.record("\(vault) was followed")
                continue
            }
            let part = vault == "endless" ? "does not end" : "at another place"
            #expect(error.kind == .invalid && error.message.contains(part), "\(vault): \(error)")
        }
    }

    @Test(.enabled(if: geteuid() == 0)) func onlyLockedMemoryHasSecretAndTokenOfAnApplication() async throws {
        let server = try await AzureServer.get()
        let remote = try Remote(words(server), variables(server))
        #expect(try await remote.text("DB") == #"{"user": "u1", "port": 5432}"#)
        let kept = try ProcessMemory.copiesOfKept(in: remote.id)
        let parts = [(server.facts.secret, kept), ("eyJ0eXAi.", kept), ("Bearer eyJ0", 0), ("u1\\\", \\\"port", 0)]
        for (part, most) in parts {
            var count = -1
            for _ in 0..<100 {
                count = try await ProcessMemory.count(of: part, in: remote.id)
                if count <= most { break }
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(count == most, "\(part)")
        }
    }

    private struct Unexpected: Error {}
}
