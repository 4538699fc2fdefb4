// SPDX-License-Identifier: Apache-2.0

package import SecretStore

/// Reads a YAML mapping NAME: value, or SERVICE: {KEY: value}, in the dialect of manifests; every scalar is the text it is.
package enum YAMLParser {
    /// Reads a text.
    ///
    /// - Throws: class `invalid` with line and column.
    package static func parse(_ text: Span<UInt8>, into values: ImportedValues) throws(StoreError) {
        try YAMLEventReader.read(text, foldingLines: true) { (events) throws(StoreError) in
            try events.mapping { (key, events) throws(StoreError) in
                let line = events.position.line
                switch try events.next() {
                case .scalar: try add(key, line, events, to: values)
                case .mappingStart: try readService(key, &events, into: values)
                default: throw events.invalid("a list, which is no value of a secret,")
                }
            }
            try events.expectEnd()
        }
    }

    private static func readService(
        _ service: String,
        _ events: inout YAMLEventReader,
        into values: ImportedValues
    ) throws(StoreError) {
        try events.mappingEntries { (key, events) throws(StoreError) in
            let line = events.position.line
            guard try events.next() == .scalar else {
                throw events.invalid(
                    "a value is expected",
                    hint: service == "secrets" ? "credfs encrypt FILE takes templates" : nil
                )
            }
            try add("\(service)/\(key)", line, events, to: values)
        }
    }

    private static func add(
        _ name: String,
        _ line: Int,
        _ events: borrowing YAMLEventReader,
        to values: ImportedValues
    ) throws(StoreError) {
        guard SecretReference(name) != nil else {
            throw StoreError(.invalid, "bad name of a secret at line \(line)", hint: SecretReference.rule)
        }
        var found = ImportedName(name)
        found.isNull = events.isNull
        values.begin()
        if !found.isNull { events.withScalar { values.bytes.append($0) } }
        try values.end(found, line: line)
    }
}

extension YAMLEventReader {
    /// Scalar that YAML 1.1 and 1.2 take for no value.
    fileprivate var isNull: Bool {
        guard isPlain else { return false }
        return withScalar { bytes in
            bytes.isEmpty
                || ["~", "null", "Null", "NULL"].contains { bytes.count == $0.utf8.count && bytes.starts(with: $0) }
        }
    }
}
