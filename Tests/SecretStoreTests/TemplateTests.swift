// SPDX-License-Identifier: Apache-2.0

import SecretStore
import Testing

@Suite struct TemplateTests {
    @Test(arguments: [
        ("{{ A }}", ["A"]), ("{{A}}{{ B }}{{ A }}", ["A", "B"]), ("x", []), ("{{ A | base64 | json }}", ["A"]),
        ("{{ A \": \" B }}", ["A", "B"]), ("{{ 'two words' }}", ["two words"]), ("{{ 'it''s' | url }}", ["it's"]),
        ("{{\n\tA\n}}", ["A"]), ("{{ billing/API_KEY }}", ["billing.API_KEY"]), ("{{ a=b+c@d }}", ["a=b+c@d"]),
        ("{{{{ A }}", []), ("{{{ A }}}", ["A"]), ("{{{{{{ A }}", ["A"]), ("{ A } }}", []),
        ("{{ 'all' | json }}", ["all"]),
        ("{{ all | json }}", []), ("{{ \"\\\"}}\" A }}", ["A"]),
    ])
    func secretsAreNamed(_ text: String, _ names: [String]) throws {
        let template = try Template(text)
        #expect(template.names.map(\.text) == names)
        #expect(template.text == text)
        #expect(template.namesAll == text.contains("{ all |"))
    }

    @Test(arguments: [
        ("a\n{{ A", "line 2, column 3: an expression has no '}}'"), ("{{ }}", "the name of a secret is expected"),
        ("{{ | json }}", "the name of a secret is expected"), ("{{ A | }}", "a filter is expected"),
        ("{{ A || json }}", "a filter is expected"), ("{{ A | jsn }}", "column 8: unknown filter"),
        ("{{ A | json B }}", "'|' or '}}' is expected"), ("{{ A } }}", "'}}' is expected"),
        ("{{ A {{ B }}", "'{' in an expression"), ("{{ a:b }}", "bad name of a secret"),
        ("{{ .a }}", "bad name of a secret"), ("{{ 'A }}", "a name without its second quote"),
        ("{{ \"A }}", "a text without its second quote"), ("{{ all }}", "'all' takes dotenv or json"),
        ("{{ all | base64 }}", "'all' takes dotenv or json"), ("{{ all A | json }}", "'all' stands alone"),
        ("{{ A | json \"x\" }}", "a filter is expected"),
        ("{{ A | url | url | url | url | url }}", "more than 4 filters"),
        ("", "the template is empty"), ("a\0", "zero byte"), ("ENC[x", "begins like a sealed value"),
        ("\u{e9}\u{e9}{{ A", "line 1, column 5"),
    ])
    func whatIsNoTemplateIsRefused(_ text: String, _ message: String) {
        let error = failure { _ = try Template(text) }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "no error")")
    }

    /// A misplaced value is no part of a message.
    @Test func messagesHoldNothingOfATemplate() {
        let error = failure { _ = try Template("{{ A | hunter2 }}") }
        #expect(error?.message.contains("hunter2") == false && error?.hint?.contains("hunter2") == false)
    }

    @Test func thereAreLimits() throws {
        let many = String(repeating: "{{ A }}", count: Template.maximumExpressionCount)
        #expect(try Template(many).names.count == 1)
        #expect(failure { _ = try Template(many + "{{ A }}") }?.message.contains("more than 4096 expressions") == true)
        let large = String(repeating: "x", count: Template.maximumByteCount)
        #expect(try Template(large).names.isEmpty)
        #expect(failure { _ = try Template(large + "x") }?.message.contains("larger than 1 MiB") == true)
    }

    /// Texts that are the same to Unicode are two templates.
    @Test func everyByteCounts() throws {
        #expect(try Template("\u{e9}") != Template("e\u{301}"))
        #expect(try Template("x") == Template("x"))
    }
}

/// Templates in a manifest.
@Suite struct ManifestTemplateTests {
    private static let texts = [
        "machine ghcr.io login {{ A }} password {{ B }}\n", "{{ A }}", "plain", "yes", " {{ A }}\n", "a\r\nb\n",
        "a\n\n",
        "\u{feff}{{ A }}", "'\"\\", "# {{ A }}\n---\n...\n", "\t{{ A }}", "{{ A }} ", "\u{202e}", "a: b", "- a\n- b",
    ]

    private func manifest(_ fixture: StoreFixture, _ text: String) throws {
        try fixture.fill([("A", "x"), ("B", "y")]) { manifest in
            var file = try entry("FILE")
            file.value = .template(try Template(text))
            manifest.secrets.append(file)
        }
    }

