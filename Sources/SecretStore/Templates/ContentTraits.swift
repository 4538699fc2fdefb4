// SPDX-License-Identifier: Apache-2.0

/// Traits of content that decide how it can be quoted, found byte by byte without a copy of any.
package struct ContentTraits: Sendable {
    package private(set) var count = 0
    package private(set) var hasNewline = false
    package private(set) var hasReturn = false
    package private(set) var hasEqualsSign = false
    package private(set) var hasZero = false
    private var isWellFormed = true
    /// No reader of dotenv files takes any of it for anything else without quotes.
    private var isPlain = true
    private var hasSingleQuote = false
    /// Something in it is special in the double quotes of a shell.
    private var hasDoubleQuoteSyntax = false
    /// A backslash of it is the beginning of an escape for python-dotenv, in single quotes.
    private var hasDoubleBackslash = false
    private var isReferenceOpen = false
    /// It has what python-dotenv replaces in quotes of either kind: `${NAME}`.
    private var hasReference = false
    private var beginsWithSpace = false
    private var firstVisible: Int?
    private var visibleEnd = 0
    private var previous: UInt8 = 0
    /// Bytes of a character that are still to come, and what the next may be.
    private var missing = 0
    private var next: ClosedRange<UInt8> = 0x80...0xbf

    /// Makes traits of nothing yet.
    package init() {}

    /// Finds the traits of content.
    package init(_ content: Span<UInt8>) {
        for index in content.indices { add(content[index]) }
    }

    /// Takes the next byte.
    package mutating func add(_ byte: UInt8) {
        addToText(byte)
        addToValue(byte)
        if Self.isSpace(byte) {
            beginsWithSpace = beginsWithSpace || count == 0
        } else {
            firstVisible = firstVisible ?? count
            visibleEnd = count + 1
        }
        previous = byte
        count += 1
    }

    /// UTF-8, which a file of JSON has to be.
    package var isUTF8: Bool { isWellFormed && missing == 0 }

    /// The range without white space at the ends.
    package var stripped: Range<Int> { (firstVisible ?? 0)..<visibleEnd }

    package var hasOuterSpace: Bool { beginsWithSpace || count > 0 && Self.isSpace(previous) }

    package var endsInReturn: Bool { count > 0 && previous == UInt8(ascii: "\r") }

    /// Reason why no way to quote it means the same to all readers of dotenv files; nil where there is one.
    ///
    /// In single quotes python-dotenv takes some backslashes for escapes, in double quotes Node.js takes `\"` and `\$` for two
    /// characters, python-dotenv does so for `\$`, and a shell for `\r`.
    package var dotenvObstacle: String? {
        if hasReturn { return "a carriage return" }
        if hasReference { return "a reference to a variable" }
        if hasSingleQuote { return hasDoubleQuoteSyntax ? "a single quote beside one of \" $ ` \\" : nil }
        return hasDoubleBackslash || count > 0 && previous == UInt8(ascii: "\\")
            ? "two backslashes in a row, or one at its end" : nil
    }

    /// The quotes for a value without obstacle; nil where it needs none.
    package var dotenvQuote: UInt8? { isPlain ? nil : hasSingleQuote ? UInt8(ascii: "\"") : UInt8(ascii: "'") }

    private mutating func addToValue(_ byte: UInt8) {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: return
        case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "+"),
            UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "%"), UInt8(ascii: ","):
            return
        case UInt8(ascii: "="):
            hasEqualsSign = true
            // zsh replaces `=program`.
            if count > 0 { return }
        case 0: hasZero = true
        case UInt8(ascii: "\n"): hasNewline = true
        case UInt8(ascii: "\r"): hasReturn = true
        case UInt8(ascii: "'"): hasSingleQuote = true
        case UInt8(ascii: "\\"):
            hasDoubleQuoteSyntax = true
            if previous == byte { hasDoubleBackslash = true }
        case UInt8(ascii: "\""), UInt8(ascii: "`"), UInt8(ascii: "$"): hasDoubleQuoteSyntax = true
        case UInt8(ascii: "{"): isReferenceOpen = isReferenceOpen || previous == UInt8(ascii: "$")
        case UInt8(ascii: "}"): hasReference = hasReference || isReferenceOpen
        default: break
        }
        isPlain = false
    }

    /// Well-formed sequences as in the Unicode Standard, table 3-7.
    private mutating func addToText(_ byte: UInt8) {
        if missing > 0 {
            isWellFormed = isWellFormed && next.contains(byte)
            missing -= 1
            next = 0x80...0xbf
            return
        }
        switch byte {
        case 0..<0x80: return
        case 0xc2...0xdf: missing = 1
        case 0xe0: (missing, next) = (2, 0xa0...0xbf)
        case 0xe1...0xec, 0xee, 0xef: missing = 2
        case 0xed: (missing, next) = (2, 0x80...0x9f)
        case 0xf0: (missing, next) = (3, 0x90...0xbf)
        case 0xf1...0xf3: missing = 3
        case 0xf4: (missing, next) = (3, 0x80...0x8f)
        default: isWellFormed = false
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
}

/// Names that readers of variables keep for themselves.
extension VariableName {
    /// Finds what a shell or Node.js would take a name of a dotenv file for; nil where it is a name like others.
    package static func dotenvObstacle(_ name: String) -> String? {
        if let obstacle = shellObstacle(name) { return obstacle }
        return name == "__proto__" ? "a name that Node.js keeps for itself" : nil
    }

    /// Finds whether a shell keeps a name for itself.
    package static func shellObstacle(_ name: String) -> String? {
        shellVariables.contains(name) ? "a name that shells keep for themselves" : nil
    }

    /// Variables that bash, dash or busybox set themselves or do not let anybody set (bash(1), Shell Variables).
    private static let shellVariables: Set<String> = [
        "_", "UID", "EUID", "PPID", "RANDOM", "SRANDOM", "SECONDS", "LINENO", "OPTIND", "GROUPS", "FUNCNAME",
        "DIRSTACK",
        "HISTCMD", "EPOCHSECONDS", "EPOCHREALTIME", "BASHPID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO", "BASH_SOURCE",
        "BASH_LINENO", "BASH_COMMAND", "BASH_SUBSHELL", "BASH_ARGC", "BASH_ARGV",
    ]
}
