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

    /// Variables that bash, dash or busybox set themselves or do not let anybody set (bash(1), Shell Variables).
    private static let shellVariables: Set<String> = [
        "_", "UID", "EUID", "PPID", "RANDOM", "SRANDOM", "SECONDS", "LINENO", "OPTIND", "GROUPS", "FUNCNAME",
        "DIRSTACK",
        "HISTCMD", "EPOCHSECONDS", "EPOCHREALTIME", "BASHPID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO", "BASH_SOURCE",
        "BASH_LINENO", "BASH_COMMAND", "BASH_SUBSHELL", "BASH_ARGC", "BASH_ARGV",
    ]

    /// Finds what a reader would take a name for, whatever the value; nil where it is a name like others.
    func obstacle(inName name: String) -> String? {
        let isForShells = self == .shell || self == .dotenv
        if isForShells, Self.shellVariables.contains(name) { return "a name that shells keep for themselves" }
        return self == .dotenv && name == "__proto__" ? "a name that Node.js keeps for itself" : nil
    }

    /// Finds what in a name or value a reader would take for something else; nil where there is nothing.
    func obstacle(_ name: String, _ value: Span<UInt8>) -> String? {
        if let obstacle = obstacle(inName: name) { return obstacle }
        let traits = ValueTraits(value)
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
            let quote = ValueTraits(value).dotenvQuote
            try writer.write("\(name)=\(quote)")
            try writer.write(value)
            try writer.write("\(quote)\n")
        case .systemd:
            try writer.write("\(name)=\"")
            try writer.write(value, spelling: Self.inDoubleQuotes)
            try writer.write("\"\n")
        case .github where ValueTraits(value).hasNewline:
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

/// Traits that decide how a value can be quoted.
private struct ValueTraits {
    private(set) var hasNewline = false
    private(set) var hasReturn = false
    private(set) var endsInReturn = false
    private(set) var hasEqualsSign = false
    private(set) var hasOuterSpace = false
    /// No reader takes any of it for anything else without quotes.
    private var isPlain = true
    private var hasSingleQuote = false
    /// Something in it is special in the double quotes of a shell.
    private var hasDoubleQuoteSyntax = false
    /// A backslash of it is the beginning of an escape for python-dotenv, in single quotes.
    private var hasSingleQuoteEscape = false
    /// It has what python-dotenv replaces in quotes of either kind: `${NAME}`.
    private var hasReference = false

    init(_ value: Span<UInt8>) {
        var isReferenceOpen = false
        for index in value.indices {
            let byte = value[index]
            let next = index + 1 < value.count ? value[index + 1] : nil
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: continue
            case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "+"),
                UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "%"), UInt8(ascii: ","):
                continue
            case UInt8(ascii: "="):
                hasEqualsSign = true
                // zsh replaces `=program`.
                if index > 0 { continue }
            case UInt8(ascii: "\n"): hasNewline = true
            case UInt8(ascii: "\r"): hasReturn = true
            case UInt8(ascii: "'"): hasSingleQuote = true
            case UInt8(ascii: "\\"):
                hasDoubleQuoteSyntax = true
                if next == nil || next == byte { hasSingleQuoteEscape = true }
            case UInt8(ascii: "\""), UInt8(ascii: "`"): hasDoubleQuoteSyntax = true
            case UInt8(ascii: "$"):
                hasDoubleQuoteSyntax = true
                if next == UInt8(ascii: "{") { isReferenceOpen = true }
            case UInt8(ascii: "}"): hasReference = hasReference || isReferenceOpen
            default: break
            }
            isPlain = false
        }
        guard let last = value.indices.last else { return }
        endsInReturn = value[last] == UInt8(ascii: "\r")
        hasOuterSpace = [value[0], value[last]].contains { $0 == 0x20 || (0x09...0x0d).contains($0) }
    }

    /// Reason why no way to quote it means the same to all readers of dotenv files; nil where there is one.
    ///
    /// In single quotes python-dotenv takes some backslashes for escapes, in double quotes Node.js takes `\"` and `\$` for two
    /// characters, python-dotenv does so for `\$`, and a shell for `\r`.
    var dotenvObstacle: String? {
        if hasReturn { return "a carriage return" }
        if hasReference { return "a reference to a variable" }
        if hasSingleQuote { return hasDoubleQuoteSyntax ? "a single quote beside one of \" $ ` \\" : nil }
        return hasSingleQuoteEscape ? "two backslashes in a row, or one at its end" : nil
    }

    /// The quotes for a value without obstacle.
    var dotenvQuote: String { isPlain ? "" : hasSingleQuote ? "\"" : "'" }
}
