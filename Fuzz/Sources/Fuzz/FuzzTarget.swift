// SPDX-License-Identifier: Apache-2.0

internal import AuditLog
internal import FuseBridge
internal import PlaintextDocuments
internal import ProcessControl
internal import RemoteProviders
internal import Sealing
internal import SecretFileSystem
internal import SecretProviders
internal import SecretSources
internal import SecretStore
internal import SecureMemory
internal import SystemCalls
internal import SystemPackage

extension [UInt8] {
    /// Ends with a text.
    fileprivate func ends(_ text: String) -> Bool { suffix(text.utf8.count).elementsEqual(text.utf8) }
}

/// Parser of input that others may have written, with what must hold of whatever it accepts.
struct FuzzTarget: Sendable {
    let name: String
    /// Parses a text; false where something that must hold does not.
    let accepts: @Sendable ([UInt8]) -> Bool

    static let all = [
        FuzzTarget(name: "manifest", accepts: manifestComesBack),
        FuzzTarget(name: "template", accepts: templateDropsPlaintext),
        FuzzTarget(name: "rendering", accepts: renderingIsExact),
        FuzzTarget(name: "dotenv", accepts: { namesAreNames($0, .dotenv) }),
        FuzzTarget(name: "json", accepts: { namesAreNames($0, .json) }),
        FuzzTarget(name: "yaml", accepts: { namesAreNames($0, .yaml) }),
        FuzzTarget(
            name: "sealed",
            accepts: { text in SealedValue(text.span).map { Array($0.text.utf8) == text } ?? true }
        ),
        FuzzTarget(name: "age", accepts: ageIsReadOrRefused),
        FuzzTarget(name: "identity", accepts: identityIsReadOrRefused),
        FuzzTarget(name: "sops", accepts: sopsIsReadOrRefused),
        FuzzTarget(name: "credential", accepts: credentialIsReadOrRefused),
        FuzzTarget(
            name: "audit",
            accepts: {
                _ = AuditLine($0)
                return true
            }
        ),
        FuzzTarget(name: "key", accepts: keyIsReadOrRefused),
        FuzzTarget(name: "words", accepts: wordsComeBack),
        FuzzTarget(name: "format", accepts: formatsAreDecided),
        FuzzTarget(name: "control", accepts: controlMessagesComeBack),
        FuzzTarget(
            name: "peer",
            accepts: { name in
                // The names begin with a zero byte; seeds are text.
                guard let request = CredentialRequest(boundName: [0] + name) else { return true }
                return name.ends("/unit/\(request.unit)/\(request.credential)")
                    && !request.unit.contains("/") && !request.credential.contains("/")
            }
        ),
        FuzzTarget(name: "provider", accepts: providerMessagesComeBack),
        FuzzTarget(
            name: "source",
            accepts: { text in
                do throws(StoreError) { _ = try SourceAddress(String(decoding: text, as: UTF8.self)) } catch {
                    return error.code == .usage
                }
                return true
            }
        ),
        FuzzTarget(name: "endpoint", accepts: endpointsComeBack),
        FuzzTarget(name: "profiles", accepts: profilesAreReadWhateverTheySay),
        FuzzTarget(name: "account", accepts: accountsSignOrAreRefused),
        FuzzTarget(name: "answer", accepts: answersAreReadOrRefused),
        FuzzTarget(name: "ledger", accepts: damagedLedgersAreReadOrRefused),
        FuzzTarget(
            name: "configuration",
            accepts: { text in
                do throws(StoreError) { _ = try Configuration.read(text.span) } catch { return error.code == .invalid }
                return true
            }
        ),
    ]

    /// An address that is read is read again as it was, and names no host without encryption but those of a list.
    private static func endpointsComeBack(_ bytes: [UInt8]) -> Bool {
        guard let text = String(validating: bytes, as: UTF8.self), let endpoint = Endpoint(text) else { return true }
        guard Endpoint(endpoint.origin + endpoint.path) == endpoint else { return false }
        let isLocal = ["127.", "169.254.", "[fd00:ec2:", "[::1]", "localhost"].contains { endpoint.host.hasPrefix($0) }
        return endpoint.isEncrypted || isLocal
    }

