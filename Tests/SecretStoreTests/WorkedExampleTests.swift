// SPDX-License-Identifier: Apache-2.0

import CredfsTestSupport
import Foundation
import Sealing
import SecretStore
import SecureMemory
import Testing

/// docs/file-format.md says what it says: its example is read out of the page and checked from both sides.
@Suite struct WorkedExampleTests {
    private let page: DocumentedExample

    init() throws {
        page = try DocumentedExample()
    }

    @Test func theKeyFileHoldsTheKey() throws {
        let line = try page.block("key-file")
        let text = Array((line + "\n").utf8)
        let key = try KeyFile.parse(text.span, from: "the page")
        let bytes = key.withBytes { Array(copying: $0) }
        let written = try KeyFile.text(key).withBytes { Array(copying: $0) }
        #expect(bytes == (try page.bytes("key of the key file")))
        #expect(written == text)
    }

    @Test func theSignatureCoversTheCanonicalBytes() throws {
        let keys = try page.keys()
        let signature = try page.block("signature")
        #expect(try keys.signature(of: try page.manifest()) == signature)
        // The same code over the bytes that the page shows: so they are the canonical encoding.
        let canonical = try Hexadecimal.decode(page.block("canonical"))
        #expect(try Self.code(of: canonical, key: page.bytes("signing key")) == signature)
        #expect(try page.block("manifest").contains("\nsignature: '\(signature)'"))
    }

    @Test func theManifestIsTheTextThatIsWritten() throws {
        let text = ManifestWriter.text(try page.manifest(), signature: try page.block("signature"))
        #expect(String(decoding: text, as: UTF8.self) == (try page.block("manifest")) + "\n")
    }

    @Test func keysAreDerivedAsThePageSays() throws {
        let manifest = try page.manifest()
        func derive(_ input: [UInt8], _ info: String) throws -> [UInt8] {
            let salt = Array(manifest.store.text.utf8)
            var output = [UInt8](repeating: 0, count: 32)
            var span = output.mutableSpan
            try HKDFSHA256.derive(from: input.span, salt: salt.span, info: Array(info.utf8).span, into: &span)
            return output
        }
        let dataKey = try page.bytes("data key")
        #expect(try derive(dataKey, "credfs/1/seal") == page.bytes("sealing key"))
        #expect(try derive(dataKey, "credfs/1/sign") == page.bytes("signing key"))
        #expect(
            try derive(page.bytes("key of the key file"), "credfs/1/slot/keyfile/keyfile")
                == page.bytes("wrapping key of slot `keyfile`")
        )
        guard let slot = manifest.slots["deploy"]?.kind as? PasswordSlot else {
            Issue.record("the slot is a password's")
            return
        }
        let password = Array(page.password.utf8)
        let stretched = try PBKDF2SHA256.key(password: password.span, salt: slot.salt.span, iterations: slot.iterations)
            .withBytes { Array(copying: $0) }
        #expect(stretched == (try page.bytes("PBKDF2 of the password")))
        #expect(
            try derive(stretched, "credfs/1/slot/password/deploy") == page.bytes("wrapping key of slot `deploy`")
        )
    }

    @Test(arguments: [
        ("wrapping key of slot `keyfile`", "nonce of slot `keyfile`", "data-keyfile"),
        ("wrapping key of slot `deploy`", "nonce of slot `deploy`", "data-deploy"),
        ("sealing key", "nonce of the value", "data-value"),
    ])
    func sealingUnderTheAssociatedDataGivesTheSealedText(key: String, nonce: String, data: String) throws {
        let plaintext = try data == "data-value" ? Array("correct horse\n".utf8) : page.bytes("data key")
        let sealed = try Self.seal(
            plaintext,
            key: page.bytes(key),
            nonce: page.bytes(nonce),
            associatedData: Hexadecimal.decode(page.block(data))
        )
        #expect(try page.block("manifest").contains(": \(sealed.text)\n"))
    }

    @Test func bothSlotsOpenToTheDataKeyAndTheValueOpens() throws {
        let manifest = try page.manifest()
        let keyBytes = try page.bytes("key of the key file")
        let byKey = try manifest.unlock(with: .keyFile(Key256(copying: keyBytes.span)))
        let byPassword = try manifest.unlock(with: .password(page.password.secured()))
        for keys in [byKey, byPassword] {
            let dataKey = keys.withDataKey { key in key.withBytes { Array(copying: $0) } }
            #expect(dataKey == (try page.bytes("data key")))
            #expect(try keys.isSignature(page.block("signature"), of: manifest))
            var cipher = try keys.valueCipher()
            let secret = manifest.secrets[0]
            guard case .sealed(let value) = secret.value else {
                Issue.record("the value is sealed")
                return
            }
            let content = try cipher.open(value, as: secret.name).withBytes { Array(copying: $0) }
            #expect(content == Array("correct horse\n".utf8))
        }
    }

    @Test func theSecondImplementationSeesTheSame() async throws {
        let directory = try TemporaryDirectory()
        let manifest = try directory.write((try page.block("manifest") + "\n").utf8, to: "secrets.yaml")
        let key = try directory.write(try page.block("key-file").utf8, to: "secrets.key")
        let signed = try await SecondImplementation.run(["--canonical", manifest])
        #expect(
            signed.outputText.trimmingCharacters(in: .whitespacesAndNewlines)
                == Hexadecimal.encode(try Hexadecimal.decode(page.block("canonical")))
        )
        let opened = try await SecondImplementation.run(["--key-file", key, manifest])
        #expect(opened.status == .exited(0), "\(opened.errorText)")
        let values = try JSONDecoder().decode([String: String?].self, from: Data(opened.standardOutput))
        #expect(values["API.TOKEN"] == Data("correct horse\n".utf8).base64EncodedString())
    }

    @Test func theSecondImplementationRefusesWhatWasNotSigned() async throws {
        let directory = try TemporaryDirectory()
        let text = try page.block("manifest").replacing("max_reads: 1", with: "max_reads: 2")
        let manifest = try directory.write((text + "\n").utf8, to: "secrets.yaml")
        let key = try directory.write(try page.block("key-file").utf8, to: "secrets.key")
        #expect(try await SecondImplementation.run(["--key-file", key, manifest]).status == .exited(1))
    }
}

