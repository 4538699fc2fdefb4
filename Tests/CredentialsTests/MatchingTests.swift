// SPDX-License-Identifier: Apache-2.0

import Credentials
import Testing

@Suite struct MatchingTests {
    private func secret(_ text: String) throws -> Secret {
        try Secret(copying: text.utf8.span)
    }

    private func matches(_ text: String, _ candidate: String) throws -> Bool {
        try secret(text).matches(candidate)
    }

    @Test(arguments: ["a", "token", "gr\u{fc}n", "a\0b", "", String(repeating: "x", count: 10_000)])
    func theSameMatches(text: String) throws {
        #expect(try matches(text, text))
    }

    @Test(arguments: [
        ("token", ""), ("", "token"), ("token", "toke"), ("token", "token "), ("token", "Token"), ("token", "tokem"),
        ("token", "xoken"), ("token", "token\n"), ("token", "token\0"), ("a\0b", "a"), ("a\0b", "a\0c"), ("", "\0"),
    ])
    func everythingElseDoesNot(text: String, candidate: String) throws {
        #expect(try !matches(text, candidate))
    }

    @Test func everyOtherByteAtEveryPlaceDiffers() throws {
        let bytes = (0..<40).map { UInt8($0) }
        let secret = try Secret(copying: bytes.span)
        for index in bytes.indices {
            for bit in 0..<8 {
                var other = bytes
                other[index] ^= 1 << bit
                let isMatch = secret.matches(other.span)
                #expect(!isMatch)
            }
        }
    }

    @Test func textsThatAreEqualToSwiftOnlyDoNotMatch() throws {
        // The same character, composed and decomposed.
        #expect("\u{e9}" == "e\u{301}")
        #expect(try !matches("\u{e9}", "e\u{301}"))
    }

    @Test func secretsMatchEachOther() throws {
        let one = try secret("token")
        let same = try secret("token")
        let other = try secret("tokem")
        let results = (one.matches(same), same.matches(one), one.matches(other), other.matches(one))
        #expect(results == (true, true, false, false))
    }

    @Test func sharedSecretsMatch() throws {
        let shared = SharedSecret(try secret("token"))
        #expect(shared.matches("token"))
        let isMatch = shared.matches("token".utf8.span)
        #expect(isMatch)
        #expect(!shared.matches("tokem"))
        #expect(!shared.matches(""))
        #expect(shared.withBytes { $0.count } == 5)
        let text = try shared.withUTF8String { $0 }
        #expect(text == "token")
    }

    @Test func aSharedSecretServesManyThreads() async throws {
        let shared = SharedSecret(try secret("token"))
        let count = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask { (0..<200).count { _ in shared.matches("token") && !shared.matches("nekot") } }
            }
            return await group.reduce(0, +)
        }
        #expect(count == 1600)
    }
}
