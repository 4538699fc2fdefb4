// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
internal import SystemPackage

/// Message between a server and the process that asks a source for it: a kind, a length of 32 bits (big endian) and lines of text.
package enum ProviderMessage: Sendable, Equatable {
    /// Request: the names that there are, by a time of `BootClock`.
    case list(deadline: Int64)
    /// Request: the values of names, by a time of `BootClock`.
    case fetch([String], deadline: Int64)
    /// Answer: the names that there are; nil where only what is asked for is answered.
    case names([String]?)
    /// Answer: the names cannot be told.
    case failed(ProviderError)
    /// Answer: a value, of which so many bytes follow the message.
    case value(String, byteCount: Int)
    /// Answer: there is no value for a name.
    case missing(String, ProviderError)
    /// End of the answers to one request.
    case end

    /// Kinds of messages.
    package enum Kind: UInt8, Sendable, CaseIterable {
        case list = 1
        case fetch
        case names
        case noNames
        case failed
        case value
        case missing
        case end
    }

    /// Bytes before the text.
    package static let headByteCount = 5
    /// The longest text in bytes.
    package static let maximumByteCount = 16 << 20

    /// Kind of the message.
    package var kind: Kind {
        switch self {
        case .list: .list
        case .fetch: .fetch
        case .names(let names): names == nil ? .noNames : .names
        case .failed: .failed
        case .value: .value
        case .missing: .missing
        case .end: .end
        }
    }

    private var lines: [String] {
        switch self {
        case .list(let deadline): [String(deadline)]
        case .fetch(let names, let deadline): [String(deadline)] + names
        case .names(let names): names ?? []
        case .failed(let error): Self.lines(error)
        case .value(let name, let count): [name, String(count)]
        case .missing(let name, let error): [name] + Self.lines(error)
        case .end: []
        }
    }

    /// Makes a message of its kind and text.
    ///
    /// - Returns: nil for what no message is.
    package init?(_ kind: Kind, _ text: String) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        // Each line is ended, the last one too.
        guard lines.popLast() == "" else { return nil }
        switch kind {
        case .list:
            guard lines.count == 1, let deadline = Int64(lines[0]) else { return nil }
            self = .list(deadline: deadline)
        case .fetch:
            guard let deadline = lines.first.flatMap({ Int64($0) }) else { return nil }
            self = .fetch(Array(lines.dropFirst()), deadline: deadline)
        case .names: self = .names(lines)
        case .noNames:
            guard lines.isEmpty else { return nil }
            self = .names(nil)
        case .failed:
            guard let error = Self.error(lines[...]) else { return nil }
            self = .failed(error)
        case .value:
            guard lines.count == 2, let count = Int(lines[1]), count >= 0 else { return nil }
            self = .value(lines[0], byteCount: count)
        case .missing:
            guard let name = lines.first, let error = Self.error(lines.dropFirst()) else { return nil }
            self = .missing(name, error)
        case .end:
            guard lines.isEmpty else { return nil }
            self = .end
        }
    }

    /// Text of the message.
    package var text: String { lines.map { Self.line($0) + "\n" }.joined() }

    /// Bytes of the message.
    package var bytes: [UInt8] {
        let text = Array(text.utf8)
        return [kind.rawValue] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: text.count >> $0) } + text
    }

    /// Reads the head of a message.
    ///
    /// - Returns: kind and length of the text; nil for what no message is.
    package static func head(_ bytes: [UInt8]) -> (kind: Kind, byteCount: Int)? {
        guard bytes.count == headByteCount, let kind = Kind(rawValue: bytes[0]) else { return nil }
        let count = bytes[1...].reduce(0) { $0 << 8 | Int($1) }
        return count <= maximumByteCount ? (kind, count) : nil
    }

    private static func lines(_ error: ProviderError) -> [String] {
        [String(error.kind.rawValue), error.retryAfter.map { String($0) } ?? "", error.message, error.hint]
    }

    private static func error(_ lines: ArraySlice<String>) -> ProviderError? {
        let lines = Array(lines)
        guard lines.count == 4, let kind = UInt8(lines[0]).flatMap(ProviderError.Kind.init),
            lines[1].isEmpty || Int(lines[1]) != nil
        else { return nil }
        return ProviderError(kind, lines[2], hint: lines[3], retryAfter: Int(lines[1]))
    }

    /// A line without what would end it.
    private static func line(_ text: String) -> String {
        text.utf8.contains(UInt8(ascii: "\n")) ? text.replacing("\n", with: " ") : text
    }
}