    @Test(arguments: texts)
    func textComesBack(_ text: String) throws {
        let fixture = try StoreFixture()
        try manifest(fixture, text)
        let loaded = try LoadedManifest(fixture.store())
        let template = try #require(loaded.manifest.secrets.last?.template)
        #expect(template.text.utf8.elementsEqual(text.utf8))
        #expect(try loaded.verified(with: fixture.keys()).manifest.secrets.last?.template == template)
        let again = ManifestWriter.text(loaded.manifest, signature: loaded.signature)
        #expect(try ManifestReader.read(again.span).manifest() == loaded.manifest)
    }

    /// In a document for an editor a template stands as it is, and values as the function says.
    @Test(arguments: texts) func anEditorHasTheTemplate(_ text: String) throws {
        let fixture = try StoreFixture()
        try manifest(fixture, text)
        let manifest = try LoadedManifest(fixture.store()).manifest
        let document = try ManifestWriter.editableText(manifest.editable) { (_) throws(StoreError) in Array("''".utf8) }
        let again = try ManifestReader.read(document.span, as: .template).secrets
        #expect(again?.map(\.template) == manifest.secrets.map(\.template))
        let scalar = try #require(manifest.secrets.last?.template?.scalar)
        #expect(String(decoding: document, as: UTF8.self).contains("    template: \(scalar)\n"))
    }

    @Test func theTemplateIsReadableAndSigned() throws {
        let fixture = try StoreFixture()
        try manifest(fixture, "user {{ A }}\n")
        #expect(try fixture.text().contains("  FILE:\n    template: |\n      user {{ A }}\n"))
        try fixture.edit { $0.replacing("user {{ A }}", with: "user {{ B }}") }
        #expect(fixture.examine().failure?.check == .signature)
    }

    /// A template is no value of the same text.
    @Test func theKeyIsPartOfTheEncoding() throws {
        var file = try entry("FILE")
        file.value = .template(try Template("x"))
        let expected: [UInt8] =
            [UInt8(ascii: "M"), 0, 0, 0, 1, UInt8(ascii: "S"), 0, 0, 0, 8] + Array("template".utf8)
            + [UInt8(ascii: "S"), 0, 0, 0, 1, UInt8(ascii: "x")]
        #expect(CanonicalEncoding.bytes(of: file.node) == expected)
    }

