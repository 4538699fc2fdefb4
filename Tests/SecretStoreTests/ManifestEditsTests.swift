// SPDX-License-Identifier: Apache-2.0

import SecretStore
import Testing

@Suite struct ManifestEditsTests {
    private static func name(_ text: String) throws -> SecretName { try #require(SecretName(text)) }

    /// A manifest with these secrets, whose values are told apart by their descriptions.
    private static func manifest(_ secrets: KeyValuePairs<String, String>) throws -> Manifest {
        let time = Timestamp(seconds: 1_800_000_000)
        return Manifest(
            store: try #require(StoreID("11111111-1111-4111-8111-111111111111")),
            generation: 3,
            created: time,
            updated: time,
            expires: nil,
            slots: [:],
            secrets: try secrets.map { pair in
                var entry = SecretEntry(name: try name(pair.key))
                entry.description = pair.value
                return entry
            }
        )
    }

    private static func describe(_ manifest: Manifest) -> [String] {
        manifest.secrets.map { "\($0.name.text)=\($0.description ?? "")" }
    }

    @Test func withoutOtherChangesTheEditStandsAsItIs() throws {
        let base = try Self.manifest(["A": "1", "B": "1"])
        let edited = try Self.manifest(["B": "2", "A": "1"])
        #expect(base.merging(edited, since: base) == .init(manifest: edited, conflicts: []))
    }

    @Test func changesOfDifferentSecretsAreBothKept() throws {
        let base = try Self.manifest(["A": "1", "B": "1", "C": "1", "D": "1"])
        var stored = try Self.manifest(["A": "2", "B": "1", "C": "1", "D": "1", "E": "2"])
        stored.generation = 4
        var edited = try Self.manifest(["A": "1", "B": "3", "D": "1", "F": "3"])
        edited.expires = Timestamp(seconds: 5)
        edited.comments.end = ["# end"]
        edited.comments.entries["secrets"] = ["# above"]
        edited.comments.secrets[try Self.name("D")] = ["# d"]
        let merged = stored.merging(edited, since: base)
        #expect(merged.conflicts.isEmpty)
        #expect(Self.describe(merged.manifest) == ["A=2", "B=3", "D=1", "E=2", "F=3"])
        #expect(merged.manifest.generation == 4)
        #expect(merged.manifest.expires == edited.expires)
        #expect(merged.manifest.comments == edited.comments)
    }

    @Test func changesOfTheSameAreConflictsInWhichTheEditIsKept() throws {
        var base = try Self.manifest(["A": "1", "B": "1", "C": "1"])
        base.expires = Timestamp(seconds: 1)
        var stored = try Self.manifest(["A": "2", "C": "2"])
        stored.expires = Timestamp(seconds: 2)
        var edited = try Self.manifest(["A": "3", "B": "3"])
        edited.expires = nil
        let merged = stored.merging(edited, since: base)
        #expect(merged.conflicts == ["expires", "A", "B", "C"])
        #expect(Self.describe(merged.manifest) == ["A=3", "B=3"])
        #expect(merged.manifest.expires == nil)
    }

    @Test func theSameChangeTwiceIsNoConflict() throws {
        let base = try Self.manifest(["A": "1"])
        var stored = try Self.manifest(["A": "2", "B": "2"])
        stored.generation = 4
        let merged = stored.merging(try Self.manifest(["A": "2"]), since: base)
        #expect(merged == .init(manifest: stored, conflicts: []))
    }

    @Test func whatIsEditedComesBackWithoutTheRest() throws {
        var manifest = try Self.manifest(["A": "1", "B": "1"])
        manifest.expires = Timestamp(seconds: 1_900_000_000)
        manifest.comments.entries["expires"] = ["# until"]
        manifest.comments.entries["store"] = ["# kept"]
        manifest.comments.secrets[try Self.name("B")] = ["# b"]
        let text = try ManifestWriter.editableText(manifest.editable) { (entry) throws(StoreError) in
            Array((entry.name.text == "A" ? "plain" : "|\n\(ManifestWriter.valueIndentation)two\n").utf8)
        }
        #expect(
            String(decoding: text, as: UTF8.self) == """
                # until
                expires: '2030-03-17T17:46:40Z'
                secrets:
                  A:
                    value: plain
                    description: '1'
                  # b
                  B:
                    value: |
                      two

                    description: '1'

                """
        )
        var reading = try ManifestReader.read(text.span, as: .template) { (entry, _) throws(StoreError) in
            entry.value = .empty
        }
        #expect(manifest.edited(by: reading) == manifest)
        reading.secrets = nil
        reading.expires = nil
        #expect(manifest.edited(by: reading).secrets.isEmpty)
        let empty = try ManifestWriter.editableText(reading) { (_) throws(StoreError) in [] }
        #expect(String(decoding: empty, as: UTF8.self).hasPrefix("secrets: {}\n"))
    }
}
