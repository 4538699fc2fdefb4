// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import SecretStore
internal import SecureFiles
internal import SystemCalls
internal import SystemPackage

/// Template of a rendered file in a file of its own, which is no secret.
enum TemplateInput {
    /// Reads a template.
    ///
    /// - Parameter path: the file; `-` is standard input.
    /// - Returns: the template.
    /// - Throws: class `invalid` for what is none.
    static func read(_ path: String) throws -> Template {
        let bytes = try StoreError.wrapping("read", path == "-" ? "standard input" : path) { () throws(Errno) in
            guard path != "-" else { return try collect(0) }
            let file = try OwnedDescriptor.open(path, O_RDONLY | O_NOCTTY)
            return try collect(file.number)
        }
        guard let text = try? UTF8Span(validating: bytes.span) else {
            throw StoreError(.invalid, "the template is no UTF-8")
        }
        return try Template(String(copying: text))
    }

    /// Reads to the end, or to where it is too large.
    private static func collect(_ number: Int32) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= Template.maximumByteCount {
            var span = part.mutableSpan
            let count = try SystemCalls.read(number, into: &span, from: 0)
            if count == 0 { break }
            bytes += part[..<count]
        }
        return bytes
    }
}
