// SPDX-License-Identifier: Apache-2.0

internal import Sealing
package import SecretProviders
internal import SecureJSON
package import SecureMemory

/// JSON text with secrets in it, in locked memory.
package final class SecretDocument: Sendable {
    /// A place in the text.
    package struct Node: Sendable {
        let value: JSONOutline.Value

        /// It has members.
        var isObject: Bool { value.kind == .object }
    }

    private let text: SecureBuffer
    /// The whole text.
    package let root: Node

    /// Checks a text.
    ///
    /// - Returns: nil where it is not JSON.
    package init?(_ text: consuming SecureBuffer) {
        guard let value = text.withBytes({ JSONOutline.check($0) }) else { return nil }
        self.text = text
        root = Node(value: value)
    }

    /// The member of an object; nil where there is none, or two.
    package func member(_ key: String, of node: Node) -> Node? {
        text.withBytes { JSONOutline.member(key, of: node.value, in: $0) }.map { Node(value: $0) }
    }

    /// The members of an object in their order; of a key that is there twice neither.
    package func members(of node: Node) -> [(key: String, value: Node)] {
        let members = text.withBytes { JSONOutline.members(of: node.value, in: $0) }
        let counts = Dictionary(members.map { ($0.key, 1) }, uniquingKeysWith: +)
        return members.filter { counts[$0.key] == 1 }.map { ($0.key, Node(value: $0.value)) }
    }

    /// The integer of a number member; nil for anything else.
    package func number(_ key: String, of node: Node) throws(ProviderError) -> Int64? {
        guard let member = member(key, of: node), member.value.kind == .number,
            let content = try content(of: member)
        else { return nil }
        return content.withBytes { $0.text }.flatMap { Int64($0) }
    }

    /// The elements of an array member.
    package func elements(_ key: String, of node: Node) -> [Node] {
        guard let array = member(key, of: node) else { return [] }
        return text.withBytes { JSONOutline.elements(of: array.value, in: $0) }.map { Node(value: $0) }
    }

    /// The text of a string member that is not secret.
    package func text(_ key: String, of node: Node) -> String? {
        guard let value = member(key, of: node)?.value else { return nil }
        return text.withBytes { JSONOutline.text(value, in: $0) }
    }

    /// The content of a string, as UTF-8; of a number or boolean the characters it is written with; nil for anything else.
    package func content(of node: Node) throws(ProviderError) -> SecureBuffer? {
        let value = node.value
        guard value.kind == .string || value.kind == .number || value.kind == .boolean else { return nil }
        return try text.withBytes { (bytes) throws(ProviderError) -> SecureBuffer? in
            try SecureBuffer.made(capacity: value.range.count) { (target) in
                var filled = 0
                guard value.kind == .string else {
                    for index in value.range {
                        target[filled] = bytes[index]
                        filled += 1
                    }
                    return filled
                }
                var string = JSONString(value.range)
                while let byte = string.next(in: bytes) {
                    target[filled] = byte
                    filled += 1
                }
                return filled
            }
        }
    }

    /// The bytes that a string has in base64.
    ///
    /// - Returns: nil where it is none, or not base64.
    package func decodedContent(of node: Node) throws(ProviderError) -> SecureBuffer? {
        guard let encoded = try content(of: node),
            let count = encoded.withBytes({ Base64.decodedCount($0, .standard) })
        else { return nil }
        var isDecoded = false
        let content = try encoded.withBytes { (text) throws(ProviderError) in
            try SecureBuffer.made(capacity: count) { (target) in
                isDecoded = Base64.decode(text, .standard, into: &target)
                return target.count
            }
        }
        guard isDecoded else { return nil }
        return content
    }
}
