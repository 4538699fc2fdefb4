// SPDX-License-Identifier: Apache-2.0

import Credentials
import Glibc
import Synchronization
import SystemCalls
import Testing

@Suite struct SecretLoadingTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test(arguments: [
        ("token", "token"), ("token\n", "token"), ("token\r\n", "token"), ("token\n\n", "token\n"),
        ("token\r", "token\r"), ("\ntoken\n", "\ntoken"), ("a\0b\n", "a\0b"),
    ])
    func stripsOneEndOfLineByDefault(written: String, read: String) throws {
        let path = try directory.write("token", written)
        let secret = try Secret(contentsOfFile: path)
        #expect(secret.text == read)
        #expect(secret.byteCount == read.utf8.count)
    }

    @Test(arguments: ["token\n", "token\r\n", "\n", "a\0b"])
    func keepsEveryByteWhenAskedTo(written: String) throws {
        let path = try directory.write("token", written)
        #expect(try Secret(contentsOfFile: path, newline: .exact).text == written)
    }

    @Test(arguments: ["", "\n", "\r\n"])
    func refusesEmptyUnlessAllowed(written: String) throws {
        let path = try directory.write("token", written)
        let error = loadFailure(.file(path))
        #expect(error?.code == .invalidFormat)
        #expect(error?.description == "invalid format: \(path) (empty)")
        #expect(try Secret(contentsOfFile: path, policy: FilePolicy(allowsEmpty: true)).byteCount == 0)
    }

    @Test(arguments: [1, 4031, 4032, 4033, 4095, 4096, 4097, 8191, 8192, 65_536, 1 << 20])
    func readsEverySize(count: Int) throws {
        let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let path = try directory.write("bytes", content)
        #expect(try Secret(contentsOfFile: path, newline: .exact).content == content)
    }

    @Test func readsFilesThatDoNotKnowTheirSize() throws {
        let secret = try Secret(contentsOfFile: "/proc/self/environ", newline: .exact)
        #expect(secret.byteCount > 0)
    }

    @Test func refusesWhatIsLargerThanTheLimit() throws {
        let path = try directory.write("bytes", [UInt8](repeating: 1, count: 101))
        #expect(try Secret(contentsOfFile: path, policy: FilePolicy(maximumByteCount: 101)).byteCount == 101)
        let error = loadFailure(.file(path), policy: FilePolicy(maximumByteCount: 100))
        #expect(error?.code == .tooLarge)
        #expect(error?.description == "file too large: \(path) (limit: 100 bytes)")
    }

    @Test func refusesAHugeFileWithoutReadingIt() throws {
        let path = try directory.write("huge", "x")
        try call { unsafe truncate(path, 1 << 42) }
        #expect(loadFailure(.file(path))?.code == .tooLarge)
    }

    @Test(arguments: [Int.min, -1, 0])
    func aSenselessLimitAdmitsNothing(limit: Int) throws {
        let path = try directory.write("token", "x")
        #expect(loadFailure(.file(path), policy: FilePolicy(maximumByteCount: limit))?.code == .tooLarge)
    }

    @Test func aMissingFileIsNamed() {
        let path = directory("absent")
        let error = loadFailure(.file(path))
        #expect(error?.code == .fileNotFound)
        #expect(error?.path == path)
        #expect(error?.description == "file not found: \(path)")
        #expect(loadFailure(.file(directory("no/such/directory")))?.code == .fileNotFound)
    }

    // MARK: NAME_FILE

    @Test(arguments: ["API_TOKEN", "api-token", "api.token"])
    func followsNameFile(name: String) throws {
        let path = try directory.write("token", "from variable\n")
        let other = try directory.write("default", "from default\n")
        let source = CredentialSource.variable(name, default: other)
        #expect(try Secret(from: source, in: environment(["API_TOKEN_FILE": path])).text == "from variable")
        #expect(try Secret(from: source, in: environment([:])).text == "from default")
        #expect(try Secret(from: source, in: environment(["API_TOKEN_FILE": ""])).text == "from default")
    }

    @Test func aNameThatBeginsWithADigitGetsAnUnderscore() throws {
        let path = try directory.write("token", "x")
        #expect(try Secret(from: .variable("2fa"), in: environment(["_2FA_FILE": path])).text == "x")
    }

    @Test func aVariableThatIsSetIsNeverPassedOver() throws {
        let other = try directory.write("default", "x")
        let variables = ["A_FILE": directory("absent")]
        #expect(loadFailure(.variable("A", default: other), variables)?.code == .fileNotFound)
        #expect(loadFailure(.firstExisting([.variable("A"), .file(other)]), variables)?.code == .fileNotFound)
    }

    @Test func aSecretInPlaceOfAPathIsNotShown() {
        let error = loadFailure(.variable("A"), ["A_FILE": "canary-4711"])
        #expect(error?.code == .pathNotAllowed)
        #expect(error?.description == "path not allowed: $A_FILE (must hold an absolute path)")
        let notText = failure { () throws(CredentialsError) in
            _ = try Secret(from: .variable("A", default: "/dev/null"), in: { _ in .notUTF8 })
        }
        #expect(notText?.code == .pathNotAllowed)
    }

    @Test func withoutVariableAndDefaultThereIsNoCredential() {
        let error = loadFailure(.variable("A"))
        #expect(error?.code == .credentialNotFound)
        #expect(error?.description == "credential not found: $A_FILE")
    }

    // MARK: CREDENTIALS_DIRECTORY

    @Test(arguments: ["token", "x y", ".hidden", "*", "-n"])
    func findsSystemdCredentials(name: String) throws {
        try directory.write(name, "value", mode: 0o400)
        let secret = try Secret(
            from: .systemdCredential(name),
            in: environment(["CREDENTIALS_DIRECTORY": directory.path])
        )
        #expect(secret.text == "value")
    }

    @Test(arguments: ["", ".", "..", "a/b", "a:b", "a\tb", "\u{e9}", "a\0b", String(repeating: "z", count: 256)])
    func refusesWhatIsNoCredentialName(name: String) {
        let error = loadFailure(.systemdCredential(name), ["CREDENTIALS_DIRECTORY": directory.path])
        #expect(error?.code == .pathNotAllowed)
    }

    @Test func aMissingCredentialIsNamed() {
        let error = loadFailure(.systemdCredential("token"), ["CREDENTIALS_DIRECTORY": directory.path])
        #expect(error?.description == "credential not found: token")
        #expect(loadFailure(.systemdCredential("token"))?.code == .credentialNotFound)
        #expect(
            loadFailure(.systemdCredential("token"), ["CREDENTIALS_DIRECTORY": "relative"])?.code == .pathNotAllowed
        )
    }

    // MARK: Several

    @Test func theFirstThatExistsDecides() throws {
        let second = try directory.write("second", "2")
        let third = try directory.write("third", "3")
        let source = CredentialSource.firstExisting([
            .variable("A"), .systemdCredential("a"), .file(directory("first")), .file(second), .file(third),
        ])
        #expect(try Secret(from: source, in: environment([:])).text == "2")
        try directory.write("a", "1")
        #expect(try Secret(from: source, in: environment(["CREDENTIALS_DIRECTORY": directory.path])).text == "1")
    }

    @Test func oneThatIsRefusedIsNotPassedOver() throws {
        let open = try directory.write("open", "1", mode: 0o644)
        let good = try directory.write("good", "2")
        #expect(loadFailure(.firstExisting([.file(open), .file(good)]))?.code == .permissionsTooOpen)
    }

    @Test func whenNoneExistsTheErrorNamesAll() {
        let error = loadFailure(.firstExisting([.variable("A"), .systemdCredential("b"), .file("/nowhere/c")]))
        #expect(error?.description == "credential not found: $A_FILE, b, /nowhere/c")
        #expect(loadFailure(.firstExisting([]))?.code == .credentialNotFound)
    }

    @Test func standardLooksAtVariableThenDirectory() throws {
        let file = try directory.write("elsewhere", "variable")
        try directory.write("api-token", "directory")
        let variables = ["CREDENTIALS_DIRECTORY": directory.path]
        #expect(try Secret(from: .standard("api-token"), in: environment(variables)).text == "directory")
        let both = variables.merging(["API_TOKEN_FILE": file]) { $1 }
        #expect(try Secret(from: .standard("api-token"), in: environment(both)).text == "variable")
    }

    // MARK: Ways to the content

    @Test func lendsText() throws {
        let secret = try Secret(copying: Array("gr\u{fc}n".utf8).span)
        let text = try secret.withUTF8String { $0 }
        #expect(text == "gr\u{fc}n")
    }

    @Test(arguments: [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]] as [[UInt8]])
    func bytesThatAreNotUTF8AreNoText(bytes: [UInt8]) throws {
        let secret = try Secret(copying: bytes.span)
        #expect(throws: CredentialsError.self) { try secret.withUTF8String { _ in } }
        #expect(secret.content == bytes)
    }

    @Test func errorsOfTheCallerPassThrough() throws {
        struct Mine: Error {}
        let secret = try Secret(copying: [1].span)
        #expect(throws: Mine.self) { try secret.withUTF8String { _ in throw Mine() } }
        #expect(throws: Mine.self) { try secret.withBytes { _ throws(Mine) in throw Mine() } }
    }

    @Test func aFileThatIsWrittenToMeanwhileIsReadAgain() throws {
        // Every version has one byte repeated: a mixture would show.
        let path = try directory.write("token", [UInt8](repeating: 65, count: 200_000))
        let version = Mutex<UInt8>(65)
        var read = 0
        try whileRepeating {
            let next = version.withLock { version in
                version = version == 90 ? 65 : version + 1
                return version
            }
            try directory.write("token", [UInt8](repeating: next, count: 200_000))
            usleep(2000)
        } _: {
            while read < 100 {
                do throws(CredentialsError) {
                    let secret = try Secret(contentsOfFile: path)
                    #expect(Set(secret.content).count == 1)
                    read += 1
                } catch {
                    // Never at rest while it was read, or empty just then.
                    try #require([.inputOutput, .invalidFormat].contains(error.code))
                }
            }
        }
    }
}
