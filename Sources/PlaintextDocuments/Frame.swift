// SPDX-License-Identifier: Apache-2.0

internal import SecretStore
internal import SystemCalls
internal import SystemPackage

/// One message between credfs and its helper process: a kind, a length of 32 bits and bytes that hold no plaintext.
struct Frame {
    enum Kind: UInt8 {
        /// To the caller: a manifest without secrets.
        case header = 0x48
        /// To the caller: the names of what was sealed, one a line.
        case sealedNames = 0x4e
        /// The document with every value sealed.
        case document = 0x4d
        /// To the caller: the names in a document, one a line.
        case names = 0x4c
        /// From the caller: the secrets that values are for, one a line.
        case targets = 0x54
        /// To the caller: how many values are sealed and how many there are, one a line.
        case progress = 0x50
        /// To the caller: sealed values, each with a line feed behind it.
        case values = 0x56
        /// To the caller: code, message and hint of an error, one a line.
        case failure = 0x45
        /// To the editing process: where to edit and with what.
        case request = 0x51
        /// To the caller: it can be edited there.
        case ready = 0x52
        /// To the caller: what could not be done, and the error number.
        case refusal = 0x58
        /// To the editing process: the secrets as they are stored, sealed.
        case base = 0x42
        /// To the editing process: offer what was sent last.
        case edit = 0x57
        /// To the caller: how the editor ended, in a word and a number.
        case editorFailure = 0x46
    }

    let kind: Kind
    let bytes: [UInt8]

    /// More than any manifest with every value sealed.
    private static let maximumByteCount = 256 << 20

    func write(to output: borrowing OwnedDescriptor) throws(Errno) {
        try write(to: output.number)
    }

    /// Writes to a descriptor that somebody else owns.
    func write(to number: Int32) throws(Errno) {
        var head: [UInt8] = [kind.rawValue]
        for shift in [24, 16, 8, 0] { head.append(UInt8(truncatingIfNeeded: bytes.count >> shift)) }
        try writeAll(number, head.span)
        try writeAll(number, bytes.span)
    }

    /// Reads a message, or returns nil if the other side ended or sends nonsense.
    static func read(from input: borrowing OwnedDescriptor) throws(Errno) -> Frame? {
        guard let head = try read(5, from: input), let kind = Kind(rawValue: head[0]) else { return nil }
        let count = head[1...].reduce(0) { $0 << 8 | Int($1) }
        guard count <= maximumByteCount, let bytes = try read(count, from: input) else { return nil }
        return Frame(kind: kind, bytes: bytes)
    }

    private static func read(_ count: Int, from input: borrowing OwnedDescriptor) throws(Errno) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            var span = bytes.mutableSpan
            let part = try input.read(into: &span, from: filled)
            if part == 0 { return nil }
            filled += part
        }
        return bytes
    }
}

extension Frame {
    init(_ error: StoreError) {
        kind = .failure
        bytes = Array("\(error.code)\n\(error.message)\n\(error.hint ?? "")".utf8)
    }

    /// The error in a message of kind `failure`.
    var error: StoreError {
        let lines = String(bytes: bytes).split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false)
        let code = StoreError.Code.allCases.first { "\($0)" == lines.first ?? "" } ?? .failed
        let hint = lines.count > 2 && !lines[2].isEmpty ? String(lines[2]) : nil
        return StoreError(code, lines.count > 1 ? String(lines[1]) : "the helper process failed", hint: hint)
    }

    /// The lines of a message that hold anything.
    var lines: [String] {
        text.split(separator: "\n").map(String.init)
    }

    /// The whole of a message of lines.
    var text: String { String(bytes: bytes) }
}

extension String {
    /// Text of our own helper, which writes UTF-8.
    fileprivate init(bytes: [UInt8]) {
        guard let text = try? UTF8Span(validating: bytes.span) else {
            self = ""
            return
        }
        self.init(copying: text)
    }
}
