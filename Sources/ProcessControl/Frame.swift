// SPDX-License-Identifier: Apache-2.0

package import SystemCalls
package import SystemPackage

/// Frame of the protocol between credfs and its helper processes: a kind, a length of 32 bits (big endian) and bytes.
package struct Frame<Kind: RawRepresentable & Sendable>: Sendable where Kind.RawValue == UInt8 {
    /// Kind of the message.
    package let kind: Kind
    /// Bytes of the message, which hold no plaintext.
    package let bytes: [UInt8]

    /// More than any manifest with every value sealed.
    private static var maximumByteCount: Int { 256 << 20 }
    private static var headByteCount: Int { 5 }

    /// Makes a message.
    package init(_ kind: Kind, _ bytes: [UInt8]) {
        self.kind = kind
        self.bytes = bytes
    }

    /// Makes a message of text.
    package init(_ kind: Kind, _ text: String = "") {
        self.init(kind, Array(text.utf8))
    }

    /// Writes the message to a descriptor, which somebody else may own.
    ///
    /// - Throws: the error of write(2).
    package func write(to number: Int32) throws(Errno) {
        var head: [UInt8] = [kind.rawValue]
        for shift in [24, 16, 8, 0] { head.append(UInt8(truncatingIfNeeded: bytes.count >> shift)) }
        try writeAll(number, head.span)
        try writeAll(number, bytes.span)
    }

    /// Reads a message.
    ///
    /// - Returns: the message, or nil if the other side ended or sends nonsense.
    /// - Throws: the error of read(2).
    package static func read(from input: borrowing OwnedDescriptor) throws(Errno) -> Frame? {
        let head = try input.readFully(upTo: headByteCount)
        guard head.count == headByteCount, let kind = Kind(rawValue: head[0]) else { return nil }
        let count = head[1...].reduce(0) { $0 << 8 | Int($1) }
        guard count <= maximumByteCount else { return nil }
        let bytes = try input.readFully(upTo: count)
        return bytes.count == count ? Frame(kind, bytes) : nil
    }

    /// Text of the message; empty where it is not UTF-8, which no helper of ours writes.
    package var text: String {
        guard let text = try? UTF8Span(validating: bytes.span) else { return "" }
        return String(copying: text)
    }

    /// Lines of the message that hold anything.
    package var lines: [String] {
        text.split(separator: "\n").map(String.init)
    }
}
