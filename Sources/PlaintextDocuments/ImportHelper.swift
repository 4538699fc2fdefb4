// SPDX-License-Identifier: Apache-2.0

internal import ProcessControl
internal import Sealing
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// The helper process of an import: sends the names in a document, then seals those values that it is asked for.
enum ImportHelper {
    /// Sealed values are sent when there are this many bytes of them.
    private static let batchByteCount = 1 << 18

    static func serve(
        _ request: ImportRequest,
        _ document: consuming OwnedDescriptor,
        _ input: borrowing OwnedDescriptor,
        _ output: borrowing OwnedDescriptor
    ) throws(StoreError) {
        let key = request.hasFernetKey ? FernetKey(try KeyHandover.readKey(from: input)) : nil
        let text = WipedBytes()
        try text.append(document, limit: Manifest.maximumByteCount)
        let values = ImportedValues(request.duplicates, key: request.format == .fernet ? nil : key)
        if request.format == .sops {
            try decrypt(text, request, input, output, into: values)
        } else {
            try parse(text, request, key, into: values)
        }
        try send(.names, values.items.map(\.name.line).joined(separator: "\n"), to: output)

        let keys = try KeyHandover.read(from: input)
        let targets = try readTargets(input)
        guard targets.count == values.items.count || values.items.isEmpty else {
            throw StoreError(.failed, "the calling process asks for other values")
        }
        let sealer = try ValueSealer(keys)
        var batch = ""
        for (item, target) in zip(values.items, targets) {
            guard let target else { continue }
            batch += try values.bytes.withBytes(item.range) { (value) throws(StoreError) in
                try sealer.seal(value, for: target)
            }
            batch += "\n"
            if batch.utf8.count >= batchByteCount {
                try send(.values, batch, to: output)
                batch = ""
            }
        }
        try send(.values, batch, to: output)
    }

    /// Decrypts a file of sops: the caller, who has the age identities, opens its data key.
    private static func decrypt(
        _ text: WipedBytes,
        _ request: ImportRequest,
        _ input: borrowing OwnedDescriptor,
        _ output: borrowing OwnedDescriptor,
        into values: ImportedValues
    ) throws(StoreError) {
        let file = try text.withBytes { (text) throws(StoreError) in try SopsFile(text) }
        let lines = file.metadata.ageKeys.map { "\($0.recipient) \(Base64.text($0.file))" }
        try send(.wrappedKeys, lines.joined(separator: "\n"), to: output)
        let key = try KeyHandover.readKey(from: input)
        try text.withBytes { (text) throws(StoreError) in
            try file.decrypt(
                text,
                key,
                as: request.name,
                mustBeBinary: request.name != nil && !request.hasGuessedName,
                into: values
            )
        }
    }

    private static func parse(
        _ text: WipedBytes,
        _ request: ImportRequest,
        _ key: FernetKey?,
        into values: ImportedValues
    ) throws(StoreError) {
        guard request.format == .fernet else {
            return try parse(text, 0..<text.count, as: request.format, into: values)
        }
        guard let key else { throw StoreError(.usage, "no Fernet key was given") }
        let token = try tokenRange(text)
        if let name = request.name {
            values.begin()
            try key.open(token, of: text, to: values.bytes)
            return try values.end(ImportedName(name.argument), line: 1)
        }
        let start = text.count
        try key.open(token, of: text, to: text)
        let document = start..<text.count
        let format = request.innerFormat ?? guess(text, document)
        try parse(text, document, as: format, into: values)
    }

    private static func parse(
        _ text: WipedBytes,
        _ range: Range<Int>,
        as format: ImportRequest.Format,
        into values: ImportedValues
    ) throws(StoreError) {
        try text.withBytes(range) { (text) throws(StoreError) in
            switch format {
            case .dotenv: try DotenvParser.parse(text, into: values)
            case .json: try JSONParser.parse(text, into: values)
            case .yaml: try YAMLParser.parse(text, into: values)
            case .fernet, .sops: throw StoreError(.usage, "what is in a Fernet token is not decrypted again")
            }
        }
    }

    /// The token without the space around it.
    private static func tokenRange(_ text: WipedBytes) throws(StoreError) -> Range<Int> {
        try text.withBytes { (text) throws(StoreError) in
            var start = 0
            var end = text.count
            while start < end, text[start] <= 0x20 { start += 1 }
            while start < end, text[end - 1] <= 0x20 { end -= 1 }
            guard text.extracting(start..<end).starts(with: Fernet.opening) else {
                throw StoreError(
                    .invalid,
                    "the document is no Fernet token",
                    hint: "name the format of a document whose values are tokens with --format"
                )
            }
            return start..<end
        }
    }

    private static func guess(_ text: WipedBytes, _ range: Range<Int>) -> ImportRequest.Format {
        text.withBytes(range) { text in
            var index = 0
            while index < text.count, text[index] <= 0x20 { index += 1 }
            return index < text.count && text[index] == UInt8(ascii: "{") ? .json : .dotenv
        }
    }

    private static func readTargets(_ input: borrowing OwnedDescriptor) throws(StoreError) -> [ImportTarget?] {
        let frame = try StoreError.wrapping("read from", "the calling process") { () throws(Errno) in
            try DocumentFrame.read(from: input)
        }
        guard let frame, frame.kind == .targets else { throw StoreError(.failed, "the calling process ended early") }
        return ImportTarget.targets(frame.text)
    }

    private static func send(
        _ kind: DocumentFrameKind,
        _ text: String,
        to output: borrowing OwnedDescriptor
    ) throws(StoreError) {
        try StoreError.wrapping("write to", "the calling process") { () throws(Errno) in
            try DocumentFrame(kind, text).write(to: output.number)
        }
    }
}
