// SPDX-License-Identifier: Apache-2.0

/// Filter of a template: the spelling of content in another syntax.
package enum TemplateFilter: String, Sendable, CaseIterable {
    /// Standard Base64 with padding on one line (RFC 4648, section 4).
    case base64
    /// A string of JSON with its quotes (RFC 8259, section 7).
    case json
    /// One word of a POSIX shell, in single quotes.
    case shell
    /// The value of an assignment in a dotenv file, as `export` writes it.
    case dotenv
    /// Percent-encoding of everything but unreserved characters (RFC 3986, section 2.3).
    case url
    /// A field of a password file of PostgreSQL (libpq, "The Password File").
    case pgpass
    /// Removal of white space at both ends.
    case strip

    /// The filters in a message.
    static let list = allCases.map(\.rawValue).joined(separator: ", ")

    /// The filter has to know all of a content before it can spell any of it.
    var looksAtAll: Bool { self != .base64 && self != .url }

    /// Reason why the filter cannot spell a content; nil where it can.
    func obstacle(_ traits: ContentTraits) -> String? {
        switch self {
        case .base64, .url, .strip: nil
        case .json: traits.isUTF8 ? nil : "bytes that are no UTF-8"
        case .shell: traits.hasZero ? "a zero byte" : nil
        case .pgpass: traits.hasZero ? "a zero byte" : traits.hasNewline || traits.hasReturn ? "a line break" : nil
        case .dotenv: !traits.isUTF8 || traits.hasZero ? "bytes that are no text" : traits.dotenvObstacle
        }
    }
}

/// Step of rendering: a filter with what has to be known of its whole input.
enum TemplateStage: Sendable, Equatable {
    case base64
    case json
    case shell
    /// The quotes of the value; nil where it needs none.
    case dotenv(quote: UInt8?)
    case url
    case pgpass
    /// The range of the input that stays.
    case strip(Range<Int>)

    init(_ filter: TemplateFilter, _ traits: ContentTraits) {
        self =
            switch filter {
            case .base64: .base64
            case .json: .json
            case .shell: .shell
            case .dotenv: .dotenv(quote: traits.dotenvQuote)
            case .url: .url
            case .pgpass: .pgpass
            case .strip: .strip(traits.stripped)
            }
    }

    /// The byte before and behind the output.
    var quote: UInt8? {
        switch self {
        case .json: UInt8(ascii: "\"")
        case .shell: UInt8(ascii: "'")
        case .dotenv(let quote): quote
        case .base64, .url, .pgpass, .strip: nil
        }
    }

    /// The spelling of one byte, for the stages that spell each for itself.
    func spelling(of byte: UInt8) -> Spelling {
        switch self {
        case .json: Self.inJSON(byte)
        case .shell: byte == UInt8(ascii: "'") ? Spelling("'\\''") : Spelling(byte)
        case .url: Self.inURL(byte)
        case .pgpass: Self.inPasswordFile(byte)
        case .base64, .dotenv, .strip: Spelling(byte)
        }
    }

    private static func inJSON(_ byte: UInt8) -> Spelling {
        switch byte {
        case UInt8(ascii: "\""): return Spelling("\\\"")
        case UInt8(ascii: "\\"): return Spelling("\\\\")
        case UInt8(ascii: "\n"): return Spelling("\\n")
        case UInt8(ascii: "\r"): return Spelling("\\r")
        case UInt8(ascii: "\t"): return Spelling("\\t")
        case 0..<0x20:
            var spelling = Spelling("\\u00")
            spelling.append(digit(byte >> 4, "a"))
            spelling.append(digit(byte & 15, "a"))
            return spelling
        default: return Spelling(byte)
        }
    }

    /// A field ends at a colon, and one that is an asterisk alone stands for every value.
    private static func inPasswordFile(_ byte: UInt8) -> Spelling {
        switch byte {
        case UInt8(ascii: ":"), UInt8(ascii: "\\"), UInt8(ascii: "*"):
            var spelling = Spelling("\\")
            spelling.append(byte)
            return spelling
        default: return Spelling(byte)
        }
    }

    private static func inURL(_ byte: UInt8) -> Spelling {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            return Spelling(byte)
        default:
            var spelling = Spelling(UInt8(ascii: "%"))
            spelling.append(digit(byte >> 4, "A"))
            spelling.append(digit(byte & 15, "A"))
            return spelling
        }
    }

    private static func digit(_ value: UInt8, _ ten: Unicode.Scalar) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: ten) + value - 10
    }
}

/// Up to eight bytes in a register, so that no copy of content is on a heap.
struct Spelling {
    private(set) var count = 0
    private var bytes: UInt64 = 0

    init(_ byte: UInt8) { append(byte) }

    init(_ text: String) {
        for byte in text.utf8 { append(byte) }
    }

    mutating func append(_ byte: UInt8) {
        bytes |= UInt64(byte) << UInt64(count * 8)
        count += 1
    }

    subscript(index: Int) -> UInt8 { UInt8(truncatingIfNeeded: bytes >> UInt64(index * 8)) }
}
