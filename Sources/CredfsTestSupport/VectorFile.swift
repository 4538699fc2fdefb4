// SPDX-License-Identifier: Apache-2.0

internal import Foundation

/// A file of published vectors, in the form that NIST's CAVP uses and that others have taken over.
///
/// Lines are `[Name = value]` for a group, `Name = value` for a field, or a bare word such as `FAIL`. A record ends where
/// one of its names comes again or a group begins.
package struct VectorFile: Sendable {
    /// One case.
    package struct Record: Sendable {
        /// Fields of the whole group.
        package fileprivate(set) var group: [String: String] = [:]
        /// The fields, with an empty text for a bare word.
        package fileprivate(set) var fields: [String: String] = [:]
        /// The line of the first field.
        package fileprivate(set) var line = 0

        /// Detects a bare word.
        package func says(_ word: String) -> Bool { fields[word] == "" }

        /// The bytes of a field.
        package func bytes(_ name: String) throws -> [UInt8] {
            guard let text = fields[name] else { throw Failure.missing(field: name, line: line) }
            return try Hexadecimal.decode(text)
        }

        /// The number in a field.
        package func number(_ name: String) throws -> Int {
            guard let number = fields[name].flatMap({ Int($0) }) else { throw Failure.missing(field: name, line: line) }
            return number
        }
    }

    /// Failure to read a vector.
    package enum Failure: Error, CustomStringConvertible {
        case absent(path: String)
        case missing(field: String, line: Int)

        package var description: String {
            switch self {
            case .absent(let path): "no \(path): run scripts/test-vectors"
            case .missing(let field, let line): "the record at line \(line) has no \(field)"
            }
        }
    }

    /// The cases in the order of the file.
    package let records: [Record]

    /// Reads a file that `scripts/test-vectors` has put under `.build/vectors`.
    package init(_ name: String) throws {
        let path = PackageDirectory.root + ".build/vectors/" + name
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { throw Failure.absent(path: path) }
        records = Self.parse(text)
    }

    private static func parse(_ text: String) -> [Record] {
        var records: [Record] = []
        var current = Record()
        func end() {
            if !current.fields.isEmpty { records.append(current) }
            current.fields = [:]
        }
        var groupIsOpen = false
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let content = line.trimmingCharacters(in: .whitespaces)
            if content.isEmpty || content.hasPrefix("#") { continue }
            let isGroup = content.hasPrefix("[")
            let (name, value) = field(content.trimmingCharacters(in: CharacterSet(charactersIn: "[]")))
            if isGroup {
                end()
                if !groupIsOpen { current.group = [:] }
                current.group[name] = value
            } else {
                if current.fields[name] != nil { end() }
                if current.fields.isEmpty { current.line = index + 1 }
                current.fields[name] = value
            }
            groupIsOpen = isGroup
        }
        end()
        return records
    }

    private static func field(_ line: String) -> (name: String, value: String) {
        guard let equals = line.firstIndex(of: "=") else { return (line, "") }
        return (
            line[..<equals].trimmingCharacters(in: .whitespaces),
            line[line.index(after: equals)...].trimmingCharacters(in: .whitespaces)
        )
    }
}