    /// A setting of a file of profiles is a part of the file.
    private static func profilesAreReadWhateverTheySay(_ bytes: [UInt8]) -> Bool {
        guard let buffer = try? secure(bytes) else { return true }
        let file = AWSConfigFile(buffer)
        guard let secret = try? file.secret("aws_secret_access_key", in: "default") else { return true }
        let value = secret.withBytes { value in value.indices.map { value[$0] } }
        return file.has("default") && bytes.firstRange(of: value) != nil
    }

    /// An assertion of whatever is the file of an account has the three parts of a JWT.
    private static func accountsSignOrAreRefused(_ bytes: [UInt8]) -> Bool {
        guard let buffer = try? secure(bytes), let account = try? GoogleAccount(buffer, path: "x"),
            let assertion = try? account.assertion(at: 0)
        else { return true }
        return assertion.withBytes { bytes in bytes.indices.count { bytes[$0] == UInt8(ascii: ".") } } == 2
    }

    /// Whatever a server answers is a document or none, and its error a code or none.
    private static func answersAreReadOrRefused(_ bytes: [UInt8]) -> Bool {
        guard let body = try? secure(bytes), let copy = try? secure(bytes) else { return true }
        let code = AWSFailure.code(in: body)
        guard code.utf8.allSatisfy({ (0x2e...0x7a).contains($0) }) else { return false }
        guard let document = SecretDocument(copy) else { return true }
        for item in document.elements("Parameters", of: document.root) {
            _ = document.text("Name", of: item)
            guard let value = document.member("Value", of: item) else { continue }
            guard let content = try? document.content(of: value) else { continue }
            if content.count > bytes.count { return false }
            _ = try? document.decodedContent(of: value)
        }
        return true
    }

    private static func secure(_ bytes: [UInt8]) throws -> SecureBuffer {
        try SecureBuffer.filled(capacity: bytes.count, orThrow: { $0 }) { (target) throws(SecureMemoryError) in
            for index in bytes.indices { target[index] = bytes[index] }
            return bytes.count
        }
    }

    /// What is written of a message that was read says the same.
    private static func providerMessagesComeBack(_ bytes: [UInt8]) -> Bool {
        let headByteCount = ProviderMessage.headByteCount
        guard let head = ProviderMessage.head(Array(bytes.prefix(headByteCount))),
            head.byteCount == bytes.count - min(bytes.count, headByteCount),
            let text = String(validating: bytes.dropFirst(headByteCount), as: UTF8.self),
            let message = ProviderMessage(head.kind, text)
        else { return true }
        let again = Array(message.bytes.dropFirst(headByteCount))
        return ProviderMessage(message.kind, String(decoding: again, as: UTF8.self)) == message
    }

    /// What is written of a manifest that was read says the same.
    private static func manifestComesBack(_ text: [UInt8]) -> Bool {
        guard let reading = try? ManifestReader.read(text.span), let manifest = try? reading.manifest(),
            let signature = reading.signature
        else { return true }
        // What is not sealed is written as nothing.
        for secret in manifest.secrets { if case .unsealed = secret.value { return true } }
        let written = ManifestWriter.text(manifest, signature: signature)
        guard let again = try? ManifestReader.read(written.span) else { return false }
        return (try? again.manifest()) == manifest && again.signature == signature
    }

    /// What was plaintext in a template stands nowhere in what is made of it.
    private static func templateDropsPlaintext(_ text: [UInt8]) -> Bool {
        let sealed = SealedValue(
            ciphertext: [0],
            nonce: [UInt8](repeating: 0, count: 12),
            tag: [UInt8](repeating: 0, count: 16)
        )
        var values: [[UInt8]] = []
        let reading = try? ManifestReader.read(text.span, as: .template) { (entry, value) in
            values.append(value.withBytes { bytes in bytes.indices.map { bytes[$0] } })
            entry.value = .sealed(sealed)
        }
        guard let reading else { return true }
        let comments = [
            Array(reading.comments.entries.values.joined()), Array(reading.comments.secrets.values.joined()),
            reading.comments.end,
        ]
        let lines = Set(comments.joined())
        // A line of a value that is one of a comment, too, was written twice.
        return !values.contains { value in
            let value = String(decoding: value, as: UTF8.self)
            return value.utf8.count > 8 && lines.contains(value) && count(value, in: text) < 2
        }
    }