extension WorkedExampleTests {
    /// The HMAC of bytes, in digits.
    private static func code(of bytes: [UInt8], key: [UInt8]) throws -> String {
        var code = try HMACSHA256(key: key.span)
        try code.update(bytes.span)
        return Hexadecimal.encode(try code.finalize())
    }

    /// The text of bytes sealed under a nonce that the caller chooses.
    private static func seal(
        _ plaintext: [UInt8],
        key: [UInt8],
        nonce: [UInt8],
        associatedData: [UInt8]
    ) throws -> SealedValue {
        var cipher = try AES256GCM(key: Key256(copying: key.span))
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: AES256GCM.tagByteCount)
        var ciphertextSpan = ciphertext.mutableSpan
        var tagSpan = tag.mutableSpan
        try cipher.seal(
            plaintext.span,
            nonce: nonce.span,
            associatedData: associatedData.span,
            into: &ciphertextSpan,
            tag: &tagSpan
        )
        return SealedValue(ciphertext: ciphertext, nonce: nonce, tag: tag)
    }
}

/// The example of docs/file-format.md.
struct DocumentedExample {
    /// The page lacks what a test asks for.
    struct Missing: Error { let name: String }

    private let lines: [Substring]

    init() throws {
        lines = try String(contentsOfFile: PackageDirectory.root + "docs/file-format.md", encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// The text of the fenced block `example=NAME`, without its last newline.
    func block(_ name: String) throws -> String {
        guard let start = lines.firstIndex(where: { $0.hasPrefix("```") && $0.hasSuffix(" example=\(name)") }),
            let end = lines[(start + 1)...].firstIndex(of: "```")
        else { throw Missing(name: name) }
        return lines[(start + 1)..<end].joined(separator: "\n")
    }

    /// The bytes in the row `| NAME | hexadecimal digits |`.
    func bytes(_ name: String) throws -> [UInt8] {
        let prefix = "| \(name) | `"
        guard let row = lines.first(where: { $0.hasPrefix(prefix) }) else { throw Missing(name: name) }
        return try Hexadecimal.decode(String(row.dropFirst(prefix.count).prefix { $0 != "`" }))
    }

    /// The password of the slot that has one.
    let password = "worked example passphrase"

    func manifest() throws -> Manifest {
        let text = Array((try block("manifest") + "\n").utf8)
        return try ManifestReader.read(text.span).manifest()
    }

    func keys() throws -> StoreKeys {
        let dataKey = try bytes("data key")
        return try StoreKeys(dataKey: Key256(copying: dataKey.span), store: manifest().store)
    }
}

/// Tests/Scripts/open_store.py, run with the Python that has the distribution's packages.
enum SecondImplementation {
    static func run(_ arguments: [String]) async throws -> ChildProcess.Outcome {
        try await ChildProcess.run(
            "/usr/bin/python3",
            ["-B", PackageDirectory.root + "Tests/Scripts/open_store.py"] + arguments
        )
    }
}

extension String {
    /// The bytes in secure memory.
    func secured() throws -> SecureBuffer {
        var buffer = try SecureBuffer(count: utf8.count)
        buffer.withMutableBytes { bytes in
            for (index, byte) in utf8.enumerated() { bytes[index] = byte }
        }
        return buffer
    }
}

extension [UInt8] {
    /// The bytes of a span, for comparing.
    init(copying span: Span<UInt8>) {
        self = span.indices.map { span[$0] }
    }
}
