// SPDX-License-Identifier: Apache-2.0

/// Template of a rendered file: text with the places of secrets, which is no secret itself.
package struct Template: Sendable, Equatable {
    /// The largest template in bytes.
    package static let maximumByteCount = 1 << 20
    /// The most expressions of a template.
    package static let maximumExpressionCount = 4096

    /// Value or text of an expression.
    enum Operand: Sendable, Equatable {
        case text([UInt8])
        /// The value of a secret.
        case secret(SecretName)
        /// Every secret that has a value, in a syntax that holds several.
        case all(Collection)
    }

    /// Syntax of `{{ all | ... }}`.
    enum Collection: String, Sendable, CaseIterable {
        /// A line `NAME=value` for each.
        case dotenv
        /// One object, the values as strings.
        case json
    }

    /// Operands one behind the other, and the filters of their whole.
    struct Piece: Sendable, Equatable {
        var operands: [Operand]
        var filters: [TemplateFilter] = []
    }

    /// The template as it was written.
    package let text: String
    /// Literal text and expressions, in their order.
    let pieces: [Piece]

    /// Reads a template.
    ///
    /// - Parameter text: the template.
    /// - Throws: class `invalid` with line and column of the template.
    package init(_ text: String) throws(StoreError) {
        guard text.utf8.count <= Self.maximumByteCount else {
            throw StoreError(.invalid, "the template is larger than \(Self.maximumByteCount >> 20) MiB")
        }
        guard !text.isEmpty else { throw StoreError(.invalid, "the template is empty") }
        guard !text.utf8.contains(0) else { throw StoreError(.invalid, "the template has a zero byte") }
        guard !text.utf8.starts(with: SealedValue.opening.utf8) else {
            throw StoreError(.invalid, "the template begins like a sealed value")
        }
        self.text = text
        pieces = try TemplateParser.parse(text.utf8.span)
    }

    /// The text as it stands in a manifest behind its key.
    package var scalar: String {
        // NOT SECRET: templates are readable in the manifest.
        String(decoding: EditableScalar.text(of: text.utf8.span) ?? [], as: UTF8.self)
    }

    /// Compares the text byte by byte.
    package static func == (left: Template, right: Template) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    /// The secrets that it names, each once.
    package var names: [SecretName] {
        var seen: Set<SecretName> = []
        return operands.compactMap { operand in
            guard case .secret(let name) = operand, seen.insert(name).inserted else { return nil }
            return name
        }
    }

    /// It has `{{ all | ... }}`.
    package var namesAll: Bool {
        operands.contains { operand in if case .all = operand { true } else { false } }
    }

    private var operands: [Operand] { pieces.flatMap(\.operands) }
}
