// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import RemoteProviders
import SecretProviders
import Synchronization
import SystemCalls
import Testing

/// The program credfs-remote against a double of Vault, from which a client of others reads first.
///
/// One after the other: they count requests of the same server.
@Suite(.timeLimit(.minutes(10)), .serialized) struct VaultTests {
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

    @Test func aSignedTokenLogsInByJWTAndByKubernetes() async throws {
        let server = try await VaultServer.get()
        let directory = try TemporaryDirectory()
        let file = try directory.write(Array("\(server.facts.signed)\n".utf8), to: "token")
        let words = ["vault", Self.largest, "secret/app"]
        let none: [String: String?] = ["VAULT_TOKEN": nil]
        let jwt = words + ["method=jwt", "jwt=\(file)"]
        // With the role that Vault supposes.
        #expect(try await Remote(jwt, variables(server, none)).text("PORT") == "5432")
        #expect(try await Remote(jwt + ["role=pod", "login=ci/jwt"], variables(server, none)).text("PORT") == "5432")
        let named: [String: String?] = [
            "VAULT_TOKEN": nil, "VAULT_AUTH_METHOD": "kubernetes", "VAULT_ROLE": "pod", "VAULT_JWT_FILE": file,
        ]
        let pod = try Remote(words, variables(server, named))
        #expect(try await pod.text("PORT") == "5432")
        // A refusal of one path is no reason for another login.
        let logins = try await server.count("auth/kubernetes/login")
        let forbidden = try Remote(["vault", Self.largest, "secret/forbidden"], variables(server, named))
        for _ in 1...2 { #expect(try await forbidden.error("A")?.kind == .denied) }
        #expect(try await server.count("auth/kubernetes/login") == logins + 1)
        // The file is read anew for each login.
        try await server.revoke()
        try directory.write(Array("another".utf8), to: "token")
        let refused = try await pod.error("PORT")
        #expect(refused?.kind == .denied && refused?.message == "Vault refuses the role or its token")
        try directory.write(Array(server.facts.signed.utf8), to: "token")
        #expect(try await pod.text("PORT") == "5432")

        let header = "the token of Vault is empty, or has what no header can have"
        for (more, changes, message) in [
            (["method=kubernetes", "jwt=\(file)"], none, "there is no role for the login"),
            (["method=kubernetes", "role=none", "jwt=\(file)"], none, "Vault refuses the role or its token"),
            (["method=jwt", "login=elsewhere", "jwt=\(file)"], none, "Vault refuses the role or its token"),
            (["method=jwt"], none, "no file of a token is named for the login"),
            (["method=jwt", "jwt=token"], none, "no file of a token is named for the login"),
            (["method=jwt", "jwt=/nonexistent/token"], none, "there is no /nonexistent/token"),
            (["method=jwt", "jwt=\(file)", "role=shown"], none, header),
            (["method=jwt", "jwt=\(file)", "wrapped=true"], none, "what is wrapped is a token or a secret id"),
            (["method=approle"], none, "there is no role for AppRole"),
            (["method=ldap"], none, "there is no such way to log in to Vault"),
            (["renew=perhaps"], none, "renew is true or false"),
            ([], ["VAULT_UNWRAP_TOKEN": "perhaps"], "VAULT_UNWRAP_TOKEN is true or false"),
        ] {
            let error = try await Remote(words + more, variables(server, changes)).error("PORT")
            #expect(error?.message == message, "\(more): \(String(describing: error))")
        }
    }

    @Test func aTokenOfALoginIsRenewedBeforeItsEndOrReplaced() async throws {
        let server = try await VaultServer.get()
        let directory = try TemporaryDirectory()
        let file = try directory.write(Array(server.facts.signed.utf8), to: "token")
        for (role, steps) in [
            // Seconds, then logins and renewals until then.
            ("pod", [(0, 1, 0), (3539, 1, 0), (3540, 1, 1), (7000, 1, 1), (7080, 1, 2), (20_000, 2, 2)]),
            ("batch", [(0, 1, 0), (539, 1, 0), (540, 2, 0)]),
            // What Vault gives one token comes to its end.
            ("capped", [(0, 1, 0), (3540, 2, 1)]),
            // While Vault fails, the token is used to its end, and nobody asks all the time.
            ("unsteady", [(0, 1, 0), (3540, 1, 1), (3541, 1, 1), (3570, 1, 2), (3600, 2, 2)]),
            ("endless", [(0, 1, 0), (100_000_000, 1, 0)]),
        ] as [(String, [(time: Int64, logins: Int, renewals: Int)])] {
            let settings = ["address": server.facts.address, "method": "jwt", "role": role, "jwt": file]
            let clock = Clock()
            let client = try VaultEnvironment(takingSecrets: settings).client(asker: -1) { clock.time }
            let before = (try await server.count("auth/jwt/login"), try await server.count("auth/token/renew-self"))
            for step in steps {
                clock.time = 1_000_000_000 + step.time
                _ = try await onItsOwnThread {
                    Result { () throws(ProviderError) in
                        try client.get("secret/data/app", "", limit: 1 << 20, BootClock.milliseconds() + 60_000)
                    }
                }.get()
                let logins = try await server.count("auth/jwt/login") - before.0
                let renewals = try await server.count("auth/token/renew-self") - before.1
                #expect(logins == step.logins && renewals == step.renewals, "\(role) at \(step.time)")
            }
        }
    }

    /// A clock that tests set.
    private final class Clock: Sendable {
        private let seconds = Mutex<Int64>(0)

        var time: Int64 {
            get { seconds.withLock { $0 } }
            set { seconds.withLock { $0 = newValue } }
        }
    }

    @Test func whatIsWrappedIsOpenedOnceAndOnlyIfItIsMeant() async throws {
        let server = try await VaultServer.get()
        let directory = try TemporaryDirectory()
        let words = ["vault", Self.largest, "secret/app"]
        let spent = "the wrapping token was used, or has ended"
        try directory.write(Array(try await server.wrap("token").utf8), to: ".vault-token")
        let home: [String: String?] = ["VAULT_TOKEN": nil, "HOME": directory.path, "VAULT_UNWRAP_TOKEN": "true"]
        let remote = try Remote(words, variables(server, home))
        #expect(try await remote.text("PORT") == "5432")
        let unwraps = try await server.count("sys/wrapping/unwrap")
        #expect(try await remote.text("TLS") == "true")
        #expect(try await server.count("sys/wrapping/unwrap") == unwraps)
        // Nobody opens it again, and a refusal does not make it forgotten.
        #expect(try await Remote(words, variables(server, home)).error("PORT")?.message == spent)
        try await server.revoke()
        #expect(try await remote.error("PORT")?.message == "Vault refuses the token, or what it may read")
        try directory.write(Array(try await server.wrap("token").utf8), to: ".vault-token")
        #expect(try await remote.text("PORT") == "5432", "another one is opened")

        let role = [
            "VAULT_TOKEN": nil, "VAULT_ROLE_ID": server.facts.role,
            "VAULT_SECRET_ID_FILE": try directory.write(Array(try await server.wrap("secret").utf8), to: "secret-id"),
        ]
        let logins = try Remote(words + ["wrapped=true"], variables(server, role))
        #expect(try await logins.text("PORT") == "5432")
        // The secret id is kept for the next login.
        try await server.revoke()
        #expect(try await logins.text("PORT") == "5432")
        #expect(try await Remote(words + ["wrapped=true"], variables(server, role)).error("PORT")?.message == spent)

        // What somebody else has put there is not opened.
        for (what, changes) in [("other", role), ("token", role), ("secret", home), ("other", home)] {
            let opened = try await server.count("sys/wrapping/unwrap")
            let wrapping = try await server.wrap(what)
            try directory.write(Array(wrapping.utf8), to: changes["HOME"] == nil ? "secret-id" : ".vault-token")
            let error = try await Remote(words + ["wrapped=true"], variables(server, changes)).error("PORT")
            #expect(error?.kind == .denied && error?.message == "the wrapping token has wrapped something else")
            #expect(try await server.count("sys/wrapping/unwrap") == opened)
        }
    }

    @Test func aTokenThatWasGivenIsRenewedOnlyIfItIsForUs() async throws {
        let server = try await VaultServer.get()
        let words = ["vault", Self.largest, "secret/app"]
        for (renew, lookups) in [("true", 1), ("false", 0)] {
            let before = try await server.count("auth/token/lookup-self")
            let remote = try Remote(words + ["renew=\(renew)"], variables(server))
            #expect(try await remote.text("PORT") == "5432")
            #expect(try await remote.text("TLS") == "true")
            #expect(try await server.count("auth/token/lookup-self") == before + lookups)
        }
    }

    @Test func aFileThatLetsUsInIsForUsAlone() async throws {
        let server = try await VaultServer.get()
        let directory = try TemporaryDirectory()
        let path = try directory.write(Array(server.facts.token.utf8), to: ".vault-token", permissions: 0o640)
        var changes: [String: String?] = ["VAULT_TOKEN": nil, "HOME": directory.path]
        let words = ["vault", Self.largest, "secret/app"]
        let open = try await Remote(words, variables(server, changes)).error("PORT")
        #expect(open?.kind == .denied && open?.message == "\(path) is open to others: its mode is 0640, and not 0600")
        #expect(open?.hint.hasPrefix("chmod 600 \(path)") == true)
        changes["CREDFS_PERMISSIONS_STRICT"] = "0"
        #expect(try await Remote(words, variables(server, changes)).text("PORT") == "5432")
        // Links lead to files that others deliver in memory, as pods have them, and nowhere else.
        try directory.write(Array(server.facts.token.utf8), to: "elsewhere")
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "elsewhere")
        let link = try await Remote(words, variables(server, changes)).error("PORT")
        #expect(link?.kind == .denied && link?.message.contains("cannot read \(path)") == true)
        let memory = "/dev/shm/credfs-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: memory) }
        try Data(server.facts.token.utf8).write(to: URL(filePath: memory))
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: memory)
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: memory)
        changes["CREDFS_PERMISSIONS_STRICT"] = nil
        #expect(try await Remote(words, variables(server, changes)).text("PORT") == "5432")
    }

    @Test func whatIsNoMapOfKeysIsSaid() async throws {
        let server = try await VaultServer.get()
        func list(_ path: String) async throws -> Result<[String]?, ProviderError> {
            try await Remote(["vault", Self.largest, path], variables(server)).list()
        }
        #expect(
            try await list("secret/empty")
                == .failure(ProviderError(.notFound, "Vault has the path, and no key in its map"))
        )
        let noMap = ProviderError(.invalid, "what Vault has at the path is no map of keys")
        #expect(try await list("old/list") == .failure(noMap))
        #expect(try await list("old/text") == .failure(noMap))
        #expect(try await Remote(["vault", Self.largest, "old/list"], variables(server)).error("A") == noMap)
        // Of a key that no name can have another name takes the value.
        let odd = try Remote(["vault", Self.largest, "secret/odd", "name:ODD=we/ird"], variables(server))
        #expect(try await odd.text("ODD") == "odd")
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
        #expect(plain?.message == "the address of Vault is plain http, which others could read on its way")
    }
}