    @Test(arguments: [
        ("template: x\n    value: \"\"", "both 'value' and 'template'"), ("value: \"\"\n    template: x", "both"),
        ("template: x\n    newline: strip", "no 'newline'"),
        ("template: x\n    rotate: {every: 1d, command: [/bin/true]}", "no 'rotate'"),
        ("template: '{{ A'", "template, line 1, column 3"), ("template: ''", "the template is empty"),
        ("required: true", "no 'value' and no 'template'"), ("template: [x]", "text is expected"),
    ])
    func whatIsNoEntryIsRefused(_ body: String, _ message: String) throws {
        let text = "secrets:\n  A: {value: \"\"}\n  FILE:\n    \(body)\n"
        let error = failure { _ = try ManifestReader.read(text.utf8.span, as: .template) }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "no error")")
    }

    @Test(arguments: [
        ("{{ NOBODY }}", "names 'NOBODY', which is no secret of the store"),
        ("{{ OTHER }}", "which has a template, too"),
        ("{{ FILE }}", "names 'FILE' itself"),
    ])
    func unknownNamesAndCyclesAreRefused(_ text: String, _ message: String) throws {
        let fixture = try StoreFixture()
        try manifest(fixture, "{{ A }}")
        let keys = try fixture.keys()
        func add(_ manifest: inout Manifest) throws {
            var other = try entry("OTHER")
            other.value = .template(try Template("{{ B }}"))
            manifest.secrets.append(other)
            let name = try #require(SecretName("FILE"))
            let index = try #require(manifest.index(of: name))
            manifest.secrets[index].value = .template(try Template(text))
        }
        let error = failure {
            try fixture.store().update(keys, now: fixture.now, waiting: {}) { try add(&$0) }
        }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "no error")")
        // The guard says so, too, where the manifest was made by other means.
        var bad = try LoadedManifest(fixture.store()).manifest
        try add(&bad)
        try fixture.write(String(decoding: ManifestWriter.text(bad, signature: keys.signature(of: bad)), as: UTF8.self))
        let outcome = fixture.examine()
        #expect(outcome.failure?.check == .schema)
        #expect(outcome.failure?.message.contains(message) == true)
    }

    @Test func theGuardLooksAtSizesAndFormats() throws {
        let fixture = try StoreFixture()
        try manifest(fixture, "{{ A }}{{ A }}")
        #expect(fixture.examine(limit: 2).failure == nil)
        #expect(fixture.examine(limit: 2).results.last?.message.contains("1 file rendered") == true)
        let large = fixture.examine(limit: 1).failure
        #expect(large?.check == .format && large?.error?.code == .invalid)
        #expect(large?.message == "the rendered file 'FILE' is larger than 1 bytes")
        try fixture.fill([]) { $0.secrets[2].format = .json }
        let outcome = fixture.examine()
        #expect(outcome.failure?.message == "the value of 'FILE' is not json")
    }

    @Test func contentThatAFilterCannotHoldIsRefused() throws {
        let fixture = try StoreFixture()
        try manifest(fixture, "{{ A | json }}")
        let keys = try fixture.keys()
        let error = failure {
            try fixture.store().update(keys, now: fixture.now, waiting: {}) { manifest in
                var cipher = try keys.valueCipher()
                try manifest.secrets[0].enter(secure([0xff]), with: &cipher, now: fixture.now)
            }
        }
        #expect(error?.message == "'FILE' cannot be rendered: A has bytes that are no UTF-8, which json cannot hold")
        #expect(fixture.examine().failure == nil)
    }

    @Test func aPartThatHasExpiredLeavesItsFileOut() throws {
        let fixture = try StoreFixture()
        try manifest(fixture, "{{ A }}")
        try fixture.fill([]) { manifest in
            manifest.secrets[0].expires = Timestamp(seconds: fixture.now.seconds - 1)
        }
        let outcome = fixture.examine()
        #expect(outcome.failure == nil)
        #expect(outcome.results.contains { $0.message == "expired and left out: A, FILE" })
        try fixture.fill([]) { $0.secrets[2].required = true }
        let failure = fixture.examine().failure
        #expect(failure?.error?.code == .expired)
        #expect(failure?.message.contains("required file 'FILE' is rendered from 'A', which expired") == true)
    }

    @Test func aFormatIsCheckedBeforeAChangeIsStored() throws {
        let fixture = try StoreFixture()
        try manifest(fixture, "{{ A }}")
        let keys = try fixture.keys()
        func set(_ value: String) throws {
            try fixture.store().update(keys, now: fixture.now, waiting: {}) { manifest in
                var cipher = try keys.valueCipher()
                try manifest.secrets[0].enter(secure(value), with: &cipher, now: fixture.now)
                manifest.secrets[2].format = .json
            }
        }
        #expect(failure { try set("no json") }?.message == "the value of 'FILE' is not json")
        try set("{}")
        // What concerns no file is not asked about any.
        try fixture.store().update(keys, now: fixture.now, waiting: {}) { $0.secrets[1].description = "other" }
        #expect(fixture.examine().failure == nil)
    }

    @Test func filesAndPartsOfAManifestAreFound() throws {
        let fixture = try StoreFixture()
        try manifest(fixture, "{{ B }}{{ all | json }}")
        var manifest = try LoadedManifest(fixture.store()).manifest
        var other = try entry("OTHER")
        other.value = .template(try Template("{{ A }}"))
        manifest.secrets += [other, try entry("EMPTY")]
        #expect(manifest.parts(of: manifest.secrets[2]).map(\.name.text) == ["B", "A"])
        #expect(manifest.parts(of: other).map(\.name.text) == ["A"])
        #expect(manifest.parts(of: manifest.secrets[0]).isEmpty)
        #expect(manifest.files(of: manifest.secrets[0].name).map(\.text) == ["OTHER"])
        #expect(manifest.files(of: manifest.secrets[1].name).map(\.text) == ["FILE"])
    }

    @Test func templatesOfADocumentGetATime() throws {
        let time = Timestamp(seconds: 1_800_000_000)
        let text =
            "secrets:\n  A: {template: x}\n  B: {value: ''}\n  C: {template: y, rotated: '2020-01-01T00:00:00Z'}\n"
        var reading = try ManifestReader.read(text.utf8.span, as: .template)
        reading.noteTemplates(at: time)
        #expect(reading.secrets?.map(\.rotated) == [time, nil, Timestamp("2020-01-01T00:00:00Z")])
    }

    @Test func aTemplateInAListIsAScalar() throws {
        #expect(ManifestNode.list([.lines("a")]) == .list([.text("a")]))
    }

    @Test func changesAreTold() throws {
        var (value, file) = (try entry("A"), try entry("A"))
        value.value = .sealed(sealedValue(1))
        file.value = .template(try Template("x"))
        var other = file
        other.value = .template(try Template("y"))
        func changes(_ new: SecretEntry, _ old: SecretEntry) throws -> [String] {
            let fixture = try StoreFixture()
            var (after, before) = (
                try LoadedManifest(fixture.store()).manifest, try LoadedManifest(fixture.store()).manifest
            )
            after.secrets = [new]
            before.secrets = [old]
            return after.changes(since: before)
        }
        #expect(try changes(file, value) == ["A: value replaced by a template"])
        #expect(try changes(value, file) == ["A: template replaced by a value"])
        #expect(try changes(other, file) == ["A: template changed"])
        #expect(try changes(try entry("A"), file) == ["A: template removed"])
        #expect(try changes(file, try entry("A")) == ["A: template added"])
    }
}
