// SPDX-License-Identifier: Apache-2.0

import Credentials
import Glibc
import Synchronization
import Testing

@Suite struct CredentialStoreTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func store(
        _ credentials: Credential...,
        variables: [String: String] = [:]
    ) throws(CredentialsError) -> CredentialStore {
        try CredentialStore(credentials, in: environment(variables))
    }

    private func text(_ store: CredentialStore, _ name: String) throws -> String {
        try store.secret(name).secret.text
    }

    @Test func namesAndAliasesLeadToTheSameCredential() throws {
        let path = try directory.write("token", "x\n")
        let store = try store(Credential("api-token", aliases: ["API_TOKEN", "token"], from: .file(path)))
        let one = try store.secret("api-token")
        let two = try store.secret("API_TOKEN")
        #expect(one === two)
        #expect(try text(store, "token") == "x")
        #expect(store.snapshot.contains("token"))
        #expect(!store.snapshot.contains("other"))
        let error = failure { () throws(CredentialsError) in _ = try store.secret("other") }
        #expect(error?.description == "credential not found: other")
    }

    @Test func withoutASourceTheUsualPlacesOfAllNamesAreLookedAt() throws {
        try directory.write("API_TOKEN", "x")
        let store = try store(
            Credential("api-token", aliases: ["API_TOKEN"]),
            variables: ["CREDENTIALS_DIRECTORY": directory.path]
        )
        #expect(try text(store, "api-token") == "x")
    }

    @Test(arguments: [["a", "a"], ["a", ""]])
    func namesMustDiffer(names: [String]) throws {
        let error = failure { () throws(CredentialsError) in
            _ = try CredentialStore([Credential(names[0], aliases: [names[1]])])
        }
        #expect(error?.code == .invalidDeclaration)
    }

    @Test func aRequiredCredentialMustBeThere() throws {
        let error = failure { () throws(CredentialsError) in _ = try store(Credential("token")) }
        #expect(error?.code == .credentialNotFound)
        #expect(
            error?.description == "credential not found: token (looked for $TOKEN_FILE, token, /run/secrets/token)"
        )
        let path = directory("absent")
        let file = failure { () throws(CredentialsError) in _ = try store(Credential("token", from: .file(path))) }
        #expect(file?.description == "file not found: \(path)")
        #expect(file?.name == "token")
    }

    @Test func anOptionalOneMayBeMissingAndComeLater() throws {
        let path = directory("late")
        let store = try store(Credential("token", from: .file(path), isRequired: false))
        #expect(throws: CredentialsError.self) { try store.secret("token") }
        #expect(try !store.reloadIfChanged())
        try directory.write("late", "x")
        #expect(try store.reloadIfChanged())
        #expect(try text(store, "token") == "x")
        unlinkFile("late")
        #expect(try store.reloadIfChanged())
        #expect(!store.snapshot.contains("token"))
    }

    private func unlinkFile(_ name: String) {
        unsafe unlink(directory(name))
    }

    @Test func anOptionalOneThatIsRefusedIsAnError() throws {
        let path = try directory.write("token", "x", mode: 0o644)
        let error = failure { () throws(CredentialsError) in
            _ = try store(Credential("token", from: .file(path), isRequired: false))
        }
        #expect(error?.code == .permissionsTooOpen)
    }

    @Test(
        arguments: [
            (Credential.Format.text, [0xff]), (.text, [0x61, 0]), (.hexKey, [0x61]), (.json, [0x7b]),
        ] as [(Credential.Format, [UInt8])]
    )
    func theFormIsChecked(format: Credential.Format, content: [UInt8]) throws {
        let path = try directory.write("token", content)
        let error = failure { () throws(CredentialsError) in
            _ = try store(Credential("token", from: .file(path), format: format))
        }
        #expect(error?.code == .invalidFormat)
        #expect(error?.name == "token")
        let anyway = try store(Credential("token", from: .file(path), format: .bytes))
        #expect(try anyway.secret("token").secret.content == content)
    }

    @Test func formsHandOutWhatTheyAreFor() throws {
        let key = try directory.write("key", String(repeating: "0b", count: 32) + "\n")
        let json = try directory.write("json", "{\"password\": \"x\"}\n")
        let store = try store(
            Credential("key", from: .file(key), format: .hexKey),
            Credential("database", from: .file(json), format: .json)
        )
        let loaded = try SecretKey(hexDigits: store.secret("key").secret)
        let same = loaded.withBytes { bytes in bytes.indices.allSatisfy { bytes[$0] == 0x0b } }
        #expect(same)
        #expect(try store.secret("database").secret.jsonSecret("password").text == "x")
    }

    // MARK: Reloading

    @Test func nothingIsReadWhileNothingChanges() throws {
        let path = try directory.write("token", "x")
        let store = try store(Credential("token", from: .file(path)))
        let before = try store.secret("token")
        #expect(try !store.reloadIfChanged())
        #expect(store.snapshot.generation == 1)
        #expect(try store.secret("token") === before)
    }

    @Test func aReplacedFileIsANewGeneration() throws {
        let path = try directory.write("token", "one")
        let other = try directory.write("other", "same")
        let store = try store(Credential("token", from: .file(path)), Credential("other", from: .file(other)))
        let old = store.snapshot
        let kept = try store.secret("other")
        try directory.write("next", "two")
        try call { unsafe rename(directory("next"), path) }
        #expect(try store.reloadIfChanged())
        #expect(try text(store, "token") == "two")
        #expect(store.snapshot.generation == 2)
        #expect(try old.secret("token").secret.text == "one")
        #expect(old.generation == 1)
        #expect(try store.secret("other") === kept)
        #expect(try !store.reloadIfChanged())
    }

    @Test func aFileThatIsWrittenInPlaceIsANewGeneration() throws {
        let path = try directory.write("token", "one")
        let store = try store(Credential("token", from: .file(path)))
        try directory.write("token", "three")
        #expect(try store.reloadIfChanged())
        #expect(try text(store, "token") == "three")
    }

    @Test func aFailedReloadKeepsWhatThereIs() throws {
        let path = try directory.write("token", "one")
        let store = try store(Credential("token", from: .file(path)))
        try directory.write("token", "two", mode: 0o644)
        #expect(throws: CredentialsError.self) { try store.reloadIfChanged() }
        #expect(try text(store, "token") == "one")
        unlinkFile("token")
        #expect(throws: CredentialsError.self) { try store.reloadIfChanged() }
        #expect(try text(store, "token") == "one")
        #expect(store.snapshot.generation == 1)
        try directory.write("token", "three")
        #expect(try store.reloadIfChanged())
        #expect(try text(store, "token") == "three")
    }

    @Test func aPlaceThatComesFirstTakesOver() throws {
        let second = try directory.write("second", "2")
        let first = directory("first")
        let store = try store(Credential("token", from: .firstExisting([.file(first), .file(second)])))
        #expect(try text(store, "token") == "2")
        try directory.write("first", "1")
        #expect(try store.reloadIfChanged())
        #expect(try text(store, "token") == "1")
    }

    // MARK: Kubernetes

    private func makeVolume(_ generation: Int) throws {
        let name = "..2026_\(generation)"
        try directory.makeDirectory(name)
        for file in ["user", "password"] { try directory.write("\(name)/\(file)", "\(generation)", mode: 0o400) }
    }

    @Test func aKubernetesVolumeIsReadWhenAskedFor() throws {
        try makeVolume(1)
        try directory.link("..data", to: "..2026_1")
        try directory.link("user", to: "..data/user")
        let source = CredentialSource.file("user", within: directory.path)
        #expect(try Secret(from: source, policy: .kubernetes).text == "1")
        #expect(try Secret(contentsOfFile: directory("user"), policy: .kubernetes).text == "1")
        #expect(loadFailure(source)?.reason == "a symbolic link")
    }

    @Test(arguments: [
        ("user", "..2026_1/user"), ("user", "..data/password"), ("user", "/etc/hostname"), ("user", "..data/../x"),
        ("user", "..data/./user"), ("..data", ".."), ("..data", "."), ("..data", "..2026_1/."), ("..data", "sub"),
        ("..data", "../tmp"), ("..data", "/tmp"), ("..data", "..data"), ("..2026_1/user", "..data/user"),
        ("..2026_1/user", "password"),
    ])
    func otherLinksInAVolumeAreRefused(name: String, target: String) throws {
        try makeVolume(1)
        try directory.makeDirectory("sub")
        try directory.write("sub/user", "canary")
        try directory.link("..data", to: "..2026_1")
        try directory.link("user", to: "..data/user")
        unlinkFile(name)
        try directory.link(name, to: target)
        let error = loadFailure(.file("user", within: directory.path), policy: .kubernetes)
        #expect(error?.code == .pathNotAllowed)
    }

    @Test func aSwappedVolumeIsSeenAsOneGeneration() throws {
        try makeVolume(0)
        try directory.link("..data", to: "..2026_0")
        for name in ["user", "password"] { try directory.link(name, to: "..data/\(name)") }
        let store = try store(
            Credential("user", from: .file("user", within: directory.path), policy: .kubernetes),
            Credential("password", from: .file("password", within: directory.path), policy: .kubernetes)
        )
        let counter = Atomic(0)
        var seen: Set<String> = []
        try whileRepeating {
            let generation = counter.add(1, ordering: .relaxed).newValue
            try makeVolume(generation)
            try directory.relink("..data", to: "..2026_\(generation)")
            let old = directory("..2026_\(generation - 1)")
            for file in ["user", "password"] { unsafe unlink("\(old)/\(file)") }
            unsafe rmdir(old)
            usleep(300)
        } _: {
            while seen.count < 100 {
                do throws(CredentialsError) {
                    try store.reloadIfChanged()
                } catch {
                    // Swapped eight times in a row while being read: the next call finds it quiet.
                    try #require([.inputOutput, .fileNotFound].contains(error.code))
                }
                let snapshot = store.snapshot
                let user = try snapshot.secret("user").secret.text
                let password = try snapshot.secret("password").secret.text
                #expect(user == password)
                seen.insert(user)
            }
        }
    }

    // MARK: Health

    @Test func healthSaysWhatIsPresentAndValid() throws {
        let good = try directory.write("good", "canary-4711")
        let open = try directory.write("open", "canary-4711", mode: 0o644)
        let json = try directory.write("json", "canary-4711")
        let health = CredentialStore.health(of: [
            Credential("good", aliases: ["GOOD"], from: .file(good)),
            Credential("open", from: .file(open)),
            Credential("json", from: .file(json), format: .json, isRequired: false),
            Credential("absent", from: .file(directory("absent"))),
            Credential("optional", from: .file(directory("absent")), isRequired: false),
        ])
        #expect(health.map(\.state) == [.valid, .invalid, .invalid, .missing, .missing])
        #expect(health.map(\.isHealthy) == [true, false, false, false, true])
        #expect(health[0].aliases == ["GOOD"])
        #expect(health[0].description == "good: valid")
        #expect(
            health[1].description
                == "open: invalid: file permissions too open: \(open) (mode: 0644, expected 0600)"
        )
        #expect(health[4].description == "optional: missing, optional: file not found: \(directory("absent"))")
        var dumped = ""
        dump(health, to: &dumped)
        #expect(!dumped.contains("canary"))
    }

    @Test func healthOfAStoreLooksAtTheFilesOfNow() throws {
        let path = try directory.write("token", "x")
        let store = try store(Credential("token", from: .file(path)))
        #expect(store.health().map(\.state) == [.valid])
        try directory.write("token", "x", mode: 0o666)
        #expect(store.health().map(\.error?.code) == [.permissionsTooOpen])
        #expect(try text(store, "token") == "x")
    }
}
