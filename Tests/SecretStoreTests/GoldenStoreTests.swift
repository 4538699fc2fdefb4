// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Sealing
import SecretStore
import SecureFiles
import SecureMemory
import SystemCalls
import Testing

/// The stores in Tests/Vectors open with every version, for ever.
@Suite struct GoldenStoreTests {
    @Test(arguments: GoldenStore.all)
    func opensWithEveryValue(golden: GoldenStore) throws {
        let directory = try golden.copy()
        let store = try Self.open(directory.path)
        let loaded = try LoadedManifest(store)
        let keys = try loaded.manifest.unlock(with: golden.material(store))
        _ = try loaded.verified(with: keys)
        var cipher = try keys.valueCipher()
        var values: [String: String?] = [:]
        for secret in loaded.manifest.secrets {
            var text: String?
            if case .sealed(let value) = secret.value {
                let content = try cipher.open(value, as: secret.name).withBytes { Array(copying: $0) }
                text = Data(content).base64EncodedString()
            }
            values[secret.name.text] = .some(text)
        }
        #expect(values == (try golden.expected()))
    }

    @Test(arguments: GoldenStore.all)
    func isAccepted(golden: GoldenStore) throws {
        let directory = try golden.copy()
        let location = try Self.location(directory.path)
        let now = try #require(Timestamp("2026-12-01T00:00:00Z"))
        let outcome = AcceptanceGuard.examine(location, PermissionChecker(isStrict: true), now: now) {
            (store, manifest) throws(StoreError) in
            try manifest.unlock(with: golden.material(store))
        }
        #expect(outcome.failure == nil)
        #expect(outcome.results.map(\.status) == [.ok, .ok, .ok, .ok, .ok, .ok, .ok, .ok, .ok])
    }

    @Test(arguments: GoldenStore.all)
    func everyAttributeMeansWhatItMeant(golden: GoldenStore) throws {
        let directory = try golden.copy()
        let manifest = try LoadedManifest(Self.open(directory.path)).manifest
        #expect(manifest.generation == 4)
        #expect(manifest.expires == Timestamp("9999-12-31T23:59:59Z"))
        func entry(_ name: String) throws -> SecretEntry {
            let name = try #require(SecretName(name))
            return manifest.secrets[try #require(manifest.index(of: name))]
        }
        let token = try entry("API.TOKEN")
        #expect(token.description == "the \"team's\" token, f\u{fc}r \u{65e5}\u{672c}")
        #expect(token.required)
        #expect(token.format == .text)
        #expect(token.expires == Timestamp("9990-12-31T23:59:59Z"))
        #expect(token.rotated != nil)
        #expect(token.newline == .ensure)
        #expect(token.service == "API")
        #expect(token.mode == .ownerAndGroup)
        #expect(token.rotation?.every == "30d")
        #expect(token.rotation?.command == ["/usr/bin/printf", "a b: 'c'"])
        let policy = try #require(token.policy)
        #expect(policy.executables.map(\.path) == ["/usr/bin/curl", "/opt/with space/tool"])
        #expect(
            policy.executables.map(\.sha256)
                == [nil, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"]
        )
        #expect(policy.uids == [0, .max])
        #expect(policy.callers == .job)
        #expect(policy.maxReads == .max)
        #expect(policy.notBefore == Timestamp("2020-01-01T00:00:00Z"))
        #expect(policy.notAfter == Timestamp("9990-01-01T00:00:00Z"))
        #expect(policy.hidden)
        #expect(policy.decoy)
        #expect(try entry("CONFIG_JSON").format == .json)
        #expect(try entry("CONFIG_JSON").policy?.callers == .owner)
        #expect(try entry("TLS_KEY").format == .pem)
        #expect(try entry("TLS_KEY").policy?.callers == .any)
        #expect(try entry("HEX_KEY").format == .hex32)
        #expect(try entry("BLOB64").format == .base64)
        #expect(try entry("BLOB64").newline == .strip)
        #expect(try entry("PLACEHOLDER").value == .empty)
        #expect(try entry("PLACEHOLDER").required == false)
        #expect(try entry("GHCR_USER").mode == .ownerOnly)
    }

    @Test(arguments: GoldenStore.all)
    func theSecondImplementationReadsTheSame(golden: GoldenStore) async throws {
        let directory = try golden.copy()
        let outcome = try await SecondImplementation.run([
            golden.option, directory.path(golden.secretName), directory.path("secrets.yaml"),
        ])
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        let values = try JSONDecoder().decode([String: String?].self, from: Data(outcome.standardOutput))
        #expect(values == (try golden.expected()))
    }

    private static func location(_ path: String) throws -> StoreLocation {
        try StoreLocation(.init(store: path), user: getuid(), environment: { _ in nil })
    }

    private static func open(_ path: String) throws -> Store {
        try Store(location(path), checker: PermissionChecker(isStrict: true))
    }
}

/// The store with templates renders the same with every version, for ever.
@Suite struct GoldenTemplateTests {
    private static let directory = PackageDirectory.root + "Tests/Vectors/v1/template"