    /// A template that is read is written and read again as it was; what is rendered of it has the size that was said, and a
    /// range of it is a part of the whole.
    private static func renderingIsExact(_ bytes: [UInt8]) -> Bool {
        guard let text = String(validating: bytes, as: UTF8.self) else { return true }
        let template: Template
        do throws(StoreError) { template = try Template(text) } catch { return error.code == .invalid }
        let scalar = "secrets:\n  A:\n    template: \(template.scalar)\n"
        let again = (try? ManifestReader.read(scalar.utf8.span, as: .template))?.secrets?.first?.template
        guard again == template else { return false }
        do throws(StoreError) {
            let set = try values(of: template)
            guard let name = SecretName("rendered file") else { return false }
            var entry = SecretEntry(name: name)
            entry.value = .template(template)
            guard case .success(let file) = try set.file(of: entry, limit: 1 << 16) else { return false }
            let whole = try set.content(of: file).withBytes { content in content.indices.map { content[$0] } }
            let offset = whole.count / 2
            var part = [UInt8](repeating: 0, count: min(5, whole.count - offset))
            var span = part.mutableSpan
            var scratch = try SecureBuffer.scratch()
            let parts = set.parts(of: file)
            try file.read(at: offset, into: &span, scratch: &scratch) { (index, offset, bytes) throws(StoreError) in
                guard case .sealed(let value) = parts[index].value else { return }
                try set.keys(of: parts[index]).decrypt(value, at: offset, into: &bytes)
            }
            return whole.count == file.byteCount && part == Array(whole[offset..<offset + part.count])
        } catch { return error.code == .invalid }
    }

    /// A set of what a template names, each with bytes that filters have to spell.
    private static func values(of template: Template) throws(StoreError) -> SecretSet {
        let keys = try StoreKeys(
            dataKey: try StoreError.wrapping { () throws(SealingError) in try Key256.random() },
            store: try StoreError.wrapping { () throws(SealingError) in try StoreID.random() }
        )
        var cipher = try keys.valueCipher()
        var entries: [SecretEntry] = []
        for name in template.names {
            var entry = SecretEntry(name: name)
            entry.value = .sealed(try cipher.seal(Array(" \"'\\\n\(name.text)\u{e9} ".utf8).span, as: name))
            entries.append(entry)
        }
        return SecretSet(entries, keys)
    }

    private static func count(_ part: String, in text: [UInt8]) -> Int {
        String(decoding: text, as: UTF8.self).split(separator: part, omittingEmptySubsequences: false).count - 1
    }

    private static func namesAreNames(_ text: [UInt8], _ format: ImportRequest.Format) -> Bool {
        let found = ImportedValues(.refuse)
        do throws(StoreError) {
            switch format {
            case .dotenv: try DotenvParser.parse(text.span, into: found)
            case .json: try JSONParser.parse(text.span, into: found)
            case .yaml: try YAMLParser.parse(text.span, into: found)
            case .fernet, .sops: break
            }
        } catch { return error.code == .invalid }
        return found.items.allSatisfy { SecretReference($0.name.text) != nil }
    }

    private static func ageIsReadOrRefused(_ text: [UInt8]) -> Bool {
        _ = try? AgeHeader(text.span)
        guard let inner = try? AgeArmor.decode(text.span) else { return true }
        return (try? AgeArmor.decode(AgeArmor.encode(inner.span).span)) == inner
    }

    /// No value of a file of sops comes out under a key that did not encrypt it, and a number has one spelling.
    private static func sopsIsReadOrRefused(_ text: [UInt8]) -> Bool {
        _ = SopsValue(text.span)
        if let number = SopsNumber.text(String(decoding: text.prefix(64), as: UTF8.self)) {
            guard SopsNumber.text(number) == number else { return false }
        }
        do throws(StoreError) {
            let file = try SopsFile(text.span)
            let key = try StoreError.wrapping { () throws(SealingError) in
                try Key256(copying: [UInt8](repeating: 7, count: Key256.byteCount).span)
            }
            let name = SecretReference("NAME")
            try file.decrypt(text.span, key, as: name, mustBeBinary: false, into: ImportedValues())
            return false
        } catch { return [.invalid, .authentication].contains(error.code) }
    }

