// SPDX-License-Identifier: Apache-2.0

internal import SecureMemory

/// Signature of a request to Amazon Web Services (Signature Version 4), in its header `Authorization`.
///
/// The secret key is borrowed for a signature and copied nowhere; everything else is sent with the request.
package struct SigV4: Sendable {
    /// Request as it is sent, with the headers that are signed.
    package struct Request: Sendable {
        let method: String
        let path: String
        let query: String
        let headers: [(name: String, value: String)]

        /// Makes a request.
        ///
        /// - Parameters:
        ///   - method: the method.
        ///   - path: the path, not encoded.
        ///   - query: what follows the question mark.
        ///   - headers: the headers to sign, among them `Host` and `X-Amz-Date`.
        package init(_ method: String, path: String, query: String = "", headers: [(name: String, value: String)]) {
            self.method = method
            self.path = path
            self.query = query
            self.headers = headers
        }
    }

    /// Name of the method of signing.
    package static let algorithm = "AWS4-HMAC-SHA256"
    private static let terminator = "aws4_request"

    private let time: String
    private let region: String
    private let service: String

    /// Makes the scope of signatures.
    ///
    /// - Parameters:
    ///   - time: the time of the header `X-Amz-Date`, such as `20150830T123600Z`.
    ///   - region: the region.
    ///   - service: the name of the service for signatures.
    package init(time: String, region: String, service: String) {
        self.time = time
        self.region = region
        self.service = service
    }

    private var date: String { String(time.prefix(8)) }
    private var scope: String { "\(date)/\(region)/\(service)/\(Self.terminator)" }

    /// The value of the header `Authorization`.
    ///
    /// - Parameters:
    ///   - request: the request.
    ///   - body: its body.
    ///   - accessKey: the name of the key.
    ///   - secretKey: the key.
    /// - Returns: the value.
    /// - Throws: `SealingError`.
    package func authorization(
        _ request: Request,
        body: Span<UInt8>,
        accessKey: String,
        secretKey: Span<UInt8>
    ) throws(SealingError) -> String {
        let signature = try signature(of: try text(toSign: request, body: body), secretKey: secretKey)
        return "\(Self.algorithm) Credential=\(accessKey)/\(scope), SignedHeaders=\(Self.names(request.headers)), "
            + "Signature=\(signature)"
    }

    /// The text of a request that its digest is made of.
    package func canonicalText(_ request: Request, body: Span<UInt8>) throws(SealingError) -> String {
        let headers = Self.merged(request.headers).map { "\($0.name):\($0.value)\n" }.joined()
        return [
            request.method, Self.canonicalPath(request.path), Self.canonicalQuery(request.query), headers,
            Self.names(request.headers), try Self.digest(body),
        ].joined(separator: "\n")
    }

    /// The text that is signed.
    package func text(toSign request: Request, body: Span<UInt8>) throws(SealingError) -> String {
        let digest = try Self.digest(try canonicalText(request, body: body).utf8.span)
        return "\(Self.algorithm)\n\(time)\n\(scope)\n\(digest)"
    }

    /// A chain of keys, each the code of a part of the scope under the one before; the last one signs.
    private func signature(of text: String, secretKey: Span<UInt8>) throws(SealingError) -> String {
        var key = try Key256.filled { (bytes) throws(SealingError) in
            try Self.code(of: date, prefix: "AWS4", secretKey, into: &bytes)
        }
        for part in [region, service, Self.terminator] {
            key = try key.withBytes { (old) throws(SealingError) in
                try Key256.filled { (bytes) throws(SealingError) in try Self.code(of: part, old, into: &bytes) }
            }
        }
        var signature = [UInt8](repeating: 0, count: HMACSHA256.byteCount)
        var span = signature.mutableSpan
        try key.withBytes { (key) throws(SealingError) in try Self.code(of: text, key, into: &span) }
        return Base16.text(signature)
    }

    private static func code(
        of text: String,
        _ key: Span<UInt8>,
        into code: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        var mac = try HMACSHA256(key: key)
        try mac.update(text.utf8.span)
        try mac.finalize(into: &code)
    }

    /// The code under a key with a prefix, which are joined in secure memory.
    private static func code(
        of text: String,
        prefix: StaticString,
        _ key: Span<UInt8>,
        into code: inout MutableSpan<UInt8>
    ) throws(SealingError) {
        let prefix = Array("\(prefix)".utf8)
        var joined = try SealingError.wrap { () throws(SecureMemoryError) in
            try SecureBuffer(count: prefix.count + key.count)
        }
        joined.withMutableBytes { bytes in
            for index in prefix.indices { bytes[index] = prefix[index] }
            for index in key.indices { bytes[prefix.count + index] = key[index] }
        }
        try joined.withBytes { (key) throws(SealingError) in try Self.code(of: text, key, into: &code) }
    }

    private static func digest(_ bytes: Span<UInt8>) throws(SealingError) -> String {
        var digest = try SHA256Digest()
        try digest.update(bytes)
        return Base16.text(try digest.finalize())
    }
}

// The canonical form of what a request says.
extension SigV4 {
    /// Headers by their names in lower case; values of one name are joined, white space counts as one space.
    private static func merged(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
        var values: [String: [String]] = [:]
        for (name, value) in headers {
            let words = value.split { [" ", "\t", "\r", "\n", "\r\n"].contains($0) }
            values[name.lowercased(), default: []].append(words.joined(separator: " "))
        }
        return values.map { (name: $0.key, value: $0.value.joined(separator: ",")) }.sorted { $0.name < $1.name }
    }

    private static func names(_ headers: [(name: String, value: String)]) -> String {
        merged(headers).map(\.name).joined(separator: ";")
    }

    /// A path without `.`, `..` and empty parts, encoded.
    private static func canonicalPath(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        let isFolder = path.hasSuffix("/") || path.hasSuffix("/.") || path.hasSuffix("/..")
        let end = isFolder && !parts.isEmpty ? "/" : ""
        return "/" + parts.map { encoded($0.utf8) }.joined(separator: "/") + end
    }

    /// Pairs in the order of their encoded bytes.
    private static func canonicalQuery(_ query: String) -> String {
        let pairs = query.split(separator: "&").map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (encoded(decoded(parts[0])), encoded(decoded(parts.count == 2 ? parts[1] : "")))
        }
        return pairs.sorted { $0 < $1 }.map { "\($0)=\($1)" }.joined(separator: "&")
    }

    /// Bytes with all but letters, digits and `-._~` as `%` and two digits (RFC 3986).
    private static func encoded(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for byte in bytes {
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e:
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += "%" + Base16.text([byte]).uppercased()
            }
        }
        return text
    }

    private static func decoded(_ text: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            var value = [UInt8](repeating: 0, count: 1)
            var span = value.mutableSpan
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                Base16.decode(Array(rest.prefix(2)).span, into: &span)
            {
                bytes += value
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }
}
