// SPDX-License-Identifier: Apache-2.0

import Credentials
import Testing

/// What the compiler does not refuse (Tests/CompileFailures has what it does) shows nothing.
@Suite struct RedactionTests {
    private static let canary = "canary-4711-of-more-than-fifteen-bytes"

    private func shown(_ value: Any) -> [String] {
        var dumped = ""
        dump(value, to: &dumped)
        var printed = ""
        print(value, to: &printed)
        var children: [String] = []
        for child in Mirror(reflecting: value).children { children += shown(child.value) }
        return [dumped, printed, String(describing: value), String(reflecting: value), "\(value)"] + children
    }

    @Test func aSharedSecretShowsNothing() throws {
        let shared = SharedSecret(try Secret(copying: Self.canary.utf8.span))
        #expect("\(shared)" == "SharedSecret(redacted)")
        #expect(Mirror(reflecting: shared).children.isEmpty)
        #expect(shown(shared).allSatisfy { $0.contains("SharedSecret(redacted)") })
        for text in shown(shared) + shown([shared]) + shown(["key": shared]) + shown(shared as SharedSecret? as Any) {
            #expect(!text.contains(Self.canary))
        }
    }

    @Test func aStoreShowsNothing() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("token", Self.canary)
        let store = try CredentialStore([Credential("token", from: .file(path))])
        for text in shown(store) + shown(store.snapshot) + shown(store.health()) {
            #expect(!text.contains(Self.canary))
        }
        #expect("\(store)" == "CredentialStore(1 declared, generation 1)")
    }

    @Test func secretsAreNotCodable() throws {
        let shared: Any = SharedSecret(try Secret(copying: Self.canary.utf8.span))
        #expect(!(shared is any Encodable))
        #expect(!(shared is any Decodable))
        #expect(!(shared is any Hashable))
    }

    @Test func noErrorCarriesContent() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("token", Self.canary)
        let secret = try Secret(contentsOfFile: path)
        let json = try Secret(copying: "{\"a\": \"\(Self.canary)\", \"\(Self.canary)\": 1}".utf8.span)
        let broken = try Secret(copying: "{\"a\": \"\(Self.canary)\"".utf8.span)
        let notText = try Secret(copying: (Array(Self.canary.utf8) + [0xff]).span)
        var errors: [any Error] = []
        func collect(_ body: () throws -> Void) {
            do {
                try body()
                Issue.record("an error was expected")
            } catch {
                errors.append(error)
            }
        }
        collect { _ = try SecretKey(hexDigits: secret) }
        collect { _ = try SecretKey(bytes: secret) }
        collect { _ = try SecretKey(hexDigitsFrom: .file(path)) }
        collect { _ = try SecretKey(copying: Self.canary.utf8.span) }
        collect { _ = try SecretKey.derive(from: secret, domain: "") }
        collect { _ = try secret.jsonCount() }
        collect { _ = try json.jsonSecret("b") }
        collect { _ = try json.jsonInteger("a") }
        collect { _ = try json.jsonCount("a") }
        collect { _ = try broken.jsonSecret("a") }
        collect { try notText.withUTF8String { _ in } }
        collect { _ = try Secret(from: .variable("A"), in: environment(["A_FILE": Self.canary])) }
        collect { _ = try Secret(contentsOfFile: path, policy: FilePolicy(maximumByteCount: 3)) }
        for format in [Credential.Format.hexKey, .json] {
            collect { _ = try CredentialStore([Credential("token", from: .file(path), format: format)]) }
        }
        #expect(errors.count == 15)
        for text in errors.flatMap({ shown($0) }) { #expect(!text.contains(Self.canary)) }
    }

    @Test func everyCodeHasAMessage() throws {
        let missing = loadFailure(.file("/nowhere/token"))
        let code = try #require(missing?.code)
        #expect("\(code)" == "fileNotFound")
        #expect(code == .fileNotFound)
        #expect(code != .inputOutput)
        #expect(missing?.errorNumber == nil)
    }
}
