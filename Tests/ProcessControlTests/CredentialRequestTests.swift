// SPDX-License-Identifier: Apache-2.0

import ProcessControl
import Testing

@Suite struct CredentialRequestTests {
    private func read(_ text: String) -> CredentialRequest? { CredentialRequest(boundName: Array(text.utf8)) }

    @Test func aNameOfSystemdIsTakenApart() throws {
        let request = try #require(read("\0adf9d86b6eda275e/unit/foobar@1-2\\x2d3.service/credential x"))
        #expect(request.unit == "foobar@1-2\\x2d3.service")
        #expect(request.credential == "credential x")
    }

    @Test(arguments: [
        "", "\0", "/run/socket", "adf9/unit/a.service/b", "\0/unit/a.service/b", "\0adf9/unit/a.service",
        "\0adf9/unit/a.service/b/c", "\0adf9/unit//b", "\0adf9/unit/a.service/", "\0ADF9/unit/a.service/b",
        "\0adf9/Unit/a.service/b", "\0adf9/unit/a b.service/b", "\0adf9/unit/a.service/b:c", "\0adf9/unit/a.service/..",
        "\0adf9/unit/a.service/.", "\0adf9/unit/a.service/b\0", "\0adf9/unit/a.service/b\n", "\0adf9/unit/\u{e9}/b",
        "\00123456789abcdef0/unit/a.service/b",
    ])
    func everythingElseIsNone(_ text: String) {
        #expect(read(text) == nil)
    }
}