    private static func content(_ name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: "\(directory)/\(name)"))
    }

    private static func expected() throws -> [String: String] {
        try JSONDecoder().decode([String: String].self, from: content("expected.json"))
    }

    @Test func isAcceptedAndRendersEveryFile() throws {
        let directory = try TemporaryDirectory()
        for name in ["secrets.yaml", "secrets.key"] { try directory.write(Self.content(name), to: name) }
        let location = try StoreLocation(.init(store: directory.path), user: getuid(), environment: { _ in nil })
        let outcome = AcceptanceGuard.examine(location, PermissionChecker(isStrict: true), now: Timestamp.now()) {
            (store, manifest) throws(StoreError) in
            guard let key = try store.readKeyFile() else { throw StoreError(.failed, "no key file") }
            return try manifest.unlock(with: .keyFile(key))
        }
        let verified = try #require(outcome.verified, "\(outcome.failure?.message ?? "")")
        let set = SecretSet(verified.manifest.secrets, verified.keys)
        var values: [String: String] = [:]
        var content = try SecureBuffer(count: 0)
        for entry in set.entries {
            try set.open(entry, try set.file(of: entry)?.get(), into: &content)
            values[entry.name.text] = Data(content.withBytes { Array(copying: $0) }).base64EncodedString()
        }
        #expect(values == (try Self.expected()))
        let netrc = try #require(set.entries.first { $0.name.text == "NETRC" })
        #expect(netrc.format == .text && netrc.template?.names.map(\.text) == ["USER", "TOKEN", "a name"])
    }

    @Test func theSecondImplementationRendersTheSame() async throws {
        let outcome = try await SecondImplementation.run([
            "--key-file", "\(Self.directory)/secrets.key", "\(Self.directory)/secrets.yaml",
        ])
        #expect(outcome.status == .exited(0), "\(outcome.errorText)")
        #expect(try JSONDecoder().decode([String: String].self, from: Data(outcome.standardOutput)) == Self.expected())
    }
}

/// A store in Tests/Vectors/v1.
enum GoldenStore: String, CaseIterable, CustomTestStringConvertible {
    case keyfile
    case password
    case age

    static let all = allCases

    var testDescription: String { rawValue }
    /// The file that opens it.
    var secretName: String {
        switch self {
        case .keyfile: "secrets.key"
        case .password: "password"
        case .age: "keys.txt"
        }
    }
    /// How the second implementation is told of that file.
    var option: String {
        switch self {
        case .keyfile: "--key-file"
        case .password: "--password-file"
        case .age: "--identity"
        }
    }

    /// A copy with the modes that a store must have; git keeps none of them.
    func copy() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        for name in ["secrets.yaml", secretName] { try directory.write(content(name), to: name) }
        return directory
    }

    /// Names to Base64, nil for an entry without a value.
    func expected() throws -> [String: String?] {
        try JSONDecoder().decode([String: String?].self, from: content("expected.json"))
    }

    /// What opens a copy.
    func material(_ store: Store) throws(StoreError) -> KeyMaterial {
        switch self {
        case .keyfile:
            guard let key = try store.readKeyFile() else { throw StoreError(.failed, "no key file") }
            return .keyFile(key)
        case .password:
            let path = "\(store.location.directory)/password"
            var password = try Store.readSecretFile(path, store.checker)
            password.setCount(password.count - 1)
            return .password(password)
        case .age:
            let path = "\(store.location.directory)/keys.txt"
            let text = try Store.readSecretFile(path, store.checker)
            return .identities(
                try text.withBytes { (text) throws(StoreError) in try AgeIdentityFile(text, from: path) }
            )
        }
    }

    private func content(_ name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: PackageDirectory.root + "Tests/Vectors/v1/\(rawValue)/\(name)"))
    }
}
