// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecretStore

/// What sops says of a file, beside its values; none of it is secret, and none is authenticated but the time.
package struct SopsMetadata: Sendable {
    /// The data key for one age recipient.
    package struct AgeKey: Sendable, Equatable {
        package var recipient = ""
        /// An age file with the data key in it.
        package var file: [UInt8] = []
    }

    /// Ways to get at the data key that are known here by name only.
    private static let otherKeys = [
        "kms": "AWS KMS", "gcp_kms": "Google Cloud KMS", "azure_kv": "Azure Key Vault",
        "hc_vault": "Vault transit keys", "pgp": "PGP", "hckms": "Huawei Cloud KMS",
    ]

    package private(set) var ageKeys: [AgeKey] = []
    private(set) var lastModified = ""
    private(set) var mac = ""
    /// Only encrypted values are hashed.
    private(set) var macOnlyEncrypted = false
    private var others: Set<String> = []
    private var hasGroups = false
    private var isThere = false
    /// Keys beside those of sops, with whether it is one text and no more: the shape of a binary file.
    private var hasData = false
    private var hasOthers = false

    /// Reads a file.
    ///
    /// - Throws: class `invalid`, and `authentication` for a file that no age identity opens.
    package init(_ text: Span<UInt8>, _ form: SopsForm) throws(StoreError) {
        var keys: [Int: AgeKey] = [:]
        // A closure cannot change a value that is being made.
        var found = Found()
        try form.walk(text) { (path, kind, bytes, line) throws(StoreError) in
            guard let words = path.metadata else {
                if path.components == [.key("data")], kind == .text {
                    found.hasData = true
                } else {
                    found.hasOthers = true
                }
                return
            }
            found.isThere = true
            guard kind != .null, let word = words.first else { return }
            if Self.otherKeys[word] != nil { found.others.insert(word) }
            if word == "key_groups" { found.hasGroups = true }
            if words.count == 3, word == "age", let index = Int(words[1]) {
                try Self.read(words[2], try Self.text(bytes, line), line, into: &keys[index, default: AgeKey()])
            }
            guard words.count == 1 else { return }
            switch word {
            case "lastmodified": found.lastModified = try Self.text(bytes, line)
            case "mac": found.mac = try Self.text(bytes, line)
            case "mac_only_encrypted": found.macOnlyEncrypted = bytes.starts(with: "true")
            default: break
            }
        }
        isThere = found.isThere
        hasData = found.hasData
        hasOthers = found.hasOthers
        others = found.others
        hasGroups = found.hasGroups
        lastModified = found.lastModified
        mac = found.mac
        macOnlyEncrypted = found.macOnlyEncrypted
        ageKeys = keys.sorted { $0.key < $1.key }.map(\.value).filter { !$0.file.isEmpty }
        try require()
    }

    private struct Found {
        var isThere = false
        var hasData = false
        var hasOthers = false
        var others: Set<String> = []
        var hasGroups = false
        var lastModified = ""
        var mac = ""
        var macOnlyEncrypted = false
    }

    /// One text and no more, as sops writes a file whose form it does not know.
    var isBinary: Bool { hasData && !hasOthers }

    private func require() throws(StoreError) {
        guard isThere else {
            throw StoreError(
                .invalid,
                "sops has not encrypted this file",
                hint: "a plain document is read as dotenv:PATH, json:PATH or yaml:PATH"
            )
        }
        guard !hasGroups else {
            throw StoreError(
                .authentication,
                "its data key is in parts, for several groups of keys, which is not supported",
                hint: "without groups, one age recipient is enough; or let sops decrypt it: dotenv:<(sops decrypt FILE)"
            )
        }
        guard !ageKeys.isEmpty else {
            let names = others.compactMap { Self.otherKeys[$0] }.sorted().joined(separator: ", ")
            throw StoreError(
                .authentication,
                others.isEmpty
                    ? "it is encrypted for nobody" : "it is encrypted for \(names) only, which is not supported",
                hint: "add an age recipient (sops rotate --in-place --add-age RECIPIENT FILE), or let sops decrypt it: "
                    + "dotenv:<(sops decrypt FILE)"
            )
        }
        guard !mac.isEmpty, !lastModified.isEmpty else {
            throw StoreError(
                .authentication,
                "it has no MAC, so nobody can tell whether it was changed",
                hint: "have sops write it again: sops edit FILE"
            )
        }
    }

    private static func read(_ word: String, _ text: String, _ line: Int, into key: inout AgeKey) throws(StoreError) {
        switch word {
        case "recipient": key.recipient = text
        case "enc":
            do throws(AgeError) { key.file = try AgeArmor.decode(text.utf8.span) } catch {
                throw StoreError(.invalid, "the data key at line \(line) is no age file")
            }
        default: break
        }
    }

    private static func text(_ bytes: Span<UInt8>, _ line: Int) throws(StoreError) -> String {
        guard bytes.count <= 1 << 16, let text = try? UTF8Span(validating: bytes) else {
            throw StoreError(.invalid, "what sops says of the file is too long, or not UTF-8, at line \(line)")
        }
        return String(copying: text)
    }
}
