// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import RemoteProviders
import SecretProviders
import SecureMemory
import Testing

/// The program credfs-remote against a double of Google's services, and against drongo, a server of others.
@Suite(.timeLimit(.minutes(10))) struct GoogleTests {
    private static let largest = "1048576"

    private func variables(_ server: GoogleServer, _ changes: [String: String?] = [:]) -> [String: String] {
        var variables = [
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": server.facts.address, "HOME": "/nonexistent",
            "CLOUDSDK_AUTH_ACCESS_TOKEN": server.facts.token, "NO_GCE_CHECK": "true",
        ]
        for (name, value) in changes { variables[name] = value }
        return variables
    }

    /// Variables of a service account, its file in a directory.
    private func variables(
        _ server: GoogleServer,
        account: String,
        in directory: borrowing TemporaryDirectory
    ) throws -> [String: String] {
        let text = try #require(server.facts.accounts[account])
        let path = try directory.write(Array(text.utf8), to: "\(account).json")
        return variables(server, ["CLOUDSDK_AUTH_ACCESS_TOKEN": nil, "GOOGLE_APPLICATION_CREDENTIALS": path])
    }

    @Test func secretsOfAProjectAreListedPageByPageAndReadInEachVersion() async throws {
        let server = try await GoogleServer.get()
        let ids = ["name:OLD=DB_PASSWORD:1", "name:USER=DB#user", "name:PORT=DB:1#port", "name:LIST=DB#list"]
        let remote = try Remote(["gcpsecrets", Self.largest, "app", "name:UP=DB:.."] + ids, variables(server))
        let names = ["BLOB", "DB", "DB_PASSWORD", "DISABLED", "EMPTY", "billing-A", "billing-B"]
        #expect(try await remote.list() == .success(names))
        #expect(try await remote.error("a.b")?.message == "no secret there can have this name")
        #expect(try await remote.error("UP")?.kind == .notFound)
        let values = try await remote.fetch(["DB_PASSWORD", "BLOB", "EMPTY", "OLD", "USER", "PORT", "LIST", "NONE"])
        #expect(values["DB_PASSWORD"] == .success(Array("second".utf8)))
        #expect(values["OLD"] == .success(Array("first".utf8)) && values["BLOB"] == .success(Array(0...255)))
        #expect(values["EMPTY"] == .success([]) && values["USER"] == .success(Array("u1".utf8)))
        #expect(values["PORT"] == .success(Array("5432".utf8)))
        #expect(values["LIST"] == .failure(ProviderError(.invalid, "the member is no text, number or boolean")))
        let missing = ProviderError(.notFound, "Secret Manager has no such secret or version")
        #expect(values["NONE"] == .failure(missing))
        // Those whose names begin alike, called by the rest.
        let billing = try Remote(["gcpsecrets", "4", "app/billing-", "name:X=DB_PASSWORD"], variables(server))
        #expect(try await billing.list() == .success(["A", "B"]))
        #expect(try await billing.text("A") == "of a")
        #expect(try await billing.error("X") == ProviderError(.invalid, "the value is larger than 4 bytes"))
        let region = try Remote(["gcpsecrets", Self.largest, "app", "region=europe-west3"], variables(server))
        #expect(try await region.text("DB_PASSWORD") == "of the region")
    }

    @Test func aServerOfOthersIsReadAsTheDoubleIs() async throws {
        let server = try await GoogleServer.get()
        let words = ["gcpsecrets", Self.largest, "app", "endpoint=\(server.facts.drongo)"]
        let remote = try Remote(words + ["name:OLD=TWO:1", "name:OFF=OFF:1"], variables(server))
        #expect(try await remote.list() == .success(["OFF", "ONE", "TWO"]))
        #expect(try await remote.text("ONE") == "of drongo")
        #expect(try await remote.text("TWO") == "new")
        #expect(try await remote.text("OLD") == "old")
        #expect(try await remote.error("NONE")?.kind == .notFound)
        let disabled = ProviderError(.notFound, "the version is disabled or destroyed")
        #expect(try await remote.error("OFF") == disabled)
    }

    @Test func anAccountSignsForATokenThatIsUsedToItsEnd() async throws {
        let server = try await GoogleServer.get()
        let directory = try TemporaryDirectory()
        let remote = try Remote(
            ["gcpsecrets", Self.largest, "app"],
            try variables(server, account: "counted", in: directory)
        )
        for _ in 1...3 { #expect(try await remote.text("DB_PASSWORD") == "second") }
        #expect(try await server.count("counted") == 1)
        // One that is taken back is followed by another.
        try await server.revoke("counted")
        #expect(try await remote.text("DB_PASSWORD") == "second")
        #expect(try await server.count("counted") == 2)
        // One that has ended when it comes serves the request that it was asked for.
        let brief = try Remote(
            ["gcpsecrets", Self.largest, "app"],
            try variables(server, account: "brief", in: directory)
        )
        for _ in 1...2 { #expect(try await brief.text("DB_PASSWORD") == "second") }
        #expect(try await server.count("brief") == 2)
    }

    @Test func credentialsAreLookedForWhereGoogleLooks() async throws {
        let server = try await GoogleServer.get()
        let directory = try TemporaryDirectory()
        let words = ["gcpsecrets", Self.largest, "app"]
        func error(_ changes: [String: String?]) async throws -> ProviderError? {
            let withoutToken: [String: String?] = ["CLOUDSDK_AUTH_ACCESS_TOKEN": nil]
            let variables = variables(server, withoutToken.merging(changes) { $1 })
            return try await Remote(words, variables).error("DB_PASSWORD")
        }
        #expect(try await error([:])?.message == "there are no credentials of Google")
        #expect(try await error(["GOOGLE_OAUTH_ACCESS_TOKEN": server.facts.token]) == nil)
        #expect(try await error(["GOOGLE_OAUTH_ACCESS_TOKEN": "none"])?.message.contains("UNAUTHENTICATED") == true)
        #expect(try await error(["GOOGLE_OAUTH_ACCESS_TOKEN": "a b"])?.kind == .denied)
        let host = String(server.facts.address.dropFirst("http://".count))
        #expect(try await error(["NO_GCE_CHECK": nil, "GCE_METADATA_HOST": host]) == nil)
        let foreign = try await error(["NO_GCE_CHECK": nil, "GCE_METADATA_HOST": "192.0.2.1"])
        #expect(foreign?.message == "GCE_METADATA_HOST is no address of this host")
        let usual = try #require(server.facts.accounts["reader"])
        let path = try directory.write(Array(usual.utf8), to: "application_default_credentials.json")
        #expect(try await error(["CLOUDSDK_CONFIG": directory.path]) == nil)
        // What others could write is no file of ours.
        try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: path)
        #expect(try await error(["CLOUDSDK_CONFIG": directory.path])?.message.contains("cannot read") == true)
        for (text, part) in [
            ("", "has no credentials"), (#"{"type": "authorized_user"}"#, "is not the key of a service account"),
            (usual.replacing("\(server.facts.address)/token", with: "http://192.0.2.1"), "lacks"),
            (usual.replacing("PRIVATE KEY", with: "PUBLIC KEY"), "no RSA key"),
            (try #require(server.facts.accounts["nobody"]), "Google refuses the key of nobody@"),
        ] {
            let path = try directory.write(Array(text.utf8), to: "odd.json")
            let error = try await error(["GOOGLE_APPLICATION_CREDENTIALS": path])
            #expect(error?.kind == .denied && error?.message.contains(part) == true, "\(String(describing: error))")
        }
        let absent = try await error(["GOOGLE_APPLICATION_CREDENTIALS": directory.path("absent")])
        #expect(absent?.message.contains("which GOOGLE_APPLICATION_CREDENTIALS names") == true)
        let busy = try await Remote(words, try variables(server, account: "busy", in: directory)).error("DB")
        #expect(busy?.kind == .throttled && busy?.retryAfter == 7)
    }

    @Test func failuresOfGoogleAreToldApartWithoutItsSentences() async throws {
        let server = try await GoogleServer.get()
        let remote = try Remote(["gcpsecrets", Self.largest, "app", "name:NO=DB_PASSWORD:7"], variables(server))
        for (name, kind) in [
            ("BROKEN", ProviderError.Kind.unavailable), ("DOWN", .unavailable), ("BUSY", .throttled),
            ("MOVED", .unavailable), ("DISABLED", .notFound), ("NO", .notFound), ("DAMAGED", .unavailable),
        ] {
            let error = try #require(try await remote.error(name))
            #expect(error.kind == kind && !error.message.contains("sentence"), "\(name): \(error)")
            if name == "BUSY" { #expect(error.retryAfter == 9) }
        }
        let words = ["gcpsecrets", Self.largest, "foreign"]
        let foreign = try #require(try await Remote(words, variables(server)).error("A"))
        #expect(foreign.message == "Secret Manager refuses: PERMISSION_DENIED")
        #expect(foreign.hint.contains("secretAccessor"))
        let plain = variables(server, ["CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": "http://192.0.2.1"])
        let address = try await Remote(["gcpsecrets", Self.largest, "app"], plain).error("A")
        #expect(address?.message == "the endpoint of Secret Manager is plain http, which others could read on its way")
    }

    @Test func hostileAnswersAreRefused() async throws {
        let server = try await GoogleServer.get()
        let remote = try Remote(["gcpsecrets", Self.largest, "hostile"], variables(server))
        let names = [
            "LIST", "NULL", "TEXT", "CUT", "NUMBER", "BASE64", "TWICE", "DEEP", "BYTES", "LARGE", "NONE",
        ]
        for (name, result) in try await remote.fetch(names) {
            guard case .failure(let error) = result, error.kind == .invalid else {
                Issue.record("\(name): \(result)")
                continue
            }
        }
        let endless = try await Remote(["gcpsecrets", Self.largest, "endless"], variables(server)).list()
        #expect(throws: ProviderError.self) { try endless.get() }
    }

    @Test(.enabled(if: geteuid() == 0)) func onlyLockedMemoryHasTheKeyOfAnAccount() async throws {
        let server = try await GoogleServer.get()
        let directory = try TemporaryDirectory()
        let remote = try Remote(
            ["gcpsecrets", Self.largest, "app"],
            try variables(server, account: "reader", in: directory)
        )
        #expect(try await remote.text("BLOB").isEmpty == false)
        // A line of the key, of which nothing is left once there is a token; and of tokens one.
        let text = try #require(server.facts.accounts["reader"])
        let line = try #require(text.split(separator: "\\n").dropFirst(3).first)
        let kept = try ProcessMemory.copiesOfKept(in: remote.id)
        for (part, most) in [(String(line), 0), ("ya29.c.", kept), ("Bearer ya29", 0)] {
            var count = -1
            for _ in 0..<100 {
                count = try await ProcessMemory.count(of: part, in: remote.id)
                if count <= most { break }
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(count == most, "\(part)")
        }
    }

    @Test func checksumsAreThoseOfRFC3720() {
        for (bytes, sum) in [
            ([UInt8](repeating: 0, count: 32), UInt32(0x8a91_36aa)), ([UInt8](repeating: 255, count: 32), 0x62a8_ab43),
            (Array(0..<32), 0x46dd_794e), (Array((0..<32).reversed()), 0x113f_db5c),
            (Array("123456789".utf8), 0xe306_9283),
        ] {
            #expect(CRC32C.of(bytes.span) == sum)
        }
    }
}
