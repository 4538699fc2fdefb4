// SPDX-License-Identifier: Apache-2.0

import PlaintextDocuments
import SecretStore

/// What a parser finds in a document.
struct Parsed {
    var names: [String] = []
    var values: [[UInt8]] = []
    var nulls: [String] = []
    var expandable: [String] = []

    init(
        _ document: [UInt8],
        _ format: ImportRequest.Format,
        _ duplicates: ImportRequest.Duplicates = .refuse
    ) throws(StoreError) {
        let found = ImportedValues(duplicates)
        switch format {
        case .dotenv: try DotenvParser.parse(document.span, into: found)
        case .json: try JSONParser.parse(document.span, into: found)
        case .yaml: try YAMLParser.parse(document.span, into: found)
        case .fernet, .sops: break
        }
        for item in found.items {
            names.append(item.name.text)
            values.append(found.bytes.withBytes(item.range) { bytes in bytes.indices.map { bytes[$0] } })
            if item.name.isNull { nulls.append(item.name.text) }
            if item.name.looksExpandable { expandable.append(item.name.text) }
        }
    }

    /// The values as text, by name.
    var texts: [String: String] {
        Dictionary(zip(names, values.map { String(decoding: $0, as: UTF8.self) })) { first, _ in first }
    }
}

/// The value of the only name in a document.
func only(_ document: String, _ format: ImportRequest.Format) throws(StoreError) -> String? {
    try Parsed(Array(document.utf8), format).texts["A"]
}

/// What is said of a document that is refused.
func refusal(_ document: [UInt8], _ format: ImportRequest.Format) -> String? {
    do throws(StoreError) {
        _ = try Parsed(document, format)
        return nil
    } catch {
        return error.code == .invalid ? error.message : "\(error)"
    }
}
