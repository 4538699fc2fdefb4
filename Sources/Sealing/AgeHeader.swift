// SPDX-License-Identifier: Apache-2.0

/// Stanza of an age file: the file key, wrapped for one recipient.
package struct AgeStanza: Sendable, Equatable {
    let type: String
    let arguments: [String]
    /// The wrapped file key, in the kinds that are known here.
    let body: [UInt8]

    package init(type: String, arguments: [String], body: [UInt8]) {
        self.type = type
        self.arguments = arguments
        self.body = body
    }
}

/// Header of an age file: its stanzas and the code that authenticates them.
package struct AgeHeader: Sendable {
    static let version = "age-encryption.org/v1"
    static let x25519 = "X25519"
    static let scrypt = "scrypt"
    /// A wrapped file key: 16 bytes and a tag.
    static let wrappedByteCount = 32
    static let saltByteCount = 16

    private static let bodyColumns = 64

    package let stanzas: [AgeStanza]
    /// The HMAC of everything up to and including `---`.
    let code: [UInt8]
    /// The number of bytes that the code covers.
    package let authenticatedByteCount: Int
    /// Offset of the payload.
    package let byteCount: Int

    /// Reads the header at the start of a file.
    ///
    /// - Throws: `AgeError.malformedHeader`, `excessiveWork`.
    package init(_ file: Span<UInt8>) throws(AgeError) {
        var lines = Lines()
        guard try lines.next(file) == Self.version else { throw .malformedHeader }
        var stanzas: [AgeStanza] = []
        var line = try lines.next(file)
        while line.hasPrefix("-> ") {
            let words = line.dropFirst(3).split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard !words.contains("") else { throw .malformedHeader }
            let body = try Self.body(&lines, file)
            stanzas.append(AgeStanza(type: words[0], arguments: Array(words.dropFirst()), body: body))
            line = try lines.next(file)
        }
        guard line.hasPrefix("--- "), let code = Self.bytes(line.dropFirst(4)), code.count == HMACSHA256.byteCount
        else { throw .malformedHeader }
        self.stanzas = stanzas
        self.code = code
        byteCount = lines.offset
        authenticatedByteCount = lines.offset - line.utf8.count - 1 + 3
        try checkStanzas()
    }

    /// The text of a header without its code: what the code covers.
    package static func text(_ stanzas: [AgeStanza]) -> [UInt8] {
        var text = version + "\n"
        for stanza in stanzas {
            text += "-> " + ([stanza.type] + stanza.arguments).joined(separator: " ") + "\n"
            // Ends in a line that is not full, even if that is an empty one.
            var rest = base64(stanza.body)[...]
            while rest.utf8.count >= bodyColumns {
                text += rest.prefix(bodyColumns) + "\n"
                rest = rest.dropFirst(bodyColumns)
            }
            text += rest + "\n"
        }
        return Array((text + "---").utf8)
    }

    /// The unpadded Base64 of bytes that are published.
    package static func base64(_ bytes: [UInt8]) -> String { Base64.text(bytes, .standardUnpadded) }

    /// The bytes of canonical unpadded Base64.
    static func bytes(_ text: some StringProtocol) -> [UInt8]? { Base64.bytes(String(text), .standardUnpadded) }

    private static func body(_ lines: inout Lines, _ file: Span<UInt8>) throws(AgeError) -> [UInt8] {
        var text = ""
        while true {
            let line = try lines.next(file)
            guard line.utf8.count <= bodyColumns else { throw .malformedHeader }
            text += line
            if line.utf8.count < bodyColumns { break }
        }
        guard let body = bytes(text) else { throw .malformedHeader }
        return body
    }

    /// Checks stanzas of the kinds that are known here, whoever the file is for.
    private func checkStanzas() throws(AgeError) {
        for stanza in stanzas {
            switch stanza.type {
            case Self.x25519:
                guard stanza.arguments.count == 1,
                    Self.bytes(stanza.arguments[0])?.count == X25519.publicByteCount,
                    stanza.body.count == Self.wrappedByteCount
                else { throw .malformedHeader }
            case Self.scrypt:
                guard stanzas.count == 1, stanza.arguments.count == 2,
                    Self.bytes(stanza.arguments[0])?.count == Self.saltByteCount,
                    stanza.body.count == Self.wrappedByteCount
                else { throw .malformedHeader }
                _ = try Self.workFactor(stanza.arguments[1])
            default:
                break
            }
        }
    }

    /// The cost that a stanza asks for, bounded before anything is computed.
    static func workFactor(_ text: String) throws(AgeError) -> Int {
        guard let number = Int(text), number > 0, String(number) == text else { throw .malformedHeader }
        guard number <= Scrypt.maximumWorkFactor else { throw .excessiveWork }
        return number
    }

    /// Takes lines of visible ASCII off the start of a file.
    private struct Lines {
        private(set) var offset = 0

        mutating func next(_ file: Span<UInt8>) throws(AgeError) -> String {
            var line = ""
            while offset < file.count {
                let character = file[offset]
                offset += 1
                if character == UInt8(ascii: "\n") { return line }
                guard (0x20...0x7e).contains(character) else { throw .malformedHeader }
                line.unicodeScalars.append(Unicode.Scalar(character))
            }
            throw .malformedHeader
        }
    }
}
