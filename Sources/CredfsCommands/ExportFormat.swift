// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore
internal import SecureJSON

/// Format of exported values.
enum ExportFormat: String, ExpressibleByArgument, CaseIterable {
    case dotenv
    case json
    case yaml
    case shell
    case docker
    case systemd

    /// The syntax of the formats that hold variables; nil for those whose names and values can be any text.
    var syntax: VariableSyntax? { VariableSyntax(rawValue: rawValue) }

    /// Writes what comes before all values.
    func begin(_ writer: PlaintextWriter) throws(StoreError) {
        if self == .json { try writer.write("{") }
    }

    /// Writes a name and a value of UTF-8 without NUL.
    func write(_ name: String, _ value: Span<UInt8>, isFirst: Bool, to writer: PlaintextWriter) throws(StoreError) {
        switch self {
        case .dotenv, .docker, .shell, .systemd: try syntax?.write(name, value, to: writer)
        case .json:
            try writer.write(isFirst ? "\n  \"" : ",\n  \"")
            try writer.write(name.utf8.span, spelling: Self.inJSON)
            try writer.write("\": \"")
            try writer.write(value, spelling: Self.inJSON)
            try writer.write("\"")
        case .yaml:
            try writer.write(Self.yamlKey(name))
            try writer.write(": \"")
            try writer.write(value, spelling: Self.inYAML)
            try writer.write("\"\n")
        }
    }

    /// Writes what comes behind all values.
    func end(_ writer: PlaintextWriter, isEmpty: Bool) throws(StoreError) {
        if self == .json { try writer.write(isEmpty ? "}\n" : "\n}\n") }
        if self == .yaml && isEmpty { try writer.write("{}\n") }
    }

    /// RFC 8259, section 7.
    private static func inJSON(_ bytes: Span<UInt8>, _ index: Int) -> (text: String, byteCount: Int)? {
        switch bytes[index] {
        case UInt8(ascii: "\""): ("\\\"", 1)
        case UInt8(ascii: "\\"): ("\\\\", 1)
        case UInt8(ascii: "\n"): ("\\n", 1)
        case UInt8(ascii: "\r"): ("\\r", 1)
        case UInt8(ascii: "\t"): ("\\t", 1)
        case 0..<0x20: (JSONString.escape(UInt32(bytes[index])), 1)
        default: nil
        }
    }

    /// YAML 1.2.2, section 5.7: what is not printable, and the line breaks of YAML 1.1, need an escape.
    private static func inYAML(_ bytes: Span<UInt8>, _ index: Int) -> (text: String, byteCount: Int)? {
        let byte = bytes[index]
        switch byte {
        case 0x7f: return (JSONString.escape(0x7f), 1)
        case 0..<0x80: return inJSON(bytes, index)
        // U+0080 to U+009F.
        case 0xc2 where bytes[index + 1] < 0xa0: return (JSONString.escape(UInt32(bytes[index + 1])), 2)
        case 0xe2, 0xef:
            let scalar =
                UInt32(byte & 0xf) << 12 | UInt32(bytes[index + 1] & 0x3f) << 6 | UInt32(bytes[index + 2] & 0x3f)
            return [0x2028, 0x2029, 0xfeff, 0xfffe, 0xffff].contains(scalar) ? (JSONString.escape(scalar), 3) : nil
        default: return nil
        }
    }

    /// A key that every reader of YAML takes for this text.
    private static func yamlKey(_ name: String) -> String {
        let isPlain =
            name.utf8.allSatisfy { (0x41...0x5a).contains($0 & 0xdf) || $0 == 0x5f || (0x30...0x39).contains($0) }
            && !(0x30...0x39).contains(name.utf8.first ?? 0x30) && !words.contains(name.lowercased())
        return isPlain ? name : "'\(name.replacing("'", with: "''"))'"
    }

    private static let words: Set<String> = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"]
}
