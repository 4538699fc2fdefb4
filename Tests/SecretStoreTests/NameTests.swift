// SPDX-License-Identifier: Apache-2.0

import SecretStore
import Testing

@Suite struct NameTests {
    @Test(arguments: [
        "GHCR_TOKEN", "a", "x y", "*", "-n", "ok.1", "~", "a'b", "NO", "123", String(repeating: "z", count: 255),
    ])
    func whatSystemdTakesIsAName(_ text: String) {
        #expect(SecretName(text)?.text == text)
    }

    @Test(arguments: [
        "", ".", "..", ".hidden", "a/b", "a:b", "a\tb", "a\nb", "\u{e9}", "a\u{7f}", "a\0b",
        String(repeating: "z", count: 256),
    ])
    func whatSystemdRefusesAndLeadingDotsAreNoNames(_ text: String) {
        #expect(SecretName(text) == nil)
    }

    @Test func namesAreOrderedByBytes() throws {
        let names = try ["b", "a", "B", "a.b", "a-b"].map { try #require(SecretName($0)) }
        #expect(names.sorted().map(\.text) == ["B", "a", "a-b", "a.b", "b"])
    }

    @Test func oneSlashMeansServiceAndKey() throws {
        let reference = try #require(SecretReference("github/token"))
        #expect(reference.name.text == "github.token")
        #expect(reference.service == "github")
        #expect(SecretReference("plain")?.service == nil)
    }

    @Test(arguments: ["/", "a/", "/a", "a/b/c", "a//b", ".a/b", "a:b/c", "a/b:c", ".x"])
    func otherSlashesAreRefused(_ text: String) {
        #expect(SecretReference(text) == nil)
    }

    @Test func theKeyMayBeginWithADotSinceTheNameDoesNot() {
        #expect(SecretReference("a/.b")?.name.text == "a..b")
    }
}
