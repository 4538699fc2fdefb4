// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One HTTP request over one connection: read up to the empty line, answered, closed.
struct Connection: ~Copyable {
    /// More than any request of this service needs.
    private static let maximumHeadByteCount = 8192

    private let number: Int32

    init(owning number: Int32) {
        self.number = number
        // A client that sends nothing is not waited for.
        var timeout = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit {
        close(number)
    }

    /// Reads the head of the request, lends its parts and wipes the buffer, which holds the token that was presented.
    ///
    /// - Parameter body: gets the method and path, and the token of an `Authorization: Bearer` header.
    func withRequest(_ body: (_ line: String, _ token: Span<UInt8>?) -> Void) {
        var head = [UInt8](repeating: 0, count: Self.maximumHeadByteCount)
        defer {
            head.withUnsafeMutableBytes { bytes in
                guard let start = bytes.baseAddress else { return }
                explicit_bzero(start, bytes.count)
            }
        }
        var count = 0
        while count < head.count, Self.end(of: head.span.extracting(0..<count)) == nil {
            let received = head.withUnsafeMutableBytes { bytes in
                recv(number, bytes.baseAddress?.advanced(by: count), bytes.count - count, 0)
            }
            guard received > 0 else { return }
            count += received
        }
        let text = head.span.extracting(0..<count)
        guard let end = Self.end(of: text) else { return }
        var line = ""
        var token: Range<Int>?
        var start = 0
        while start < end {
            var stop = start
            while text[stop] != UInt8(ascii: "\r") { stop += 1 }
            if start == 0 {
                line = String(decoding: (start..<stop).map { text[$0] }, as: UTF8.self)
            } else if let value = Self.bearer(text, start..<stop) {
                // Two such headers are one too many.
                token = token == nil ? value : 0..<0
            }
            start = stop + 2
        }
        if let token {
            body(line, text.extracting(token))
        } else {
            body(line, nil)
        }
    }

    func answer(_ status: String, _ body: String) {
        let response = """
            HTTP/1.1 \(status)\r
            Content-Type: text/plain\r
            Content-Length: \(body.utf8.count)\r
            Connection: close\r
            \r
            \(body)
            """
        _ = Array(response.utf8).withUnsafeBytes { send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Where the line before the empty one ends, or nil where there is no empty line yet.
    private static func end(of text: Span<UInt8>) -> Int? {
        guard text.count >= 4 else { return nil }
        return (0...(text.count - 4)).first { at in
            text[at] == 13 && text[at + 1] == 10 && text[at + 2] == 13 && text[at + 3] == 10
        }
    }

    /// The token of a header line, where it is one that carries a token.
    private static func bearer(_ text: Span<UInt8>, _ line: Range<Int>) -> Range<Int>? {
        let prefix = Array("authorization: bearer ".utf8)
        guard line.count >= prefix.count else { return nil }
        for (index, byte) in prefix.enumerated() {
            let found = text[line.lowerBound + index]
            let lower = (0x41...0x5a).contains(found) ? found + 32 : found
            guard lower == byte else { return nil }
        }
        return (line.lowerBound + prefix.count)..<line.upperBound
    }
}
