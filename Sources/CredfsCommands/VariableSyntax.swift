// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import SecretStore

/// The syntax in which another program reads variables.
///
/// Every value of UTF-8 without NUL is either written so that all readers of a syntax read the same bytes, or has an obstacle.
enum VariableSyntax: String, ExpressibleByArgument, CaseIterable {
    /// Commands for sh(1).
    case shell
    /// A dotenv file. There is no standard: what is written means the same to shells, python-dotenv and Node.js.
    case dotenv
    /// A file for `docker run --env-file`: raw lines.
    case docker
    /// The file that `$GITHUB_ENV` names.
    case github
    /// A dotenv report of GitLab, where a line is split at its last `=` and stripped.
    case gitlab
    /// A file for EnvironmentFile= (systemd.exec(5)).
    case systemd

    /// The characters of a line that docker reads (bufio.MaxScanTokenSize of Go, less one).
    private static let dockerLineByteCount = 65_535

    /// Finds what a reader would take a name for, whatever the value; nil where it is a name like others.
    func obstacle(inName name: String) -> String? {
        switch self {
        case .shell: VariableName.shellObstacle(name)
        case .dotenv: VariableName.dotenvObstacle(name)
        case .docker, .github, .gitlab, .systemd: nil
        }
    }

    /// Finds what in a name or value a reader would take for something else; nil where there is nothing.
    func obstacle(_ name: String, _ value: Span<UInt8>) -> String? {
        if let obstacle = obstacle(inName: name) { return obstacle }
        let traits = ContentTraits(value)
        switch self {
        case .shell, .systemd, .github: return nil
        case .dotenv: return traits.dotenvObstacle
        case .docker:
            if traits.hasNewline { return "a newline" }
            if traits.endsInReturn { return "a carriage return at its end" }
            let isTooLong = name.utf8.count + 1 + value.count > Self.dockerLineByteCount
            return isTooLong ? "more than a line of 64 KiB holds" : nil
        case .gitlab:
            if traits.hasNewline || traits.hasReturn { return "a line break" }
            if traits.hasEqualsSign { return "an equals sign" }
            return traits.hasOuterSpace ? "white space at an end" : nil
        }
    }

    /// Writes an assignment whose value has no obstacle.
    func write(_ name: String, _ value: Span<UInt8>, to writer: PlaintextWriter) throws(StoreError) {
        switch self {
        case .shell:
            try writer.write("export \(name)='")
            try writer.write(value) { bytes, index in bytes[index] == UInt8(ascii: "'") ? ("'\\''", 1) : nil }
            try writer.write("'\n")
        case .dotenv:
            let quote = ContentTraits(value).dotenvQuote.map { String(Unicode.Scalar($0)) } ?? ""
            try writer.write("\(name)=\(quote)")
            try writer.write(value)
            try writer.write("\(quote)\n")
        case .systemd:
            try writer.write("\(name)=\"")
            try writer.write(value, spelling: Self.inDoubleQuotes)
            try writer.write("\"\n")
        case .github where ContentTraits(value).hasNewline:
            let delimiter = Self.delimiter(value)
            try writer.write("\(name)<<\(delimiter)\n")
            try writer.write(value)
            try writer.write("\n\(delimiter)\n")
        case .docker, .github, .gitlab:
            try writer.write("\(name)=")
            try writer.write(value)
            try writer.write("\n")
        }
    }

    private static func inDoubleQuotes(_ bytes: Span<UInt8>, _ index: Int) -> (text: String, byteCount: Int)? {
        switch bytes[index] {
        case UInt8(ascii: "\""): ("\\\"", 1)
        case UInt8(ascii: "\\"): ("\\\\", 1)
        case UInt8(ascii: "$"): ("\\$", 1)
        case UInt8(ascii: "`"): ("\\`", 1)
        default: nil
        }
    }

    /// A line that the value does not have: one underscore more than it has in a row.
    private static func delimiter(_ value: Span<UInt8>) -> String {
        var longest = 0
        var run = 0
        for index in value.indices {
            run = value[index] == UInt8(ascii: "_") ? run + 1 : 0
            longest = max(longest, run)
        }
        return "CREDFS" + String(repeating: "_", count: longest + 1)
    }
}