    private static func credentialIsReadOrRefused(_ text: [UInt8]) -> Bool {
        do throws(SystemdCredentialError) {
            let credential = try SystemdCredential(text.span)
            let key: Key256
            do throws(SealingError) {
                key = try SystemdCredential.key(hostSecret: [UInt8](repeating: 7, count: 4096).span)
            } catch { return false }
            // The seed opens under this key; what differs from it does not.
            _ = try credential.open(key, named: ["TOKEN"], now: 0)
        } catch {
            if case .sealing = error { return false }
        }
        return true
    }

    private static func identityIsReadOrRefused(_ text: [UInt8]) -> Bool {
        _ = try? AgeIdentityFile(text.span, from: "a file")
        let word = String(decoding: text, as: UTF8.self)
        return (try? AgeRecipient(word)).map { $0.text == word.lowercased() } ?? true
    }

    private static func keyIsReadOrRefused(_ text: [UInt8]) -> Bool {
        guard (try? KeyFile.parse(text.span, from: "a file")) != nil else { return true }
        return text.count == KeyFile.byteCount || text.count == KeyFile.byteCount - 1
    }

    /// Times, identifiers and names have one spelling.
    private static func wordsComeBack(_ text: [UInt8]) -> Bool {
        let word = String(decoding: text, as: UTF8.self)
        return Timestamp(word).map { $0.text == word } ?? true
            && StoreID(word).map { $0.text == word } ?? true
            && SecretName(word).map { $0.text == word } ?? true
            && SecretReference(word).map { SecretName($0.name.text) != nil } ?? true
    }

    /// What is written of a request or an answer that was read says the same, but for what texts are cut to.
    private static func controlMessagesComeBack(_ text: [UInt8]) -> Bool {
        let request = ControlRequest(text.span)
        let answer = ControlAnswer(text.span)
        let again = answer.flatMap { ControlAnswer($0.text.utf8.span) }
        return request.flatMap { ControlRequest($0.text.utf8.span) } == request
            && (answer?.failure == nil
                ? again?.counts == answer?.counts : again?.failure?.status == answer?.failure?.status)
    }

    /// The ledger of a mount with the names of the first line, and bytes changed after it: two for a place and one to write.
    ///
    /// What is gone on with has a number of its own for each name.
    private static func damagedLedgersAreReadOrRefused(_ text: [UInt8]) -> Bool {
        let line = text.prefix { $0 != UInt8(ascii: "\n") }
        let names = Set(line.split(separator: UInt8(ascii: ",")).compactMap { String(validating: $0, as: UTF8.self) })
        let value = SealedValue(
            ciphertext: [1],
            nonce: Array(repeating: 0, count: 12),
            tag: Array(repeating: 0, count: 16)
        )
        let time = Timestamp(seconds: 0)
        let items = names.compactMap { SecretName($0) }.map { SnapshotItem(name: $0, value: value, modified: time) }
        guard let ledger = try? MountLedger(),
            let file = try? OwnedDescriptor.open("/proc/self/fd/\(ledger.descriptor)", 2)
        else { return false }
        _ = Snapshot(generation: 1, items: items, modified: time, sources: [], ledger: ledger)
        let changes = Array(text.dropFirst(line.count + 1))
        for start in stride(from: 0, to: changes.count - 2, by: 3) {
            guard (try? file.seek(to: (Int(changes[start]) << 8 | Int(changes[start + 1])) % 8192)) != nil,
                (try? file.writeAll([changes[start + 2]].span)) != nil
            else { return false }
        }
        guard let copy = try? file.duplicate(), let next = try? MountLedger(continuing: copy) else { return true }
        let snapshot = Snapshot(generation: 1, items: items, modified: time, sources: [], ledger: next)
        let ownership = Ownership(user: 0, group: 0)
        let rules = SecretFileSystem(snapshot, ownership: ownership)
        let inodes = rules.inheritance.inodes
        return next.negotiation.map { $0.request.count <= 384 } ?? true && Set(inodes).count == inodes.count
    }

    private static func formatsAreDecided(_ text: [UInt8]) -> Bool {
        for format in SecretEntry.Format.allCases { _ = format.accepts(text.span) }
        return true
    }
}

/// What libFuzzer, which takes no context, is to call.
enum Chosen {
    // Set once, before the only thread goes on to libFuzzer.
    nonisolated(unsafe) static var target: FuzzTarget?
}
